"""Keys on pose bones, each in its own rotation mode and with its locks respected."""

from typing import Any

import numpy as np
from bpy.types import Object, PoseBone
from numpy.typing import NDArray

from ..contract import rotation
from ..retarget.channels import (
    BoneKeys,
    from_axis_angle,
    from_euler,
    to_axis_angle,
    to_euler,
)
from ..rig.rest import world_scale
from ..rig.wiring import Switch
from .fcurves import write_channels, write_constant
from .reduction import SHIFT, TURN, angle_between, distance, kept_frames

Array = NDArray[np.floating]

AT_REST = 1e-6  # a channel this near to its rest value is at rest


def write_bone(
    channels: Any, armature: Object, keys: BoneKeys, first_frame: int, reduce: bool = False
) -> str:
    """Key one bone, one key per frame or, reduced, as few as its motion needs.

    What would spoil the pose, a location or scale that no motion drives, is held at rest. -> which
    channels are locked and stay as they are, in words; empty if none.
    """
    bone = armature.pose.bones[keys.bone]
    locked: list[str] = []
    if keys.rotations is not None:
        _write_rotation(channels, bone, keys.rotations, first_frame, reduce)
        locked += _locked(bone, rotation_channel(bone))
    if keys.location is None:
        _hold_at_rest(channels, bone, "location", first_frame)
    else:
        tolerance = SHIFT / world_scale(armature)
        kept = np.arange(len(keys.location))
        if reduce:
            kept = kept_frames(keys.location, distance, tolerance)
        _write(channels, bone, "location", first_frame + kept, keys.location[kept])
        locked += _locked(bone, "location")
    _hold_at_rest(channels, bone, "scale", first_frame)
    return f"'{bone.name}' keeps its locked {' and '.join(locked)}" if locked else ""


def _write_rotation(
    channels: Any, bone: PoseBone, quats: Array, first_frame: int, reduce: bool
) -> None:
    quats = with_locked_angles(bone, quats)
    values = rotation_values(bone, quats)

    def error(played: Array, wanted: Array) -> Array:
        rotations = values_to_rotations(bone, played), values_to_rotations(bone, wanted)
        return angle_between(*rotations)

    kept = kept_frames(values, error, TURN) if reduce else np.arange(len(values))
    _write(channels, bone, rotation_channel(bone), first_frame + kept, values[kept])


def write_rest_pose(channels: Any, bone: PoseBone, frame: int) -> None:
    """Hold a bone that no motion drives at rest; what is there already gets no key."""
    if bone.matrix_basis.to_quaternion().angle > AT_REST:
        _write_rotation(channels, bone, rotation.IDENTITY[None], frame, False)
    _hold_at_rest(channels, bone, "location", frame)
    _hold_at_rest(channels, bone, "scale", frame)


def _hold_at_rest(channels: Any, bone: PoseBone, name: str, frame: int) -> None:
    rest = np.full(3, 1.0 if name == "scale" else 0.0)
    if np.abs(np.array(getattr(bone, name)) - rest).max() > AT_REST:
        _write(channels, bone, name, np.array([frame]), rest[None])


def _write(channels: Any, bone: PoseBone, name: str, frames: NDArray, values: Array) -> None:
    free = free_channels(bone, name)
    write_channels(channels, data_path(bone, name), bone.name, frames, values, free)


def free_channels(bone: PoseBone, name: str) -> list[int]:
    """Which channels of a property the animator has not locked."""
    return [index for index, is_locked in enumerate(_locks(bone, name)) if not is_locked]


def _locks(bone: PoseBone, name: str) -> list[bool]:
    """Which channels of a property the animator has locked."""
    if name in ("location", "scale"):
        return list(getattr(bone, f"lock_{name}"))
    if name == "rotation_euler":
        return list(bone.lock_rotation)
    if bone.lock_rotations_4d and not all(bone.lock_rotation):
        return [bone.lock_rotation_w, *bone.lock_rotation]
    return [all(bone.lock_rotation)] * 4  # W alone says nothing; else they mean angles


def _locked(bone: PoseBone, name: str) -> list[str]:
    """Which channels of a property are locked, in words; empty if none is."""
    locks = list(bone.lock_rotation) if _locks_angles(bone, name) else _locks(bone, name)
    word = "rotation" if name.startswith("rotation") else name
    axes = "XYZ" if len(locks) == 3 else "WXYZ"
    found = [axis for axis, is_locked in zip(axes, locks, strict=True) if is_locked]
    return [word if len(found) == len(locks) else f"{word} {' '.join(found)}"] if found else []


def _locks_angles(bone: PoseBone, name: str) -> bool:
    """Blender's locks of a quaternion are those of its Euler angles, unless asked for by part."""
    return name in ("rotation_quaternion", "rotation_axis_angle") and not bone.lock_rotations_4d


def with_locked_angles(bone: PoseBone, quats: Array) -> Array:
    if not _locks_angles(bone, rotation_channel(bone)) or not any(bone.lock_rotation):
        return quats
    angles, now = to_euler(quats, "XYZ"), bone.matrix_basis.to_euler("XYZ")
    for index, is_locked in enumerate(bone.lock_rotation):
        if is_locked:
            angles[:, index] = now[index]
    return from_euler(angles, "XYZ")


def write_switch(channels: Any, switch: Switch, frame: int) -> None:
    """Hold a custom property, such as a rig's switch from IK to FK."""
    write_constant(channels, switch.path, switch.bone, frame, [switch.value])


def write_held_rotation(channels: Any, bone: PoseBone, quat: Array, frame: int) -> None:
    """One key that turns a bone for the whole take; locked channels stay."""
    _write_rotation(channels, bone, quat[None], frame, False)


def data_path(bone: PoseBone, name: str) -> str:
    return f"{bone.path_from_id()}.{name}"


def rotation_channel(bone: PoseBone) -> str:
    """The property that turns a bone in its rotation mode."""
    names = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}
    return names.get(bone.rotation_mode, "rotation_euler")


def rotation_values(bone: PoseBone, quats: Array) -> Array:
    """Rotations from rest (T, 4) -> values (T, 3 or 4) of `rotation_channel`, without jumps."""
    if bone.rotation_mode == "QUATERNION":
        return rotation.continuous(quats)
    if bone.rotation_mode == "AXIS_ANGLE":
        return to_axis_angle(quats)
    return to_euler(quats, bone.rotation_mode)


def values_to_rotations(bone: PoseBone, values: Array) -> Array:
    """The inverse of `rotation_values`, also of values between keys. (T, 3 or 4) -> (T, 4)."""
    if bone.rotation_mode == "QUATERNION":
        return rotation.normalized(values)
    if bone.rotation_mode == "AXIS_ANGLE":
        return from_axis_angle(values)
    return from_euler(values, bone.rotation_mode)
