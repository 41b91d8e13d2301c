"""One character and one take -> FBX, glTF, BVH. A whole scene -> .blend."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import addon_utils
import bpy
from bpy.types import Object
from bpy_extras.io_utils import axis_conversion

from ..errors import UserError
from .deform_skeleton import is_control_rig, reduce_to_deform_bones
from .resize import scale_stage, turn_stage
from .staging import Stage, staged
from .whole_files import write_whole

ENDINGS = (".fbx", ".glb", ".bvh")
CENTIMETRE = 0.01  # metres

FBX: dict[str, Any] = {
    "use_selection": True,
    "object_types": {"ARMATURE", "MESH"},
    "apply_scale_options": "FBX_SCALE_ALL",  # the unit goes into the header: scale 1 on all nodes
    "axis_forward": "-Z",  # Y up, as most programs have it
    "axis_up": "Y",
    "add_leaf_bones": False,  # engines list them as bones that nothing moves
    "primary_bone_axis": "Y",  # the rig's own axes: a skeleton imported before still fits
    "secondary_bone_axis": "X",
    "bake_anim": True,
    "bake_anim_use_all_bones": True,
    "bake_anim_use_nla_strips": True,
    "bake_anim_use_all_actions": False,
    "bake_anim_simplify_factor": 0.0,  # the default smooths planted feet into sliding ones
}
PRESETS: dict[str, dict[str, Any]] = {
    "GENERIC": {},
    "UNITY": {
        "use_armature_deform_only": True,  # controls would need bones in the avatar
    },
    "UNREAL": {
        "axis_forward": "Y",  # Z up and front -Y: what its importer converts to, so no turn
        "axis_up": "Z",
        "use_armature_deform_only": True,
        "mesh_smooth_type": "FACE",  # or it warns of missing smoothing groups
    },
}


def export_take(armature: Object, file: Path, preset: str = "GENERIC") -> None:
    """Write `armature`, its meshes and the Action it plays now, and nothing else, by the ending of
    `file`: .fbx (for the engine that `preset` names), .glb or .bvh (bones only).

    The take has the Action's name and, in FBX and glTF, starts at time zero. There a control rig
    comes out as its deform bones alone. Raises UserError.
    """
    writers: dict[str, Callable[[Stage, Path], object]] = {
        ".fbx": lambda stage, part: _write_fbx(stage, part, preset),
        ".glb": _write_glb,
        ".bvh": _write_bvh,
    }
    ending = file.suffix.lower()
    if ending not in writers:
        raise UserError(f"'{file.name}' must end in {' or '.join(ENDINGS)}.")
    with staged(armature) as stage:
        if ending != ".bvh" and is_control_rig(stage.rig):
            reduce_to_deform_bones(stage)
        write_whole(file, lambda part: writers[ending](stage, part))


def _write_fbx(stage: Stage, part: Path, preset: str) -> None:
    if preset == "UNREAL":
        _prepare_for_unreal(stage)
    bpy.ops.export_scene.fbx(filepath=str(part), **FBX | PRESETS[preset])


def _prepare_for_unreal(stage: Stage) -> None:
    """Unreal counts in centimetres, reads numbers as they are and makes the armature's node a bone,
    unless it is called Armature: it becomes the root bone where the rig has none at its origin."""
    units = stage.scene.unit_settings
    scale_stage(stage, units.scale_length / CENTIMETRE)
    units.scale_length = CENTIMETRE
    roots = [bone for bone in stage.rig.data.bones if bone.parent is None]
    has_root = len(roots) == 1 and roots[0].head_local.length < CENTIMETRE
    stage.rig.name = "Armature" if has_root else "root"


def _write_glb(stage: Stage, part: Path) -> None:
    # Blender's exporter multiplies by fps_base where it should divide (4.2 to 5.2).
    stage.scene.render.fps_base = 1.0 / stage.scene.render.fps_base
    bpy.ops.export_scene.gltf(
        filepath=str(part),
        export_format="GLB",
        use_selection=True,
        use_active_scene=True,
        export_animation_mode="NLA_TRACKS",  # one track: one animation, with its name
        export_anim_slide_to_zero=True,
        export_force_sampling=True,
        export_optimize_animation_size=False,  # every frame stays
        export_apply=not any(mesh.data.shape_keys for mesh in stage.meshes),
    )


def _write_bvh(stage: Stage, part: Path) -> None:
    """Metres, Y up as BVH has it; Blender's exporter writes armature space as it is."""
    if any(not path.startswith("pose.bones") for path in stage.paths):
        raise RuntimeError("the take moves the armature object, and BVH has bones only; choose FBX")
    turn_stage(stage, axis_conversion(to_forward="-Z", to_up="Y").to_4x4())
    _, was_enabled = addon_utils.check("io_anim_bvh")
    if not was_enabled and addon_utils.enable("io_anim_bvh", persistent=False) is None:
        raise RuntimeError("Blender's BVH add-on is missing; choose FBX or glTF")
    try:
        bpy.ops.export_anim.bvh(filepath=str(part), frame_start=stage.first, frame_end=stage.last)
    finally:
        if not was_enabled:
            addon_utils.disable("io_anim_bvh", default_set=False)
    _join_names(part)


def _join_names(file: Path) -> None:
    """A BVH name ends at the first space."""
    text = file.read_text(encoding="utf-8")
    joined = re.sub(
        r"(?m)^(\s*(?:ROOT|JOINT) )(.+)$", lambda m: m[1] + re.sub(r"\s+", "_", m[2]), text
    )
    file.write_text(joined, encoding="utf-8", newline="\n")


def save_blend(file: Path) -> None:
    """The whole scene as a .blend of its own. Raises UserError."""

    def write(part: Path) -> None:
        # In its own folder from the start: textures are found by paths that begin there.
        beside = part.parent.with_suffix(".blend")
        try:
            bpy.ops.wm.save_as_mainfile(filepath=str(beside), copy=True, check_existing=False)
            os.replace(beside, part)
        finally:
            beside.unlink(missing_ok=True)
        # Blender 5.0 reports success on a full disk: what was written must open.
        with bpy.data.libraries.load(str(part)) as (found, _):
            if bpy.context.scene.name not in found.scenes:
                raise OSError("the file is not complete; is the disk full?")

    write_whole(file, write)
