"""Write what was made into the gap of an Action, and nothing outside it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from bpy.types import FCurve, Object, PoseBone
from numpy.typing import NDArray

from ..animation.actions import ensure_group
from ..animation.fcurves import read_keys, write_keys
from ..animation.key_array import CONSTANT, SAME_FRAME, Keys, plain_keys, spliced
from ..animation.pose_keys import (
    AT_REST,
    data_path,
    free_channels,
    rotation_channel,
    rotation_values,
    with_locked_angles,
)
from ..contract import rotation
from ..retarget.channels import BoneKeys
from ..rig.wiring import Switch
from .ranges import Frames

Array = NDArray[np.floating]

MEETS = 1e-3  # radians, or share of a quaternion: what differs by more goes another way round


@dataclass(frozen=True)
class Gap:
    """Frames to write, and whether the animation goes on before and after them."""

    frames: Frames
    keeps_before: bool
    keeps_after: bool


def write_bone_in_gap(channels: Any, armature: Object, keys: BoneKeys, gap: Gap) -> None:
    """Key one bone in the gap. `keys` begin one frame before it and end one frame after it: these
    two say how the bone stands there, by whatever means."""
    bone = armature.pose.bones[keys.bone]
    if keys.rotations is not None:
        name = rotation_channel(bone)
        values = rotation_values(bone, with_locked_angles(bone, keys.rotations))
        values = _beginning_as(bone, values, _values_beside(channels, bone, name, gap), gap)
        _write(channels, bone, name, values, gap)
    if keys.location is not None:
        _write(channels, bone, "location", keys.location, gap)


def write_switch_in_gap(channels: Any, armature: Object, switch: Switch, gap: Gap) -> None:
    """A custom property has its value in the gap, and outside it the one that it has there."""
    curve = channels.fcurves.find(switch.path)
    now = float(armature.pose.bones[switch.bone][switch.property])
    if curve is None and now == switch.value:
        return
    if curve is None:
        curve = channels.fcurves.new(switch.path)
        curve.group = ensure_group(channels, switch.bone)
    new = plain_keys(np.array([gap.frames.first]), np.array([switch.value]), CONSTANT)
    _splice(curve, new, now, gap)


def write_rest_in_gap(
    channels: Any, armature: Object, name: str, gap: Gap, is_keyed_below: bool
) -> None:
    """Hold a bone at rest in the gap that would add its own turn to what is keyed.

    `is_keyed_below`: strips may move it, so that it is keyed whatever it shows now.
    """
    bone = armature.pose.bones[name]
    for channel in (rotation_channel(bone), "location", "scale"):
        path = data_path(bone, channel)
        now = np.array(getattr(bone, channel), float)
        rest = _rest_values(bone, channel)
        for index in free_channels(bone, channel):
            curve = channels.fcurves.find(path, index=index)
            if curve is None and (is_keyed_below or abs(now[index] - rest[index]) > AT_REST):
                curve = channels.fcurves.new(path, index=index)
                curve.group = ensure_group(channels, name)
            if curve is not None:
                frames = np.array([gap.frames.first])
                new = plain_keys(frames, rest[index : index + 1], CONSTANT)
                _splice(curve, new, float(now[index]), gap)


def _rest_values(bone: PoseBone, channel: str) -> Array:
    if channel in ("location", "scale"):
        return np.full(3, float(channel == "scale"))
    return rotation_values(bone, rotation.IDENTITY[None])[0]


def _write(channels: Any, bone: PoseBone, name: str, values: Array, gap: Gap) -> None:
    """values (T + 2, C), the first and last beside the gap."""
    path = data_path(bone, name)
    frames = np.arange(gap.frames.first, gap.frames.last + 1)
    for index in free_channels(bone, name):
        curve = channels.fcurves.find(path, index=index)
        if curve is None:
            curve = channels.fcurves.new(path, index=index)
            curve.group = ensure_group(channels, bone.name)
        unkeyed = float(getattr(bone, name)[index])
        new = plain_keys(frames, values[1:-1, index])
        ends = _shown(curve, gap.frames.last + 1, unkeyed)
        if gap.keeps_after and abs(ends - values[-1, index]) > MEETS:
            new["interpolation"][-1] = CONSTANT  # no sweep between two frames
        _splice(curve, new, unkeyed, gap)


def _splice(curve: FCurve, new: Keys, unkeyed: float, gap: Gap) -> None:
    keys = read_keys(curve)
    times = keys["co"][:, 0]
    edge = gap.frames.first - 1
    before = after = None
    if gap.keeps_before or (times < gap.frames.first - SAME_FRAME).any():
        earlier = times[times < edge]
        first = int(np.floor(earlier[-1])) + 1 if len(earlier) else edge
        before = edge, _all_shown(curve, first, edge, unkeyed)
    edge = gap.frames.last + 1
    if gap.keeps_after or (times > gap.frames.last + SAME_FRAME).any():
        later = times[times > edge]
        last = int(np.ceil(later[0])) - 1 if len(later) else edge
        after = edge, _all_shown(curve, edge, last, unkeyed)
    write_keys(curve, spliced(keys, new, before, after))


def _all_shown(curve: FCurve, first: int, last: int, unkeyed: float) -> Array:
    frames = range(min(first, last), max(first, last) + 1)
    return np.array([_shown(curve, frame, unkeyed) for frame in frames])


def _shown(curve: FCurve | None, frame: int, unkeyed: float) -> float:
    return curve.evaluate(frame) if curve and len(curve.keyframe_points) else unkeyed


def _values_beside(channels: Any, bone: PoseBone, name: str, gap: Gap) -> Array:
    """What the channels of a rotation show at the frame that the gap has to join, (C,)."""
    frame = gap.frames.first - 1 if gap.keeps_before else gap.frames.last + 1
    path = data_path(bone, name)
    return np.array(
        [
            _shown(channels.fcurves.find(path, index=index), frame, float(unkeyed))
            for index, unkeyed in enumerate(getattr(bone, name))
        ]
    )


def _beginning_as(bone: PoseBone, values: Array, beside: Array, gap: Gap) -> Array:
    """The same rotations in the numbers nearest to those beside the gap."""
    joins = 0 if gap.keeps_before else -1
    if bone.rotation_mode == "QUATERNION":
        return -values if np.dot(values[joins], beside) < 0.0 else values
    if bone.rotation_mode == "AXIS_ANGLE":
        return values
    middle = "XYZ".index(bone.rotation_mode[1])
    other = values + np.pi
    other[:, middle] = np.pi - values[:, middle]
    whole = [v + _turns(beside - v[joins]) for v in (values, other)]
    return min(whole, key=lambda v: float(np.abs(v[joins] - beside).sum()))


def _turns(difference: Array) -> Array:
    return 2.0 * np.pi * np.round(difference / (2.0 * np.pi))


def bake_modified(channels: Any, paths: tuple[str, ...], whole: Frames) -> list[str]:
    """Curves that modifiers change, or that hold samples, become keys: one per frame, with the
    same look. They would not stay the same around new keys. -> what was done, in words."""
    baked = set()
    for curve in channels.fcurves:
        if curve.data_path.startswith(paths) and (len(curve.modifiers) or curve.sampled_points):
            first, last = curve.range()
            frames = np.arange(
                min(whole.first, int(np.floor(first))), max(whole.last, int(np.ceil(last))) + 1
            )
            values = np.array([curve.evaluate(float(frame)) for frame in frames])
            for modifier in list(curve.modifiers):
                curve.modifiers.remove(modifier)
            if curve.sampled_points:
                curve.convert_to_keyframes(int(frames[0]), int(frames[-1]) + 1)
            write_keys(curve, plain_keys(frames, values))
            baked.add(curve.data_path.split('"')[1])
    if not baked:
        return []
    names = ", ".join(f"'{name}'" for name in sorted(baked))
    return [f"Modifiers of the F-curves of {names} were made into keys in the new Action."]
