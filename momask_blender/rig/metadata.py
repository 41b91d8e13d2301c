"""Which bone plays which part, as other add-ons stored it with an armature's data. No bpy.

What they store is theirs and changes between their versions: all of it is read with doubt.
"""

import re
from collections.abc import Iterable
from typing import Any

from .names import SPINE, conventions
from .trunk import spine_roles


def read_metadata(data: Any) -> dict[str, dict[str, str]]:
    """Add-on -> role -> bone, for the Armature data-block `data`."""
    told = {"VRM": _vrm_bones(getattr(data, "vrm_addon_extension", None))}
    return {addon: bones for addon, bones in told.items() if bones}


def _vrm_bones(extension: Any) -> dict[str, str]:
    """The humanoid of the VRM add-on, in the version that the file is of."""
    names = next(each.bones for each in conventions() if each.title == "VRM")
    old, new = _vrm0_human(extension), _vrm1_human(extension, names.values())
    is_old = str(getattr(extension, "spec_version", "")).startswith("0")
    human = (old or new) if is_old else (new or old)
    found = {role: human[name] for role, name in names.items() if name in human}
    spine = [found.pop(role) for role in SPINE if role in found]
    return found | spine_roles(spine)


def _vrm0_human(extension: Any) -> dict[str, str]:
    """VRM 0.x: a list of parts, each with its name. -> 'leftUpperLeg' -> bone"""
    parts = _get(extension, "vrm0", "humanoid", "human_bones") or ()
    return {getattr(part, "bone", ""): bone for part in parts if (bone := _bone(part))}


def _vrm1_human(extension: Any, names: Iterable[str]) -> dict[str, str]:
    """VRM 1.0: one property for each part, 'left_upper_leg'. -> 'leftUpperLeg' -> bone"""
    bones = _get(extension, "vrm1", "humanoid", "human_bones")
    keys = {name: re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name) for name in names}
    parts = {name: getattr(bones, key, None) for name, key in keys.items()}
    return {name: bone for name, part in parts.items() if (bone := _bone(part))}


def _bone(part: Any) -> str:
    node = getattr(part, "node", None)
    name = getattr(node, "bone_name", "") or getattr(node, "value", "")
    return name if isinstance(name, str) else ""


def _get(owner: Any, *names: str) -> Any:
    for name in names:
        owner = getattr(owner, name, None)
    return owner
