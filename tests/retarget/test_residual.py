"""Nothing pops at the edges of a gap."""

import numpy as np
import pytest

from momask_blender.contract import rotation
from momask_blender.retarget.residual import with_places, with_rotations

FPS = 30.0


def turning(speed: float, offset: float, count: int = 80) -> np.ndarray:
    """(T, 2, 4) about two axes."""
    angles = offset + speed * np.arange(count) / FPS
    return np.stack([rotation.about_axis(axis, angles) for axis in np.eye(3)[:2]], axis=1)


@pytest.mark.parametrize("gap", [(20, 60), (30, 33), (0, 50), (40, 80), (1, 79)])
def test_kept_frames_stay_and_the_speed_goes_on(gap):
    kept, made = turning(1.0, 0.0), turning(0.4, 0.7)
    joined = with_rotations(made, kept, gap, FPS)
    first, end = gap
    np.testing.assert_array_equal(np.abs(joined[:first]), np.abs(kept[:first]))
    np.testing.assert_array_equal(np.abs(joined[end:]), np.abs(kept[end:]))
    steps = 2.0 * np.arccos(np.clip(np.abs(np.sum(joined[1:] * joined[:-1], axis=-1)), 0.0, 1.0))
    if first > 1:
        assert steps[first - 1].max() < 2.0 / FPS, "no jump into the gap"
    if end < len(kept) - 1:
        assert steps[end - 1].max() < 2.0 / FPS, "no jump out of it"


def test_a_residual_stays_where_one_side_is_open():
    made = np.zeros((50, 3))
    kept = np.full((50, 3), 2.0)
    np.testing.assert_allclose(with_places(made, kept, (10, 50), FPS), 2.0)
    np.testing.assert_allclose(with_places(made, kept, (0, 40), FPS), 2.0)


def test_between_equal_motions_nothing_is_added():
    kept = turning(1.0, 0.0)
    np.testing.assert_allclose(with_rotations(kept, kept, (10, 60), FPS), kept, atol=1e-12)


def test_a_small_turn_is_not_lost():
    made = turning(0.0, 0.0)
    kept = turning(0.0, 1e-7)
    joined = with_rotations(made, kept, (10, 70), FPS)
    np.testing.assert_allclose(joined, kept, atol=1e-12)
