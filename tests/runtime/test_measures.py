"""Measures without a learned judge: what must hold of motions whose answer is known."""

import numpy as np
import pytest

from model_runtime.evaluation import measures
from model_runtime.evaluation.measures import (
    is_exploded,
    is_frozen,
    jerk,
    nearest_training,
    path_acceleration,
    plausibility,
    reconstruction,
    skating,
    token_use,
    window_error,
)
from momask_blender.contract.rotation import about_axis, rotate
from momask_blender.contract.skeleton import FPS, MIRRORED, REST_JOINTS

FRAMES = 60


@pytest.fixture
def standing():
    """A frozen body on the floor, its lowest joints at y = 0."""
    rest = REST_JOINTS - (0.0, REST_JOINTS[:, 1].min(), 0.0)
    return np.repeat(rest[None], FRAMES, axis=0)


@pytest.fixture
def lively(standing):
    """The body swaying about a path, different for every joint."""
    time = np.arange(FRAMES)[:, None, None] / FPS
    rng = np.random.default_rng(0)
    wave = np.sin(time * rng.uniform(3, 9, (22, 3)) + rng.uniform(0, 6, (22, 3)))
    return standing + 0.05 * wave + time * (0.3, 0.0, 0.5)


def turned(joints, degrees, move=(1.0, 0.0, -2.0)):
    return rotate(about_axis((0.0, 1.0, 0.0), np.radians(degrees)), joints) + move


def mirrored(joints):
    return (joints * (-1.0, 1.0, 1.0))[:, MIRRORED]


def numbers(clips):
    return list(vars(plausibility(clips)).values())


def test_a_frozen_clip_neither_skates_nor_shakes(standing):
    found = plausibility([standing])
    assert found.contact_share == 1.0
    assert found.skate == found.slide_share == found.penetration == found.floating_share == 0.0
    assert max(found.jerk, found.bone_variation, found.path_acceleration) < 1e-9


def test_a_body_pushed_over_the_floor_skates_at_its_speed(standing):
    speed = 0.8  # m/s: 4 cm per frame
    pushed = standing + np.arange(FRAMES)[:, None, None] / FPS * (speed, 0.0, 0.0)
    assert skating([pushed]) == pytest.approx((80.0, 1.0, 1.0))
    assert skating([standing, pushed])[1] == pytest.approx(0.5)


def test_a_planted_foot_does_not_skate_while_the_other_swings(standing):
    time = np.arange(FRAMES)[:, None] / FPS
    swung = standing.copy()
    swung[:, measures.TOES[0]] += np.concatenate([time, np.full_like(time, 0.2), time], axis=-1)
    assert skating([swung]) == pytest.approx((0.0, 0.0, 0.5))


def test_no_contact_is_no_skate(standing):
    assert skating([standing + (0.0, 1.0, 0.0)]) == (0.0, 0.0, 0.0)


def test_sinking_and_floating_are_told_apart(standing):
    sunk, afloat = standing - (0.0, 0.03, 0.0), standing + (0.0, 0.2, 0.0)
    assert plausibility([sunk]).penetration == pytest.approx(3.0)
    assert plausibility([sunk, standing]).penetration == pytest.approx(1.5)
    assert plausibility([sunk, standing]).deepest == pytest.approx(3.0)
    assert plausibility([standing, afloat]).floating_share == 0.5
    assert plausibility([afloat]).penetration == 0.0


def test_jerk_and_path_have_physical_units(standing):
    time = np.arange(FRAMES)[:, None, None] / FPS
    assert jerk([standing + time**3 * (0.0, 0.5, 0.0)]) == pytest.approx(3.0)
    rushing = standing + time**2 * (0.0, 0.0, 1.5)
    assert path_acceleration([rushing]) == pytest.approx(3.0)


def test_bones_that_stretch_are_seen(standing):
    sizes = np.where(np.arange(FRAMES) % 2, 1.02, 0.98)[:, None, None]
    assert plausibility([standing * sizes]).bone_variation == pytest.approx(2.0)


def test_measures_do_not_depend_on_side_or_direction(lively):
    there = numbers([lively])
    assert min(there[6:]) > 0.0
    assert numbers([mirrored(lively)]) == pytest.approx(there)
    assert numbers([turned(lively, 70.0)]) == pytest.approx(there)


def test_token_use_counts_codes_and_not_absent_ones():
    tokens = np.array([[0, 5], [1, 5], [2, -1], [3, 5]])
    first, second = token_use([tokens[:2], tokens[2:]], 8)
    assert (first.perplexity, first.used_share) == (pytest.approx(4.0), 0.5)
    assert (second.perplexity, second.used_share) == (pytest.approx(1.0), 0.125)


def test_reconstruction_separates_pose_heading_and_path(lively):
    exact = reconstruction([lively], [lively])
    assert max(vars(exact).values()) == 0.0
    moved = reconstruction([lively + (0.03, 0.0, 0.04)], [lively])
    assert moved.root_aligned == pytest.approx(0.0, abs=1e-9)
    assert (moved.drift, moved.path_error) == pytest.approx((5.0, 5.0))
    about_root = rotate(about_axis((0.0, 1.0, 0.0), np.array(0.3)), lively - lively[:, :1])
    twisted = reconstruction([about_root + lively[:, :1]], [lively])
    assert twisted.root_aligned > 20.0
    assert twisted.heading_aligned == pytest.approx(0.0, abs=1e-9)
    assert twisted.drift == 0.0


def test_a_copy_is_found_wherever_it_goes_and_faces(lively, standing):
    copy = turned(lively[7:55], 130.0)
    found = nearest_training([copy, lively], [standing, lively])
    assert found == pytest.approx([0.0, 0.0], abs=2e-3)  # float32 squares
    assert nearest_training([copy], [standing])[0] > 0.1
    assert nearest_training([mirrored(lively)], [lively])[0] > 0.02


def test_the_distance_of_windows_is_metres_per_joint(standing):
    raised = standing + (0.0, 0.05, 0.0)
    assert nearest_training([raised], [standing]) == pytest.approx([0.05], abs=1e-4)
    assert window_error([raised], [standing]) == pytest.approx(0.05, abs=1e-4)


def test_frozen_and_exploded_clips_are_told_from_lively_ones(standing, lively):
    assert is_frozen(standing) and not is_frozen(lively)
    assert is_frozen(np.concatenate([lively, np.repeat(lively[-1:], FPS + 1, axis=0)]))
    thrown = lively.copy()
    thrown[30, 21] += 5.0
    assert is_exploded(thrown) and not is_exploded(lively) and not is_exploded(standing)
    assert is_exploded(np.where(np.arange(22)[:, None] == 3, np.nan, lively))
