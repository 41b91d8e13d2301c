"""Third-party characters, each opened alone, with what is right about it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from rigs import Right, side_and_part

from momask_blender.retarget.roles import ROLES


def known_rigs(folder: Path) -> list[dict[str, Any]]:
    """The entries of rigs.json."""
    return json.loads((folder / "rigs.json").read_text(encoding="utf-8"))["rigs"]


def open_known(bpy: Any, folder: Path, entry: dict[str, Any]) -> tuple[Any, Right]:
    """A third-party rig, alone in an empty file, playing nothing. -> armature, what is right."""
    from momask_blender.own_character import open_character

    file = folder / entry["file"]
    if file.suffix == ".bvh" and entry["import_kwargs"]:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.ops.import_anim.bvh(filepath=str(file), **entry["import_kwargs"])
        armature = bpy.data.objects[entry["armature_object"]]
    else:
        armature = open_character(file, entry["armature_object"])
    armature.animation_data_clear()
    for bone in armature.pose.bones:
        bone.matrix_basis.identity()
    bpy.context.view_layer.update()
    directions = {"-Y": (0.0, -1.0, 0.0), "+Y": (0.0, 1.0, 0.0), "+X": (1.0, 0.0, 0.0)}
    return armature, Right(_known_bones(entry), np.array(directions[entry["facing"]]))


def _known_bones(entry: dict[str, Any]) -> dict[str, frozenset[str | None]]:
    found = {}
    for role in ROLES:
        side, part = side_and_part(role)
        theirs = {"upperarm": "upper_arm"}.get(part, part) + (f"_{side}" if side else "")
        allowed = {entry["mapping"][theirs], *entry["accept"].get(theirs, ())}
        found[role] = frozenset(allowed)
    return found
