"""Nobody sinks into the floor, and nobody hovers over it."""

import numpy as np
import pytest

from model_runtime import floor
from momask_blender.contract.skeleton import REST_JOINTS


def standing(heights: np.ndarray) -> np.ndarray:
    """The rest pose, its soles at these heights (T,)."""
    joints = np.repeat(REST_JOINTS[None], len(heights), axis=0)
    joints[..., 1] += heights[:, None] - joints[..., 1].min(axis=1, keepdims=True)
    return joints


def test_who_is_under_the_floor_is_raised_gently():
    joints = standing(np.where(np.arange(40) == 20, -0.03, 0.0))
    raised = floor.above_floor(joints)
    assert raised[..., 1].min() == pytest.approx(0.0, abs=1e-12)
    moved = raised - joints
    assert np.ptp(moved, axis=1).max() == pytest.approx(0.0, abs=1e-12)  # the whole body alike
    height = moved[:, 0, 1]
    assert height[20] == pytest.approx(0.03)
    assert not height[:10].any() and not height[31:].any()
    assert np.abs(np.diff(height)).max() < 0.005  # a jump of 3 cm became a rise over six frames
    assert floor.above_floor(raised) is raised


def test_a_jump_stays_and_hovering_after_it_ends():
    frames = np.arange(80)
    flight = np.maximum(0.0, 0.5 - 0.02 * (frames - 20) ** 2 / 2.0)  # 14 frames, half a metre
    hover = np.clip((frames - 40) / 10.0, 0.0, 1.0) * 0.4  # up to 40 cm, and never down again
    jump = standing(flight)
    assert np.array_equal(floor.down_to_floor(jump), jump)
    landed = floor.down_to_floor(standing(flight + hover))[..., 1].min(axis=1)
    np.testing.assert_allclose(landed[:35], flight[:35], atol=1e-12)
    assert landed[54:].max() <= floor.TOLERATED + 1e-9
    assert landed.min() >= 0.0
    assert np.abs(np.diff(landed[35:])).max() < 0.05


def test_toes_a_little_over_the_floor_stay_there():
    joints = standing(np.full(60, 0.04))
    assert np.array_equal(floor.down_to_floor(joints), joints)
