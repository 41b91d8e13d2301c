"""Turn a bone of a copy and see what follows: the user's own rig is never touched."""

import math
from typing import Any

import bpy
import numpy as np
from bpy.types import Object, PoseBone
from mathutils import Matrix, Quaternion, Vector
from numpy.typing import NDArray

from ..animation.actions import clear_actions
from ..animation.staging import refer_to
from .wiring import Switch

Array = NDArray[np.floating]

SCENE = "momask probe"
STILL, RIGID, CARRIED, HALF, PARTLY = range(5)
"""How a bone follows: not at all, wholly, with its head only, with its head and a share of the
turn, in any other way."""

TURN = Quaternion(Vector((0.48, 0.6, 0.64)), math.radians(20.0))  # about no bone's own axis
SAME_TURN = 2e-3  # radians, where 0.35 was turned
SAME_PLACE = 2e-4  # of the rig's size
UNMOVED = {
    "location": (0.0,) * 3,
    "rotation_quaternion": (1.0, 0.0, 0.0, 0.0),
    "rotation_euler": (0.0,) * 3,
    "rotation_axis_angle": (0.0, 0.0, 1.0, 0.0),
    "scale": (1.0,) * 3,
}


class Probe:
    """A copy of an armature, all bones at their rest, alone in a scene of its own."""

    def __init__(self, armature: Object) -> None:
        remove_leftovers()
        self.rig = armature.copy()
        self.rig.data = armature.data.copy()
        clear_actions(self.rig)
        clear_actions(self.rig.data)
        self.rig.data.pose_position = "POSE"
        refer_to(self.rig, {armature: self.rig})
        self._scene = bpy.data.scenes.new(SCENE)
        self._scene.collection.objects.link(self.rig)
        bones = self.rig.pose.bones
        self.names: list[str] = bones.keys()
        self.index = {name: number for number, name in enumerate(self.names)}
        self._posed = {channel: self._read(channel) for channel in UNMOVED}
        self.reset()

    def __enter__(self) -> "Probe":
        return self

    def __exit__(self, *_: object) -> None:
        data = self.rig.data
        bpy.data.scenes.remove(self._scene)
        bpy.data.objects.remove(self.rig)
        bpy.data.armatures.remove(data)

    def bone(self, name: str) -> PoseBone:
        return self.rig.pose.bones[name]

    def matrices(self) -> Array:
        """All bones as constraints and drivers leave them, in the armature's space. (N, 4, 4)."""
        self.rig.update_tag()
        layer = self._scene.view_layers[0]
        layer.update()
        bones = self.rig.evaluated_get(layer.depsgraph).pose.bones
        values = np.empty(16 * len(self.names), np.float32)
        bones.foreach_get("matrix", values)
        return values.reshape(-1, 4, 4).swapaxes(1, 2).astype(float)

    def reset(self) -> None:
        """Every bone as it is without keys."""
        for channel, values in UNMOVED.items():
            self._write(channel, np.tile(values, len(self.names)))

    def set(self, switch: Switch) -> float:
        """Put a custom property to a value; returns the one before."""
        bone = self.bone(switch.bone)
        before = bone[switch.property]
        bone[switch.property] = type(before)(switch.value)
        return float(before)

    def pose_as_found(self, without: list[str]) -> None:
        """As the user's rig stands, but for some bones."""
        rows = [self.index[name] for name in without]
        for channel, values in self._posed.items():
            found = values.reshape(len(self.names), -1).copy()
            found[rows] = UNMOVED[channel]
            self._write(channel, found.ravel())

    def followers(self, name: str, rest: Array) -> NDArray[np.int_]:
        """How every bone follows when that one is turned; `rest` is `matrices()` without. (N,)."""
        bone = self.bone(name)
        mode = bone.rotation_mode
        bone.rotation_mode = "QUATERNION"
        bone.rotation_quaternion = TURN
        try:
            return follow(rest, self.matrices(), self.index[name])
        finally:
            bone.rotation_quaternion = Quaternion()
            bone.rotation_mode = mode

    def obeys(self, names: list[str]) -> list[bool]:
        """Whether each bone turns as it is told to, all of them told at once."""
        modes = [self.bone(name).rotation_mode for name in names]
        for name in names:
            self.bone(name).rotation_mode = "QUATERNION"
            self.bone(name).rotation_quaternion = TURN
        self.matrices()
        posed = self.rig.evaluated_get(self._scene.view_layers[0].depsgraph)
        found = [
            posed.convert_space(
                pose_bone=posed.pose.bones[name],
                matrix=posed.pose.bones[name].matrix,
                from_space="POSE",
                to_space="LOCAL",
            )
            for name in names
        ]
        for name, mode in zip(names, modes, strict=True):
            self.bone(name).rotation_quaternion = Quaternion()
            self.bone(name).rotation_mode = mode
        told = Matrix.LocRotScale(None, TURN, None)
        return [np.abs(np.array(matrix) - told)[:3, :3].max() < SAME_TURN for matrix in found]

    def _read(self, channel: str) -> Array:
        values = np.empty(len(UNMOVED[channel]) * len(self.names), np.float32)
        self.rig.pose.bones.foreach_get(channel, values)
        return values

    def _write(self, channel: str, values: Array) -> None:
        self.rig.pose.bones.foreach_set(channel, values.astype(np.float32))


def follow(before: Array, after: Array, mover: int) -> NDArray[np.int_]:
    """How each of (N, 4, 4) matrices follows when one of them moved. (N,)."""
    change = after[mover] @ np.linalg.inv(before[mover])
    predicted = change @ before
    size = np.ptp(before[:, :3, 3], axis=0).max()

    def places_differ(a: Array, b: Array) -> Array:
        return np.linalg.norm(a[:, :3, 3] - b[:, :3, 3], axis=-1) > SAME_PLACE * size

    def turns_differ(a: Array, b: Array) -> Array:
        return np.abs(_axes(a) - _axes(b)).max(axis=(1, 2)) > SAME_TURN

    unturned, stays = ~turns_differ(after, before), ~places_differ(after, before)
    turned, carried = ~turns_differ(after, predicted), ~places_differ(after, predicted)
    kinds = np.full(len(before), PARTLY)
    kinds[carried] = HALF
    kinds[unturned & carried] = CARRIED
    kinds[turned & carried] = RIGID
    kinds[unturned & stays] = STILL
    return kinds


def _axes(matrices: Array) -> Array:
    axes = matrices[:, :3, :3]
    return axes / np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)


def remove_leftovers() -> None:
    """Copies that an undo brought back, if it was made while one was looked at."""
    for scene in [scene for scene in bpy.data.scenes if scene.name.startswith(SCENE)]:
        objects: list[Any] = list(scene.collection.objects)
        bpy.data.scenes.remove(scene)
        bpy.data.batch_remove([*objects, *(ob.data for ob in objects)])
