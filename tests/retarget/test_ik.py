"""Legs that reach for the floor."""

import numpy as np
import pytest

from momask_blender.contract import rotation
from momask_blender.retarget.ik import SOFT, Leg, solve_legs, turned_to

LEG = Leg(
    np.array([[0.02, 0.0, -0.40], [-0.02, 0.03, -0.41]]),
    np.array([[0.0, 0.02, -0.43], [0.0, 0.04, -0.40]]),
    np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
)
FULL = sum(LEG.lengths)


def swung(bend: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Thighs and shins (T, 2, 4): legs in any direction, knees bent by radians (T, 2)."""
    rng = np.random.default_rng(seed)
    vectors = np.concatenate(
        [np.ones((len(bend), 2, 1)), 0.4 * rng.normal(size=(len(bend), 2, 3))], -1
    )
    thighs = rotation.normalized(vectors)
    return thighs, rotation.multiply(thighs, rotation.about_axis((1.0, 0.0, 0.0), bend))


def ankles(thighs: np.ndarray, shins: np.ndarray) -> np.ndarray:
    return rotation.rotate(thighs, LEG.thigh) + rotation.rotate(shins, LEG.shin)


def axes(thighs: np.ndarray, shins: np.ndarray) -> np.ndarray:
    upper, lower = rotation.rotate(thighs, LEG.thigh), rotation.rotate(shins, LEG.shin)
    return rotation.normalized(np.cross(upper, lower))


def test_ankles_come_to_every_goal_in_reach():
    rng = np.random.default_rng(1)
    thighs, shins = swung(rng.uniform(0.3, 1.5, size=(200, 2)))
    goals = ankles(thighs, shins)
    goals *= rng.uniform(0.6, 0.97, size=(200, 2, 1)) * FULL[:, None] / _sizes(goals)
    goals += 0.1 * rng.normal(size=goals.shape)
    goals *= np.minimum(1.0, SOFT * FULL[:, None] / _sizes(goals))
    np.testing.assert_allclose(ankles(*solve_legs(LEG, thighs, shins, goals)), goals, atol=1e-9)


def _sizes(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize("bend", [0.0, 0.02, 0.2, 1.0])
def test_a_leg_at_its_goal_stays_as_it_is(bend):
    thighs, shins = swung(np.full((50, 2), bend))
    solved = solve_legs(LEG, thighs, shins, ankles(thighs, shins))
    for before, after in zip((thighs, shins), solved, strict=True):
        np.testing.assert_allclose(np.abs(np.sum(before * after, axis=-1)), 1.0, atol=1e-9)


def test_the_knee_keeps_its_plane():
    thighs, shins = swung(np.random.default_rng(2).uniform(0.5, 1.2, size=(100, 2)))
    goals = 0.9 * ankles(thighs, shins)
    solved = solve_legs(LEG, thighs, shins, goals)
    np.testing.assert_allclose(np.sum(axes(*solved) * axes(thighs, shins), axis=-1), 1.0, atol=1e-6)


def test_a_leg_out_of_reach_straightens_softly_and_never_stretches():
    distance = np.linspace(0.8, 1.3, 500)[:, None] * FULL
    thighs, shins = swung(np.full((1, 2), 0.6))
    thighs, shins = np.repeat(thighs, 500, axis=0), np.repeat(shins, 500, axis=0)
    direction = rotation.normalized(ankles(thighs, shins))
    solved = solve_legs(LEG, thighs, shins, direction * distance[..., None])
    reached = ankles(*solved)
    lengths = _sizes(reached)[..., 0]
    assert (lengths < FULL).all()
    assert (np.diff(lengths, axis=0) > -1e-9).all()
    np.testing.assert_allclose(rotation.normalized(reached), direction, atol=1e-7)
    knees = rotation.rotate(solved[0], LEG.thigh)
    assert _sizes(np.diff(knees, axis=0)).max() < 0.006  # for steps of 0.8 mm: no pop


def test_no_knee_flips_while_the_leg_passes_through_straight():
    bend = 0.5 * np.abs(np.linspace(-1.0, 1.0, 201))[:, None] * np.ones(2)
    thighs, shins = swung(bend[:1])
    thighs = np.repeat(thighs, 201, axis=0)
    shins = rotation.multiply(thighs, rotation.about_axis((1.0, 0.0, 0.0), bend))
    goals = ankles(thighs, shins) * 0.95
    solved = solve_legs(LEG, thighs, shins, goals)
    carried = rotation.rotate(thighs, LEG.hinge)
    assert np.sum(axes(*solved) * carried, axis=-1).min() > 0.9
    steps = rotation.multiply(solved[0][1:], rotation.inverse(solved[0][:-1]))
    assert np.degrees(2.0 * np.arccos(np.clip(np.abs(steps[..., 0]), 0, 1))).max() < 3.0


def test_knees_that_bend_backwards_go_on_doing_so():
    thighs, shins = swung(np.full((60, 2), -0.8))
    solved = solve_legs(LEG, thighs, shins, 0.9 * ankles(thighs, shins))
    np.testing.assert_allclose(np.sum(axes(*solved) * axes(thighs, shins), axis=-1), 1.0, atol=1e-6)


def test_an_arm_turns_until_its_end_is_as_far_from_a_point_as_asked():
    rng = np.random.default_rng(3)
    arms, points = rng.normal(size=(2, 300, 1, 3))
    across = rotation.normalized(rng.normal(size=(300, 1, 3)))
    wanted = rotation.rotate(rotation.about_axis(across, rng.uniform(-3, 3, (300, 1))), arms)
    distance = np.linalg.norm(wanted - points, axis=-1)
    turn = rotation.about_axis(across, turned_to(arms, across, points, distance))
    found = np.linalg.norm(rotation.rotate(turn, arms) - points, axis=-1)
    np.testing.assert_allclose(found, distance, atol=1e-9)
