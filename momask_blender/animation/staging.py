"""A copy of one character that plays one take, alone in a scene of its own.

Exporters write what they find in a scene. In this one there is nothing else, so nothing else gets
in; and whatever is hidden, selected, muted or in edit mode in the user's scene stays as it is.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
from bpy.types import ID, Object, Scene

from ..errors import UserError
from .actions import bound_channels, clear_actions, key_range, play_as_strip, playing
from .standing_alone import stand_alone
from .temporary import shown, temporary_scene


@dataclass
class Stage:
    """The copies under the originals' names, selected, and the frames that have keys."""

    scene: Scene
    rig: Object
    meshes: list[Object]
    take: str  # its name
    paths: set[str]  # what it moves
    first: int
    last: int


@contextmanager
def staged(armature: Object) -> Iterator[Stage]:
    """What `armature` plays, with its meshes, ready for an exporter. Raises UserError."""
    channels = bound_channels(armature)
    if channels is None or not channels.fcurves:
        raise UserError(f"'{armature.name}' plays no Action with keys: there is nothing to export.")
    action, slot = playing(armature)
    first, last = key_range(channels)
    with temporary_scene("momask export") as scene, ExitStack() as names:
        _like_scene_of(armature, scene, first, last)
        copies = _copies([armature, *skinned_meshes(armature)])
        for original, copy in copies.items():
            names.enter_context(_name_lent(original, copy))
            names.enter_context(_name_lent(original.data, copy.data))
            scene.collection.objects.link(copy)
        rig = copies[armature]
        play_as_strip(rig, action, slot, (first, last), action.name)
        paths = {curve.data_path for curve in channels.fcurves}
        if stand_alone(scene, list(copies.values()), rig, range(first, last + 1)):
            paths.add("location")
        with shown(scene):
            _select(scene, rig)
            meshes = [copy for copy in copies.values() if copy.type == "MESH"]
            yield Stage(scene, rig, meshes, action.name, paths, first, last)


def skinned_meshes(armature: Object) -> list[Object]:
    """The character's meshes: bent by the armature or its descendants. Neither another character
    on its back nor the shapes of its own controls."""
    widgets = {bone.custom_shape for bone in armature.pose.bones}
    bent = [ob for ob in bpy.data.objects if armature in _benders(ob)]
    carried = [ob for ob in _descendants(armature) if not _benders(ob)]
    meshes = [ob for ob in {*bent, *carried} if ob.type == "MESH" and ob.users_scene]
    return sorted((ob for ob in meshes if ob not in widgets), key=lambda ob: ob.name)


def _benders(ob: Object) -> list[Object]:
    return [m.object for m in ob.modifiers if m.type == "ARMATURE" and m.object]


def _descendants(ob: Object) -> Iterator[Object]:
    for child in ob.children:
        if child.type != "ARMATURE":
            yield child
            yield from _descendants(child)


def _like_scene_of(armature: Object, scene: Scene, first: int, last: int) -> None:
    scenes = armature.users_scene
    if not scenes:
        raise UserError(f"'{armature.name}' is in no scene. Link it to one.")
    own = bpy.context.scene if bpy.context.scene in scenes else scenes[0]
    scene.render.fps, scene.render.fps_base = own.render.fps, own.render.fps_base
    scene.unit_settings.system = own.unit_settings.system
    scene.unit_settings.scale_length = own.unit_settings.scale_length
    scene.frame_start, scene.frame_end = first, last
    scene.frame_set(first)


def _copies(originals: list[Object]) -> dict[Object, Object]:
    """Copies with data of their own that refer to each other as the originals do."""
    copies = {}
    for original in originals:
        original.update_from_editmode()
        copy = original.copy()
        copy.data = original.data.copy()
        copy.hide_viewport = copy.hide_select = False
        copies[original] = copy
    for copy in copies.values():
        clear_actions(copy)
        if copy.type == "ARMATURE":
            copy.data.pose_position = "POSE"
        elif copy.data.shape_keys:
            clear_actions(copy.data.shape_keys)
        if copy.parent in copies:
            inverse = copy.matrix_parent_inverse.copy()
            copy.parent = copies[copy.parent]
            copy.matrix_parent_inverse = inverse
        refer_to(copy, copies)
    return copies


def refer_to(copy: Object, copies: dict[Object, Object]) -> None:
    """Modifiers, constraints and drivers of a copy point at copies, not at their originals."""
    for owner in _referrers(copy):
        _retarget(owner, copies)


def _referrers(copy: Object) -> Iterator[Any]:
    """Everything about an object that may point at an armature."""
    bones = copy.pose.bones if copy.pose else ()
    constraints = [*copy.constraints, *(c for bone in bones for c in bone.constraints)]
    yield from copy.modifiers
    yield from constraints
    for constraint in constraints:
        yield from getattr(constraint, "targets", ())
    blocks: list[ID | None] = [copy, copy.data, getattr(copy.data, "shape_keys", None)]
    for block in blocks:
        if block and block.animation_data:
            for driver in block.animation_data.drivers:
                for variable in driver.driver.variables:
                    yield from variable.targets


def _retarget(owner: Any, copies: dict[Object, Object]) -> None:
    for prop in owner.bl_rna.properties:
        if prop.type == "POINTER" and not prop.is_readonly:
            value = getattr(owner, prop.identifier)
            if isinstance(value, Object) and value in copies:
                setattr(owner, prop.identifier, copies[value])


@contextmanager
def _name_lent(original: ID, copy: ID) -> Iterator[None]:
    """Files carry names: the copy has the original's meanwhile."""
    name = original.name
    if original.library is None:  # names in a library are its own and do not collide
        original.name = "momask original"
    copy.name = name
    try:
        yield
    finally:
        copy.name = "momask copy"
        if original.library is None:
            original.name = name


def _select(scene: Scene, rig: Object) -> None:
    layer = scene.view_layers[0]
    layer.update()
    for ob in layer.objects:
        ob.select_set(True, view_layer=layer)
    layer.objects.active = rig
