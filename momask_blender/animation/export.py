"""Write the scene's character to a file that is complete or not there at all."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
from bpy.types import Object

from ..errors import UserError
from .actions import as_only_strip

UNFINISHED = f".momask-{os.getpid()}-"  # how our folders of files in the making begin


def export_fbx(armature: Object, file: Path) -> None:
    """The character with its mesh and the Action it plays, at the scene's frame rate.

    The take has the Action's name and starts at time zero. Raises UserError.
    """
    _select_only([armature, *armature.children])

    def write(part: Path) -> None:
        bpy.ops.export_scene.fbx(
            filepath=str(part),
            use_selection=True,
            object_types={"ARMATURE", "MESH"},
            apply_scale_options="FBX_SCALE_ALL",  # scale 1 in engines and on re-import
            add_leaf_bones=False,
            bake_anim=True,
            bake_anim_use_all_bones=True,
            bake_anim_use_nla_strips=True,
            bake_anim_use_all_actions=False,
            bake_anim_simplify_factor=0.0,  # the default smooths planted feet into sliding ones
        )

    with as_only_strip(armature):
        write_whole(file, write)


def save_blend(file: Path) -> None:
    """The whole scene as a .blend of its own. Raises UserError."""

    def write(part: Path) -> None:
        bpy.ops.wm.save_as_mainfile(filepath=str(part), copy=True, check_existing=False)
        # Blender 5.0 reports success on a full disk: what was written must open.
        with bpy.data.libraries.load(str(part)) as (found, _):
            if bpy.context.scene.name not in found.scenes:
                raise OSError("the file is not complete; is the disk full?")

    write_whole(file, write)


def _select_only(objects: list[Object]) -> None:
    for ob in bpy.context.view_layer.objects:
        ob.select_set(ob in objects)
    bpy.context.view_layer.objects.active = objects[0]


def write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make the file elsewhere and put it in its place. Raises UserError."""
    try:
        with _neighbour(file) as part:
            write(part)
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"Could not write {file}: {reason}") from error


def remove_unfinished(files: list[Path]) -> None:
    """Remove what this process was writing for `files` when it was told to end."""
    for file in files:
        for folder in file.parent.glob(f"{UNFINISHED}*"):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _neighbour(file: Path) -> Iterator[Path]:
    """A new folder beside `file` to write into; what is there at the end takes its place."""
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=UNFINISHED) as folder:
        part = Path(folder) / file.name
        yield part
        os.replace(part, file)
