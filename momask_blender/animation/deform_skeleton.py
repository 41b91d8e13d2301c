"""A staged control rig becomes one clean tree of its deform bones, with their motion baked.

Engines want the bones that bend the mesh, each below the one that it follows, and nothing else. In
control rigs these hang from helpers, or follow them by constraints alone.
"""

from collections.abc import Iterator

import bpy
import numpy as np
from bpy.types import Bone, Object
from mathutils import Matrix
from numpy.typing import NDArray

from ..contract import rotation
from .actions import clear_drivers, strip_channels
from .fcurves import write_channels
from .staging import Stage

Array = NDArray[np.floating]

SAME_PLACE = 1e-3  # of the rig's height
SAME_WAY = 0.998  # cosine
STILL = 1e-6  # armature units


def is_control_rig(rig: Object) -> bool:
    """Whether deform bones hang from other bones, or something else than keys moves them."""
    deforming = [bone for bone in rig.data.bones if bone.use_deform]
    if not deforming or len(deforming) == len(rig.data.bones):
        return False
    pulled = any(rig.pose.bones[bone.name].constraints for bone in deforming)
    above = (helper for bone in deforming for helper in bone.parent_recursive)
    return pulled or any(not bone.use_deform and bone.parent for bone in above)


def reduce_to_deform_bones(stage: Stage) -> None:
    """Leave only the deform bones of the staged copy: one tree, keyed on every frame.

    Lengths stay: engines would hand a stretch on to all bones below.
    """
    parents = deform_parents(stage.rig)
    _keep_travelling_root(stage, parents)
    frames = np.arange(stage.first, stage.last + 1)
    posed = _sampled(stage, list(parents), frames)
    _move_carried_meshes(stage, parents)
    _rebuild(stage, parents)
    _bake(stage, parents, posed, frames)


def deform_parents(rig: Object) -> dict[str, str]:
    """Deform bone -> the deform bone that it follows, '' for the one root; parents come first."""
    bones = [bone for bone in rig.data.bones if bone.use_deform]
    stands_for = _stands_for(rig, bones)
    parents = {bone.name: "" for bone in bones}
    for lines in (_parents_above, _targets_above):
        for bone in bones:
            if not parents[bone.name]:
                above = (stands_for.get(helper.name, "") for helper in lines(rig, bone))
                fitting = (name for name in above if name and bone.name not in _line(parents, name))
                parents[bone.name] = next(fitting, "")
    roots = [name for name in parents if not parents[name]]
    trunk = max(roots, key=lambda root: sum(root in _line(parents, name) for name in parents))
    for root in roots:
        parents[root] = "" if root == trunk else trunk
    return {name: parents[name] for name in sorted(parents, key=lambda n: len(_line(parents, n)))}


def _stands_for(rig: Object, deforming: list[Bone]) -> dict[str, str]:
    """Bone -> itself if it deforms, else the deform bone that lies where it lies at rest."""
    heads = np.array([bone.head_local for bone in deforming])
    ways = np.array([(bone.tail_local - bone.head_local).normalized() for bone in deforming])
    near = SAME_PLACE * np.ptp(heads, axis=0).max()
    found = {}
    for bone in rig.data.bones:
        way = np.array((bone.tail_local - bone.head_local).normalized())
        fits = (np.linalg.norm(heads - bone.head_local, axis=-1) < near) & (ways @ way > SAME_WAY)
        if bone.use_deform:
            found[bone.name] = bone.name
        elif fits.any():
            found[bone.name] = deforming[int(np.argmax(fits))].name
    return found


def _parents_above(_: Object, bone: Bone) -> Iterator[Bone]:
    yield from bone.parent_recursive


def _targets_above(rig: Object, bone: Bone) -> Iterator[Bone]:
    """What its constraints follow, and whatever is above that."""
    queue, seen = [bone], {bone}
    while queue:
        current = queue.pop(0)
        constraints = rig.pose.bones[current.name].constraints
        names = [getattr(constraint, "subtarget", "") for constraint in constraints]
        targets = [rig.data.bones[name] for name in names if name in rig.data.bones]
        for other in (*targets, *([current.parent] if current.parent else [])):
            if other not in seen:
                seen.add(other)
                queue.append(other)
                yield other


def _line(parents: dict[str, str], name: str) -> list[str]:
    """A bone and all above it."""
    line = [name]
    while name := parents[name]:
        line.append(name)
    return line


def _keep_travelling_root(stage: Stage, parents: dict[str, str]) -> None:
    """A root bone that the take keys carries the travel: it stays, above all others."""
    trunk = next(iter(parents))
    above = stage.rig.data.bones[trunk].parent_recursive
    if above and any(path.startswith(f'pose.bones["{above[-1].name}"]') for path in stage.paths):
        rest = dict(parents)
        parents.clear()
        parents |= {above[-1].name: ""} | rest | {trunk: above[-1].name}


def _sampled(stage: Stage, names: list[str], frames: Array) -> Array:
    """Where the bones are in the armature's space, without stretch. (T, B, 4, 4)."""
    every = list(stage.rig.pose.bones.keys())
    rows = [every.index(name) for name in names]
    posed = np.empty((len(frames), len(every) * 16), np.float32)
    graph = stage.scene.view_layers[0].depsgraph
    for frame, values in zip(frames, posed, strict=True):
        stage.scene.frame_set(int(frame))
        stage.rig.evaluated_get(graph).pose.bones.foreach_get("matrix", values)
    matrices = posed.reshape(len(frames), -1, 4, 4).swapaxes(-1, -2)[:, rows].astype(float)
    matrices[..., :3, :3] = _unstretched(matrices[..., :3, :3])
    stage.scene.frame_set(stage.first)
    return matrices


def _unstretched(axes: Array) -> Array:
    """(..., 3, 3) with any scale and shear -> square axes of length 1 that keep the bone's way."""
    x, y = axes[..., 0], rotation.normalized(axes[..., 1])
    x = rotation.normalized(x - np.sum(x * y, axis=-1, keepdims=True) * y)
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def _move_carried_meshes(stage: Stage, parents: dict[str, str]) -> None:
    """Objects on a helper hang from the deform bone that it stands for or follows."""
    bones = [stage.rig.data.bones[name] for name in parents]
    stands_for = _stands_for(stage.rig, bones)
    for mesh in stage.meshes:
        if mesh.parent != stage.rig or mesh.parent_type != "BONE" or mesh.parent_bone in parents:
            continue
        helper = stage.rig.data.bones[mesh.parent_bone]
        line = [helper, *_targets_above(stage.rig, helper)]
        above = (stands_for.get(bone.name, "") for bone in line)
        place = mesh.matrix_world.copy()
        mesh.parent_bone = next(filter(None, above), next(iter(parents)))
        mesh.matrix_world = place


def _rebuild(stage: Stage, parents: dict[str, str]) -> None:
    rig = stage.rig
    clear_drivers(rig)
    clear_drivers(rig.data)
    for bone in rig.pose.bones:
        bone.custom_shape = None
        while bone.constraints:
            bone.constraints.remove(bone.constraints[0])
    layer = stage.scene.view_layers[0]
    active = {"object": rig, "active_object": rig, "selected_objects": [rig]}
    with bpy.context.temp_override(scene=stage.scene, view_layer=layer, **active):
        bpy.ops.object.mode_set(mode="EDIT")
        bones = rig.data.edit_bones
        for bone in [bone for bone in bones if bone.name not in parents]:
            bones.remove(bone)
        for name, parent in parents.items():
            bones[name].use_connect = False
            bones[name].parent = bones.get(parent)
        bpy.ops.object.mode_set(mode="OBJECT")
    for bone in rig.data.bones:
        bone.use_deform = bone.use_inherit_rotation = bone.use_local_location = True
        bone.inherit_scale = "FULL"
        bone.bbone_segments = 1
        bone.hide = bone.hide_select = False


def _bake(stage: Stage, parents: dict[str, str], posed: Array, frames: Array) -> None:
    rig = stage.rig
    channels = strip_channels(rig)
    for curve in [c for c in channels.fcurves if c.data_path.startswith("pose.bones")]:
        channels.fcurves.remove(curve)
    row = {name: number for number, name in enumerate(parents)}
    for name, parent in parents.items():
        rest, above = rig.data.bones[name].matrix_local, Matrix()
        carried = np.eye(4)
        if parent:
            above = rig.data.bones[parent].matrix_local
            carried = posed[:, row[parent]]
        local = np.array(above.inverted() @ rest)
        basis = np.linalg.inv(carried @ local) @ posed[:, row[name]]
        pose_bone = rig.pose.bones[name]
        pose_bone.rotation_mode = "QUATERNION"
        pose_bone.matrix_basis = Matrix()
        path = f'pose.bones["{bpy.utils.escape_identifier(name)}"]'
        turns = rotation.continuous(rotation.from_matrix(basis[:, :3, :3]))
        write_channels(channels, f"{path}.rotation_quaternion", name, frames, turns)
        if np.abs(basis[:, :3, 3]).max() > STILL:
            write_channels(channels, f"{path}.location", name, frames, basis[:, :3, 3])
    stage.paths = {curve.data_path for curve in channels.fcurves}
