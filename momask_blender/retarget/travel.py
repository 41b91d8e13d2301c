"""Where a motion begins, and which bone carries it through the scene. No bpy."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from .proportions import MIDDLE_OF_HIPS, middle_of_hips, size_of
from .target import BoneMotion, Target, bone_heads

Array = NDArray[np.floating]

UP = (0.0, 0.0, 1.0)
THERE = 1e-4  # metres or half radians: a motion that begins so near begins there
SMOOTHING = 0.25  # seconds: standard deviation within which steps sway about the travel
ACROSS = (("l_thigh", "r_thigh"), ("l_upperarm", "r_upperarm"))


@dataclass(frozen=True, eq=False)
class Standing:
    """A place on the floor and where the body faces, in body axes."""

    place: Array  # (2,) metres: under the middle of the hips
    heading: float = 0.0  # radians about +Z; at 0 it faces -Y


def standing(heads: Array, target: Target) -> Standing:
    """Of one frame, heads (B, 3), to a tenth of a millimetre: a take that is made again where it
    was made starts at the same numbers."""
    place = np.round(middle_of_hips(heads, target)[:2], 4)
    return Standing(place, round(float(facings(heads[None], target)[0]), 4))


def facings(heads: Array, target: Target) -> Array:
    """heads (T, B, 3) -> (T,) radians: hips and shoulders together, as HumanML3D measures it.

    Turns about the rest pose's own, whose sides may not lie on the x-axis exactly.
    """
    return _yaw(_across(heads, target)) - _yaw(_across(target.heads, target))


def _across(heads: Array, target: Target) -> Array:
    """(..., 2) on the floor, from right to left."""
    pairs = [
        heads[..., target.roles[left], :2] - heads[..., target.roles[right], :2]
        for left, right in ACROSS
        if left in target.roles and right in target.roles
    ]
    return sum(pairs, np.zeros(2))


def _yaw(across: Array) -> Array:
    return np.arctan2(across[..., 1], across[..., 0])


def begin_at(target: Target, motion: BoneMotion, start: Standing | None) -> BoneMotion:
    """The same motion, turned and moved along the floor so that its first frame stands there.

    None: the body that the model begins with stands where the rig rests.
    """
    if start is None:
        rests = middle_of_hips(target.heads, target) - size_of(target) * MIDDLE_OF_HIPS
        return _moved(motion, rotation.IDENTITY, rests * (1.0, 1.0, 0.0))
    first = BoneMotion(motion.turns[:1], motion.location[:1])
    heads = bone_heads(target, first)
    turn = rotation.about_axis(UP, start.heading - facings(heads, target)[0])
    now = middle_of_hips(heads[0], target) * (1.0, 1.0, 0.0)
    place = np.array([*start.place, 0.0]) - rotation.rotate(turn, now)
    moved = _moved(motion, turn, place)
    if target.root >= 0:
        moved.turns[:, target.root] = motion.turns[:, target.root]  # it does not travel yet
    return moved


def _moved(motion: BoneMotion, turn: Array, place: Array) -> BoneMotion:
    if np.abs(place).max() < THERE and np.abs(turn[1:]).max() < THERE:
        return motion
    turns = rotation.multiply(turn, motion.turns)
    return BoneMotion(turns, rotation.rotate(turn, motion.location) + place)


def in_place(target: Target, motion: BoneMotion, fps: float) -> BoneMotion:
    """Without the travel; what sways within a step stays."""
    path = _smoothed(middle_of_hips(bone_heads(target, motion), target)[:, :2], fps)
    travel = np.column_stack([path - path[0], np.zeros(len(path))])
    return replace(motion, location=motion.location - travel)


def onto_root(target: Target, motion: BoneMotion, fps: float) -> BoneMotion:
    """The root bone takes travel and heading; the others stay where they are in the scene."""
    heads = bone_heads(target, motion)
    middle = middle_of_hips(heads, target)
    path = _smoothed(middle[:, :2], fps)
    heading = _smoothed(np.unwrap(facings(heads, target))[:, None], fps)[:, 0]
    turn = rotation.about_axis(UP, heading)
    at_rest = target.heads[target.root]
    offset = (at_rest - middle_of_hips(target.heads, target)) * (1.0, 1.0, 0.0)
    root = rotation.rotate(turn, offset) + np.column_stack([path, np.full(len(path), at_rest[2])])
    turns = motion.turns.copy()
    turns[:, target.root] = turn
    return BoneMotion(rotation.continuous(turns), motion.location, root)


def _smoothed(values: Array, fps: float) -> Array:
    """(T, C) by a Gaussian; the ends go on as straight as they came."""
    deviation = SMOOTHING * fps
    reach = min(round(3.0 * deviation), len(values) - 1)
    if reach < 1:
        return values
    steps = np.arange(-reach, reach + 1)
    bell = np.exp(-0.5 * (steps / deviation) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    columns = [np.convolve(column, bell / bell.sum(), mode="valid") for column in padded.T]
    return np.stack(columns, axis=-1)
