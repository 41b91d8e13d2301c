"""Copies on a stage whose parents are not there: exporters leave out what hangs from one."""

from collections.abc import Sequence

import numpy as np
from bpy.types import Object, Scene
from mathutils import Matrix

from .actions import strip_channels
from .fcurves import write_channels

PLACES = ("location", "rotation", "scale", "delta_")  # beginnings of what moves an object
STAYS = 1e-6


def stand_alone(scene: Scene, copies: Sequence[Object], rig: Object, frames: range) -> bool:
    """Take copies off parents that are no copies; in the world they stay where they are.

    Where its parent's or its own travel moves the rig, keys of its strip take the place of that.
    -> whether they do.
    """
    orphans = [ob for ob in copies if ob.parent is not None and ob.parent not in copies]
    if not orphans:
        return False
    worlds = _worlds(scene, rig, frames) if rig in orphans else []
    scene.frame_set(frames[0])
    places = [(ob, ob.matrix_world.copy()) for ob in orphans]
    for ob, place in places:
        ob.parent, ob.matrix_world = None, place
    moves = bool(worlds) and np.ptp(np.array(worlds), axis=0).max() > STAYS
    if moves:
        _key(rig, worlds, frames)
    scene.frame_set(frames[0])
    return moves


def _worlds(scene: Scene, rig: Object, frames: range) -> list[Matrix]:
    worlds = []
    for frame in frames:
        scene.frame_set(frame)
        worlds.append(rig.evaluated_get(scene.view_layers[0].depsgraph).matrix_world.copy())
    return worlds


def _key(rig: Object, worlds: Sequence[Matrix], frames: range) -> None:
    for constraint in list(rig.constraints):
        rig.constraints.remove(constraint)
    channels = strip_channels(rig)
    for curve in [each for each in channels.fcurves if each.data_path.startswith(PLACES)]:
        channels.fcurves.remove(curve)
    rig.rotation_mode = "QUATERNION"
    places, turns = [], []
    for world in worlds:
        before = rig.rotation_quaternion.copy()
        rig.matrix_world = world
        rig.rotation_quaternion.make_compatible(before)
        places.append(rig.location[:])
        turns.append(rig.rotation_quaternion[:])
    for path, values in (("location", places), ("rotation_quaternion", turns)):
        write_channels(channels, path, "Object Transforms", np.array(frames), np.array(values))
