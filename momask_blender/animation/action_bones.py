"""Channels of one bone in an Action that exists: read at any frame, and replaced."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from bpy.types import PoseBone
from numpy.typing import NDArray

from .fcurves import write_channels
from .pose_keys import data_path, rotation_channel, rotation_values, values_to_rotations

Array = NDArray[np.floating]

SAME = 1e-7  # values this near to each other need no other keys


@dataclass(frozen=True, eq=False)
class BoneChannels:
    """A bone's own rotation and location, frame by frame."""

    rotations: Array  # (T, 4) from rest
    location: Array  # (T, 3) in the armature's units


def read_bone(channels: Any, bone: PoseBone, frames: NDArray[np.int_]) -> BoneChannels:
    """What the F-curves say; a channel without one is as it is now."""
    values = _values(channels, bone, rotation_channel(bone), frames)
    rotations = values_to_rotations(bone, values)
    return BoneChannels(rotations, _values(channels, bone, "location", frames))


def replace_channels(
    channels: Any,
    bone: PoseBone,
    frames: NDArray[np.int_],
    was: BoneChannels,
    now: BoneChannels,
) -> None:
    """One key a frame where something changes; other channels keep theirs."""
    if np.abs(np.sum(was.rotations * now.rotations, axis=-1)).min() < 1.0 - SAME:
        values = rotation_values(bone, now.rotations)
        _replace(channels, bone, rotation_channel(bone), frames, values)
    if np.abs(was.location - now.location).max() > SAME:
        _replace(channels, bone, "location", frames, now.location)


def _values(channels: Any, bone: PoseBone, name: str, frames: NDArray[np.int_]) -> Array:
    values = np.tile(np.array(getattr(bone, name), dtype=float), (len(frames), 1))
    for curve in _curves(channels, bone, name):
        values[:, curve.array_index] = [curve.evaluate(float(frame)) for frame in frames]
    return values


def _replace(
    channels: Any, bone: PoseBone, name: str, frames: NDArray[np.int_], values: Array
) -> None:
    for curve in _curves(channels, bone, name):
        channels.fcurves.remove(curve)
    write_channels(channels, data_path(bone, name), bone.name, frames, values)


def _curves(channels: Any, bone: PoseBone, name: str) -> list[Any]:
    path = data_path(bone, name)
    return [curve for curve in channels.fcurves if curve.data_path == path]
