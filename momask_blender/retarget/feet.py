"""Planted feet: the ball is locked while it stands, the leg follows, the pelvis gives. No bpy."""

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from ..contract.pose import Pose
from .contacts import UP, Contacts, Flags, find_contacts, headings, runs_of, track_pose
from .ik import reach, solve_legs
from .legs import FRONT, Legs, legs_of
from .offsets import envelope, fade_offsets, fade_weights
from .target import BoneMotion, Target, bone_heads

Array = NDArray[np.floating]

TOLERANCE = 0.0025  # metres that a foot may be under the floor
MAX_DROP, MAX_DROP_STRICT = 0.12, 0.3  # of the pelvis, as shares of the leg's length
WIDEST_STEP = 0.9  # share of the free reach: beyond it lowering the pelvis does not help
TOE_LENGTH = 0.5  # of the way from ankle to ball


def plant_feet(
    target: Target, motion: BoneMotion, pose: Pose, fps: float, strict: bool, ground: float = 0.0
) -> BoneMotion:
    """The same motion with its feet locked wherever the pose's feet stand, and none under the floor.

    `pose` is the motion on the model's skeleton, in Blender axes at the rate `fps` of the motion;
    the floor lies `ground` metres above that of the rig's rest pose.
    """
    contacts = find_contacts(track_pose(pose), fps, strict)
    return _result_of(planting(target, motion, contacts, fps, strict, ground))


def _result_of(steps: Generator[None, None, BoneMotion]) -> BoneMotion:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def planting(
    target: Target,
    motion: BoneMotion,
    contacts: Contacts,
    fps: float,
    strict: bool,
    ground: float = 0.0,
) -> Generator[None, None, BoneMotion]:
    """As `plant_feet`, for given contacts and in short steps; the generator returns the motion."""
    legs = legs_of(target)
    if not legs.sides:
        return motion
    stands, flat = contacts.balls[:, legs.sides], contacts.flat[:, legs.sides]
    heads = bone_heads(target, motion)
    hips, ankles = heads[:, legs.thighs], heads[:, legs.feet]
    yield
    feet = _laid_flat(motion.turns[:, legs.feet], flat, fps)
    goals = _locked(legs, ankles, motion.turns[:, legs.feet], stands, fps, ground)
    yield
    near = fade_weights(stands, fps)
    feet, goals = _above_floor(legs, feet, goals, near, ground)
    toes = _rolled_toes(legs, motion, feet, goals, stands, near, fps, ground)
    ankle_goals = goals - rotation.rotate(feet, legs.soles)
    yield
    most = (MAX_DROP_STRICT if strict else MAX_DROP) * legs.length
    drop = _pelvis_drop(legs, hips, ankles, ankle_goals, near, most, fps)
    hips = hips - drop[:, None, None] * UP
    yield
    thighs, shins = motion.turns[:, legs.thighs], motion.turns[:, legs.shins]
    solved = solve_legs(legs.leg, thighs, shins, ankle_goals - hips)
    ...
