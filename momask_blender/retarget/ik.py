"""Two-bone inverse kinematics of a leg that keeps its knee's plane. No bpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation

Array = NDArray[np.floating]

SOFT = 0.965  # share of the full length from which a leg is straightened ever more slowly
# Below the first bend a knee's plane is noise and the thigh says where it bends, above the second
# it is seen.
STRAIGHT, BENT = np.sin(np.radians([5.0, 20.0]))


@dataclass(frozen=True, eq=False)
class Leg:
    """Rest of one leg or several, in body axes."""

    thigh: Array  # (S, 3) hip to knee
    shin: Array  # (S, 3) knee to ankle
    hinge: Array  # (S, 3) axis about which the shin turns to bend the knee

    @property
    def lengths(self) -> tuple[Array, Array]:
        """(S,), (S,)."""
        return np.linalg.norm(self.thigh, axis=-1), np.linalg.norm(self.shin, axis=-1)


def reach(leg: Leg, distance: Array) -> Array:
    """How far from the hip an ankle may be before softness begins, given where it was. (T, S).

    A leg that is already straighter than the limit keeps its length.
    """
    full = sum(leg.lengths)
    return np.clip(distance, SOFT * full, full)


def soften(leg: Leg, distance: Array, free: Array) -> Array:
    """Distances as they are up to `free`, then ever closer to the full length. (T, S)."""
    room = sum(leg.lengths) - free
    beyond = np.maximum(distance - free, 0.0)
    share = -np.expm1(-beyond / np.maximum(room, 1e-9))
    return np.where(beyond > 0.0, free + room * share, distance)


def solve_legs(leg: Leg, thighs: Array, shins: Array, goals: Array) -> tuple[Array, Array]:
    """Turns (T, S, 4) of thighs and shins that bring the ankles to `goals` (T, S, 3) from the hips.

    The knee bends about the axis it had; then the leg swings the shortest way. Nothing changes
    where the ankle is at its goal. What is out of reach is approached as `soften` says.
    """
    upper, lower = rotation.rotate(thighs, leg.thigh), rotation.rotate(shins, leg.shin)
    now = np.linalg.norm(upper + lower, axis=-1)
    wanted = soften(leg, np.linalg.norm(goals, axis=-1), reach(leg, now))
    axis = _knee_axis(leg, thighs, upper, lower)
    bend = rotation.about_axis(axis, turned_to(lower, axis, -upper, wanted))
    bent = upper + rotation.rotate(bend, lower)
    swing = rotation.between(bent, goals)
    return (
        rotation.multiply(swing, thighs),
        rotation.multiply(swing, rotation.multiply(bend, shins)),
    )


def _knee_axis(leg: Leg, thighs: Array, upper: Array, lower: Array) -> Array:
    """Unit axis (T, S, 3): square to a bent leg, carried by the thigh where it is straight.

    It points so that bending is positive; a clip whose knees bend the other way keeps that.
    """
    carried = rotation.rotate(thighs, leg.hinge)
    seen = np.cross(rotation.normalized(upper), rotation.normalized(lower))
    side = np.sum(seen * carried, axis=-1, keepdims=True)
    seen = np.where(side < 0.0, -seen, seen)
    size = np.linalg.norm(seen, axis=-1, keepdims=True)
    share = smoothstep((size - STRAIGHT) / (BENT - STRAIGHT))
    backwards = np.median(side, axis=0) < -STRAIGHT
    axis = rotation.normalized(carried + share * (rotation.normalized(seen) - carried))
    return np.where(backwards, -axis, axis)


def turned_to(arms: Array, axes: Array, point: Array, distance: Array) -> Array:
    """Angles (T, S) by which arms (T, S, 3) turn about unit axes so that their ends are `distance`
    from `point`, or as near to that as they get: of two such angles the smaller, -pi to pi.

    Law of cosines for any axis: a cos x + b sin x = c.
    """
    along = np.sum(arms * axes, axis=-1, keepdims=True) * axes
    a = np.sum(point * (arms - along), axis=-1)
    b = np.sum(point * np.cross(axes, arms), axis=-1)
    squares = np.sum(point * point, axis=-1) + np.sum(arms * arms, axis=-1)
    c = 0.5 * (squares - distance * distance) - np.sum(point * along, axis=-1)
    size = np.maximum(np.hypot(a, b), 1e-12)
    angles = np.arctan2(b, a) - np.arccos(np.clip(c / size, -1.0, 1.0))
    return (angles + np.pi) % (2.0 * np.pi) - np.pi


def smoothstep(share: Array) -> Array:
    """0 up to 0, 1 from 1 on."""
    share = np.clip(share, 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)
