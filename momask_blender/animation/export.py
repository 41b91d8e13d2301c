"""Write the scene's character to a file that is complete or not there at all."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
from bpy.types import Object

from ..errors import UserError


def export_fbx(armature: Object, file: Path) -> None:
    """The character with its mesh and the Action it plays, at the scene's frame rate."""
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
            bake_anim_use_nla_strips=False,
            bake_anim_use_all_actions=False,
            bake_anim_simplify_factor=0.0,  # the default smooths planted feet into sliding ones
        )

    _write_whole(file, write)


def save_blend(file: Path) -> None:
    """The whole scene as a .blend of its own."""

    def write(part: Path) -> None:
        bpy.ops.wm.save_as_mainfile(filepath=str(part), copy=True, check_existing=False)
        # Blender 5.0 reports success on a full disk: what was written must open.
        with bpy.data.libraries.load(str(part)) as (found, _):
            if bpy.context.scene.name not in found.scenes:
                raise OSError("the file is not complete; is the disk full?")

    _write_whole(file, write)


def _select_only(objects: list[Object]) -> None:
    for ob in bpy.context.view_layer.objects:
        ob.select_set(ob in objects)
    bpy.context.view_layer.objects.active = objects[0]


def _write_whole(file: Path, write: Callable[[Path], object]) -> None:
    try:
        with neighbour(file) as part:
            write(part)
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"Could not write {file}: {reason}") from error


@contextmanager
def neighbour(file: Path) -> Iterator[Path]:
    """A new folder beside `file` to write into; what is there at the end takes its place."""
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".momask-") as folder:
        part = Path(folder) / file.name
        yield part
        os.replace(part, file)
