"""The parts that bones play: one role for each of the 22 joints. No bpy.

The joint of a role is the head of the bone that plays it.
"""

from ..contract.skeleton import INDEX, JOINTS

ROLES = (
    "hips",
    "l_thigh",
    "r_thigh",
    "spine1",
    "l_shin",
    "r_shin",
    "spine2",
    "l_foot",
    "r_foot",
    "spine3",
    "l_toe",
    "r_toe",
    "neck",
    "l_collar",
    "r_collar",
    "head",
    "l_upperarm",
    "r_upperarm",
    "l_forearm",
    "r_forearm",
    "l_hand",
    "r_hand",
)
"""In the order of `JOINTS`: ROLES[j] is the part whose bone begins at joint j."""

JOINT_OF = dict(zip(ROLES, range(len(JOINTS)), strict=True))
"""Role -> index of its joint."""

REQUIRED = (
    "hips",
    *(f"{side}_{part}" for side in "lr" for part in ("thigh", "shin", "foot")),
    *(f"{side}_{part}" for side in "lr" for part in ("upperarm", "forearm")),
)
"""Without these a rig is no humanoid that a motion could drive whole."""

_SPOKEN = {"upperarm": "upper arm", "collar": "shoulder", "spine1": "lower spine"}
_SPOKEN |= {"spine2": "middle spine", "spine3": "chest"}


def spoken(role: str) -> str:
    """The role in an animator's words: `l_forearm` -> 'left forearm'."""
    side, _, part = role.rpartition("_")
    words = _SPOKEN.get(part, part)
    return f"{'left' if side == 'l' else 'right'} {words}" if side else words


def role_of(joint: str) -> str:
    """'left_elbow' -> `l_forearm`."""
    return ROLES[INDEX[joint]]
