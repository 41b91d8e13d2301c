"""The same look with the travel on the armature object: by keys, a parent or a constraint."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mathutils import Euler, Matrix

from momask_blender.retarget.border import Array

Move = Callable[[Any, Any, Sequence[int]], None]  # scene, armature, frames
LIKE_FBX = Matrix.LocRotScale((0.2, -0.1, 0.0), Euler((np.pi / 2, 0.0, 0.4)), (0.01,) * 3)


def rebased(armature: Any, base: Matrix) -> None:
    """An object that is turned and scaled, with bones that lie where they lay. Before it plays."""
    armature.data.transform(base.inverted())
    armature.matrix_world = base @ armature.matrix_world


def carry(scene: Any, armature: Any, hips: str, frames: Sequence[int], move: Move) -> None:
    """Let `move` make the object travel, and key the hips so that nothing looks different."""
    worlds = []
    for frame in frames:
        scene.frame_set(frame)
        worlds.append(armature.matrix_world @ armature.pose.bones[hips].matrix)
    move(scene, armature, frames)
    bone = armature.pose.bones[hips]
    rotation = "rotation_euler" if len(bone.rotation_mode) == 3 else "rotation_quaternion"
    before = getattr(bone, rotation).copy()
    for frame, world in zip(frames, worlds, strict=True):
        scene.frame_set(frame)
        bone.matrix = armature.matrix_world.inverted() @ world
        getattr(bone, rotation).make_compatible(before)
        before = getattr(bone, rotation).copy()
        for channel in ("location", rotation):
            bone.keyframe_insert(channel, frame=frame)
    scene.frame_set(frames[0])


def course(frame: int, height: float = 0.0, tilt: float = 0.0) -> Matrix:
    """Ahead in a bend, turning; up and down, and leaning, where asked for."""
    time = (frame - 1) / 20.0
    place = Matrix.Translation((0.2 * time**2, -1.1 * time, height * np.sin(5.0 * time)))
    return place @ Euler((tilt * np.sin(3.0 * time), 0.0, 1.2 * time)).to_matrix().to_4x4()


def _key(ob: Any, worlds: dict[int, Matrix]) -> None:
    """Straight from key to key, as the takes' own: parts of frames look the same too."""
    from momask_blender.animation.actions import bound_channels

    ob.rotation_mode = "QUATERNION"
    for frame, world in worlds.items():
        before = ob.rotation_quaternion.copy()
        ob.matrix_basis = world
        ob.rotation_quaternion.make_compatible(before)
        ob.keyframe_insert("location", frame=frame)
        ob.keyframe_insert("rotation_quaternion", frame=frame)
    for curve in bound_channels(ob).fcurves:
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"


def by_keys(height: float = 0.0, tilt: float = 0.0) -> Move:
    def move(_scene: Any, armature: Any, frames: Sequence[int]) -> None:
        base = armature.matrix_basis.copy()
        _key(armature, {frame: course(frame, height, tilt) @ base for frame in frames})

    return move


def by_parent(scene: Any, armature: Any, frames: Sequence[int]) -> None:
    parent = _empty(scene, armature, frames)
    armature.parent = parent


def by_copied_place(scene: Any, armature: Any, frames: Sequence[int]) -> None:
    constraint = armature.constraints.new("COPY_LOCATION")
    constraint.target = _empty(scene, armature, frames)
    constraint.use_offset = True


def by_path(scene: Any, armature: Any, frames: Sequence[int]) -> None:
    """Follow Path along a curve, turned as that runs."""
    import bpy

    data = bpy.data.curves.new("Path", "CURVE")
    data.dimensions, data.use_path = "3D", True
    spline = data.splines.new("NURBS")
    points = [(0.0, 0.0), (0.2, -0.8), (1.0, -1.6), (1.2, -2.6)]
    spline.points.add(len(points) - 1)
    for point, (x, y) in zip(spline.points, points, strict=True):
        point.co = (x, y, 0.0, 1.0)
    spline.use_endpoint_u = True
    curve = bpy.data.objects.new("Path", data)
    scene.collection.objects.link(curve)
    constraint = armature.constraints.new("FOLLOW_PATH")
    constraint.target, constraint.use_fixed_location = curve, True
    constraint.use_curve_follow = True
    constraint.forward_axis, constraint.up_axis = "TRACK_NEGATIVE_Y", "UP_Z"
    for frame, share in ((frames[0], 0.0), (frames[-1], 1.0)):
        constraint.offset_factor = share
        constraint.keyframe_insert("offset_factor", frame=frame)


def _empty(scene: Any, armature: Any, frames: Sequence[int]) -> Any:
    import bpy

    empty = bpy.data.objects.new(f"Carrier of {armature.name}", None)
    scene.collection.objects.link(empty)
    _key(empty, {frame: course(frame) for frame in frames})
    return empty


def worlds_of(scene: Any, armature: Any, frames: Sequence[int]) -> Array:
    """World matrices (T, B, 4, 4) of all bones, axes of length one."""
    found = []
    for frame in frames:
        scene.frame_set(frame)
        world = armature.matrix_world
        found.append([np.array(world @ bone.matrix) for bone in armature.pose.bones])
    shown = np.array(found)
    shown[..., :3, :3] /= np.linalg.norm(shown[..., :3, :3], axis=-2, keepdims=True)
    return shown


def object_state(ob: Any) -> tuple:
    """All that a fill must leave alone: transforms and keys of the object itself."""
    from momask_blender.animation.actions import bound_channels
    from momask_blender.animation.fcurves import read_keys

    channels = bound_channels(ob)
    curves = (
        [c for c in channels.fcurves if not c.data_path.startswith("pose.")] if channels else []
    )
    keys = {(c.data_path, c.array_index): read_keys(c).tobytes() for c in curves}
    return keys, [c.name for c in ob.constraints], ob.parent, ob.scale[:]
