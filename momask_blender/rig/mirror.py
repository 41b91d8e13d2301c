"""The name that a bone's counterpart on the other side has. No bpy.

Blender's own flipping knows sides at the ends of a name only, not 'mixamorig:LeftArm' or 'lCollar'.
"""

import re
from collections.abc import Container

# A word, or a single letter that stands alone: Left, .L, _l, lCollar, handL.
_SIDE = re.compile(
    r"left|right|LEFT|RIGHT|Left|Right|左|右"
    r"|(?<![A-Za-z])[lLrR](?![a-z])|(?<=[a-z])[LR](?![A-Za-z])"
)
_OTHER = {"left": "right", "Left": "Right", "LEFT": "RIGHT", "l": "r", "L": "R", "左": "右"}
_OTHER |= {other: side for side, other in _OTHER.items()}


def mirrored_bone(bone: str, bones: Container[str]) -> str:
    """The bone of that name with one side word exchanged, else with all; empty if there is none."""
    single = (bone[: m.start()] + _OTHER[m[0]] + bone[m.end() :] for m in _SIDE.finditer(bone))
    every = _SIDE.sub(lambda match: _OTHER[match[0]], bone)
    return next((name for name in (*single, every) if name != bone and name in bones), "")


def mirrored_role(role: str) -> str:
    """`l_foot` -> `r_foot`; empty for roles in the middle."""
    side, _, part = role.partition("_")
    return f"{_OTHER[side]}_{part}" if part else ""
