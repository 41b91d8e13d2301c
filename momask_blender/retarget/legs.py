"""A rig's legs at rest, as planting feet needs them. No bpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from .contacts import LEG_LENGTH, SIDES, UP, FootTrack
from .ik import Leg
from .proportions import size_of
from .rest_turns import REST
from .roles import JOINT_OF
from .target import BoneMotion, Target, bone_heads

Array = NDArray[np.floating]

FRONT = np.array([0.0, -1.0, 0.0])
BENT_AT_REST = np.sin(np.radians(10.0))  # from here the rest pose itself shows the knee's axis

NOWHERE = 1e9  # metres: a foot that the rig does not have never stands
HEEL_BEHIND = 0.35  # share of the way from ankle to ball that the heel lies behind the ankle


@dataclass(frozen=True, eq=False)
class Legs:
    """S legs (the left, the right) in body axes; bones are numbers of driven bones."""

    thighs: list[int]
    shins: list[int]
    feet: list[int]
    toes: list[int]  # -1 where the rig has none
    sides: list[int]  # of the contacts: 0 left, 1 right
    leg: Leg
    ankles: Array  # (S, 3) at rest
    soles: Array  # (S, 3) from the ankle to the ball
    heels: Array  # (S, 3) from the ankle to the heel, level with the ball

    @property
    def length(self) -> float:
        """Metres of thigh and shin, mean of the legs."""
        return float(np.mean(sum(self.leg.lengths)))


def legs_of(target: Target) -> Legs:
    """The complete legs of a rig: none, one or two."""
    sides = [
        side
        for side in (0, 1)
        if all(f"{'lr'[side]}_{part}" in target.roles for part in ("thigh", "shin", "foot"))
    ]
    thighs, shins, feet = (
        [target.roles[f"{'lr'[side]}_{part}"] for side in sides]
        for part in ("thigh", "shin", "foot")
    )
    toes = [target.roles.get(f"{'lr'[side]}_toe", -1) for side in sides]
    upper, lower = (
        (target.heads[ends] - target.heads[starts]).reshape(-1, 3)
        for starts, ends in ((thighs, shins), (shins, feet))
    )
    leg = Leg(upper, lower, _hinges(upper, lower))
    ankles = target.heads[feet].reshape(-1, 3)
    soles = _soles(target, sides, toes, ankles)
    heels = soles * (-HEEL_BEHIND, -HEEL_BEHIND, 1.0)
    return Legs(thighs, shins, feet, toes, sides, leg, ankles, soles, heels)


def _hinges(upper: Array, lower: Array) -> Array:
    """(S, 3) from the body's front, or from the rest pose where its knees are bent."""
    upper, lower = rotation.normalized(upper), rotation.normalized(lower)
    square = rotation.normalized(np.cross(upper, -FRONT))
    seen = np.cross(upper, lower)
    side = np.sum(seen * square, axis=-1, keepdims=True)
    is_bent = np.linalg.norm(seen, axis=-1, keepdims=True) > BENT_AT_REST
    return np.where(is_bent & (side > 0.0), rotation.normalized(seen), square)


def _soles(target: Target, sides: list[int], toes: list[int], ankles: Array) -> Array:
    """(S, 3) to the head of the toe bone; without one to where the ball would be."""
    soles = np.empty_like(ankles)
    for row, (side, toe) in enumerate(zip(sides, toes, strict=True)):
        ball, ankle = (REST[JOINT_OF[f"{'lr'[side]}_{part}"]] for part in ("toe", "foot"))
        theirs = size_of(target) * (ball - ankle)
        soles[row] = theirs if toe < 0 else target.heads[toe] - ankles[row]
    return soles


def track_motion(target: Target, motion: BoneMotion, ground: float = 0.0) -> FootTrack:
    """Both feet of a rig's own motion; the floor lies `ground` metres above that of its rest."""
    legs = legs_of(target)
    bones = bone_heads(target, motion)[:, legs.feet]
    at_rest = legs.ankles[:, 2:] * UP + ground * UP
    ankles = np.full((len(motion.turns), len(SIDES), 3), NOWHERE)
    balls, turns = ankles.copy(), np.tile(rotation.IDENTITY, (*ankles.shape[:2], 1))
    turns[:, legs.sides] = motion.turns[:, legs.feet]
    ankles[:, legs.sides] = bones - at_rest
    soles = rotation.rotate(motion.turns[:, legs.feet], legs.soles) - legs.soles * UP
    balls[:, legs.sides] = bones + soles - at_rest
    return FootTrack(ankles, balls, turns, legs.length if legs.sides else LEG_LENGTH)
