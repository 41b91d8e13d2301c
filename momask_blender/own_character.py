"""Open the file with the animator's own character, for the command line."""

import shutil
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import bpy
from bpy.types import Object

from .errors import UserError
from .rig.checks import check_armature
from .rig.known_maps import known_maps
from .rig.map_file import read_map_file


def open_own(chosen: Namespace, note: Callable[[str], None]) -> Object | None:
    """The character that the user brought, with its bones known; None if there is none.

    `note` hears what is odd about it. Raises UserError.
    """
    if chosen.character is None:
        return None
    armature = open_character(chosen.character, chosen.armature)
    know_bones(armature, chosen.map, note)
    return armature


def know_bones(armature: Object, map_file: Path | None, note: Callable[[str], None]) -> None:
    """By the user's own map, or as they are recognised. Raises UserError."""
    check_armature(armature)
    if map_file is not None:
        known_maps.keep(armature, read_map_file(map_file, armature.data.bones))
    for warning in known_maps.map_of(armature).warnings:
        note(warning)


def open_character(file: Path, name: str | None = None, at_its_rate: bool = False) -> Object:
    """The armature in it. A .blend becomes the open file, anything else is imported into an empty
    one. `name` says which of several; `at_its_rate`: the scene takes the animation's frame rate,
    else it keeps Blender's. Raises UserError."""
    try:
        if file.suffix.lower() == ".blend":
            _open_blend(str(file.absolute()))
        else:
            _import(file.absolute(), at_its_rate)
    except (RuntimeError, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"Cannot open {file}: {lines[-1].strip()}") from error
    return _choose(file, name)


def _choose(file: Path, name: str | None) -> Object:
    found = {ob.name: ob for ob in bpy.data.objects if ob.type == "ARMATURE" and ob.users_scene}
    listed = ", ".join(f"'{each}'" for each in sorted(found))
    if not found:
        raise UserError(f"{file} has no armature. Give the file of a rigged character.")
    if name is not None and name not in found:
        raise UserError(f"{file} has no armature '{name}'. It has {listed}.")
    if name is None and len(found) > 1:
        raise UserError(f"{file} has several armatures, {listed}: say which with --armature.")
    return found[name] if name is not None else next(iter(found.values()))


def _open_blend(file: str) -> None:
    """As it is, but for its window layout and its scripts, which a stranger may have written."""
    bpy.ops.wm.open_mainfile(filepath=file, load_ui=False, use_scripts=False)


def _import(file: Path, at_its_rate: bool) -> None:
    """Into an empty file. Importers set the scene's rate or not, as it suits them."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    render = bpy.context.scene.render
    rate = render.fps, render.fps_base
    _IMPORTERS[file.suffix.lower()](str(file))
    if not at_its_rate:
        render = bpy.context.scene.render
        render.fps, render.fps_base = rate


def _import_vrm(file: str) -> None:
    """A VRM is a glTF by another name; Blender's importer goes by the name."""
    with tempfile.TemporaryDirectory(prefix="momask-") as folder:
        copy = Path(folder) / Path(file).with_suffix(".glb").name
        shutil.copyfile(file, copy)
        bpy.ops.import_scene.gltf(filepath=str(copy))


_IMPORTERS: dict[str, Callable[[str], object]] = {
    ".fbx": lambda file: bpy.ops.import_scene.fbx(filepath=file),
    ".glb": lambda file: bpy.ops.import_scene.gltf(filepath=file),
    ".gltf": lambda file: bpy.ops.import_scene.gltf(filepath=file),
    ".vrm": _import_vrm,
    ".bvh": lambda file: bpy.ops.import_anim.bvh(filepath=file, update_scene_fps=True),
}
