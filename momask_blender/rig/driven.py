"""From a skeleton at rest and its joint map to the bones that a motion drives. No bpy."""

import itertools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from ..errors import UserError
from ..retarget.roles import ROLES
from ..retarget.target import Target
from .joint_map import JointMap
from .rest_bones import RestBones

Array = NDArray[np.floating]

SNAP = np.cos(np.radians(12.0))  # rigs lean and sway a little; their makers meant the axes
SPINE = ("spine1", "spine2", "spine3")


def driven_bones(rest: RestBones, joint_map: JointMap, root_bone: bool = False) -> Target:
    """The mapped bones and what has to turn with them, in body axes.

    `root_bone`: also the uppermost bone above the hips, for the travel. Raises UserError where the
    map has neither hips nor two limbs to tell left from right.
    """
    role_bones = {
        role: rest.index[joint_map.bones[role]] for role in ROLES if role in joint_map.bones
    }
    if "hips" not in role_bones:
        raise UserError("The bone of the hips is not known. Set it under Bones.")
    spine = _chain(rest, [role_bones[role] for role in SPINE if role in role_bones])
    necks = _necks(rest, role_bones)
    carrier = _carrier(rest, role_bones)
    driven = sorted({*role_bones.values(), *spine, *necks, carrier})
    above = rest.ancestors(carrier)
    if root_bone and above:
        driven = sorted({*driven, above[-1]})
    rows = {bone: row for row, bone in enumerate(driven)}
    to_rig = body_axes(rest, role_bones)
    to_body = rotation.inverse(to_rig)
    return Target(
        bones=tuple(rest.names[bone] for bone in driven),
        parents=tuple(_driven_parent(rest, bone, rows) for bone in driven),
        heads=rotation.rotate(to_body, rest.heads[driven]),
        axes=rotation.multiply(to_body, rest.rotations[driven]),
        roles={role: rows[bone] for role, bone in role_bones.items()},
        spine=tuple(rows[bone] for bone in spine),
        necks=tuple(rows[bone] for bone in necks),
        carrier=rows[carrier],
        to_rig=to_rig,
        scale=rest.scale,
        turns_with_parent=tuple(_turns_with_parent(rest, bone, rows) for bone in driven),
        root=rows[above[-1]] if root_bone and above else -1,
        location_axes=_location_axes(rest, carrier, to_body),
    )


def body_axes(rest: RestBones, role_bones: dict[str, int]) -> Array:
    """(4,) body axes -> rig space: left from the sides' bones, up from the ankles to the head.

    Near the rig's own axes these are taken. Raises UserError.
    """
    left = _left(rest, role_bones)
    up = _up(rest, role_bones)
    up = rotation.normalized(up - np.dot(up, left) * left)
    axes = np.stack([left, np.cross(up, left), up], axis=-1)
    return rotation.from_matrix(_snapped(axes))


def _left(rest: RestBones, role_bones: dict[str, int]) -> Array:
    pairs = [
        rest.heads[role_bones[f"l_{part}"]] - rest.heads[role_bones[f"r_{part}"]]
        for part in ("thigh", "upperarm", "foot", "hand")
        if f"l_{part}" in role_bones and f"r_{part}" in role_bones
    ]
    across = sum(pairs[:2], np.zeros(3))
    if np.linalg.norm(across) < 1e-6:
        raise UserError("Left and right cannot be told apart: set both thighs under Bones.")
    return rotation.normalized(across)


def _up(rest: RestBones, role_bones: dict[str, int]) -> Array:
    def middle(*parts: str) -> Array:
        found = [rest.heads[role_bones[part]] for part in parts if part in role_bones]
        return np.mean(found or [rest.heads[role_bones["hips"]]], axis=0)

    low = middle("l_foot", "r_foot") if "l_foot" in role_bones else middle("l_shin", "r_shin")
    high = middle(next((role for role in ("head", "neck") if role in role_bones), "l_upperarm"))
    up = rotation.normalized(high - low)
    if not up.any():
        raise UserError("Up and down cannot be told apart: set feet and head under Bones.")
    return up


def _snapped(axes: Array) -> Array:
    """The nearest axes of the rig if all are near, else at least an upright that is."""
    nearest = np.zeros((3, 3))
    for column in range(3):
        largest = np.argmax(np.abs(axes[:, column]))
        nearest[largest, column] = np.sign(axes[largest, column])
    near = np.sum(axes * nearest, axis=0) > SNAP
    if near.all() and abs(np.linalg.det(nearest)) > 0.5:
        return nearest
    if near[2]:
        up = nearest[:, 2]
        left = rotation.normalized(axes[:, 0] - np.dot(axes[:, 0], up) * up)
        return np.stack([left, np.cross(up, left), up], axis=-1)
    return axes


def _chain(rest: RestBones, bones: list[int]) -> list[int]:
    """These and all between them, from the lowest on."""
    path: list[int] = bones[:1]
    for low, high in itertools.pairwise(bones):
        above = rest.ancestors(high)
        between = above[: above.index(low)] if low in above else []
        path += [*reversed(between), high]
    return path


def _necks(rest: RestBones, role_bones: dict[str, int]) -> list[int]:
    """The neck, and of more bones up to the head the last one."""
    if "neck" not in role_bones or "head" not in role_bones:
        return [role_bones["neck"]] if "neck" in role_bones else []
    path = _chain(rest, [role_bones["neck"], role_bones["head"]])[:-1]
    return [path[0], path[-1]] if len(path) > 1 else path


def _carrier(rest: RestBones, role_bones: dict[str, int]) -> int:
    """The hips, or the bone above them from which all others hang and that can be moved."""
    hips = role_bones["hips"]
    for bone in (hips, *rest.ancestors(hips)):
        is_free = not (rest.connected and rest.connected[bone])
        if is_free and all(_is_within(rest, each, bone) for each in role_bones.values()):
            return bone
    return hips


def _is_within(rest: RestBones, bone: int, above: int) -> bool:
    return bone == above or above in rest.ancestors(bone)


def _driven_parent(rest: RestBones, bone: int, rows: dict[int, int]) -> int:
    return next((rows[above] for above in rest.ancestors(bone) if above in rows), -1)


def _turns_with_parent(rest: RestBones, bone: int, rows: dict[int, int]) -> bool:
    """Whether it and all bones between it and the next driven one inherit rotation."""
    between = itertools.takewhile(lambda above: above not in rows, rest.ancestors(bone))
    chain: Iterable[int] = (bone, *between)
    return not rest.inherits_rotation or all(rest.inherits_rotation[each] for each in chain)


def _location_axes(rest: RestBones, carrier: int, to_body: Array) -> Array | None:
    """Where Local Location is off a bone moves along its parent's axes."""
    if not rest.local_location or rest.local_location[carrier]:
        return None
    parent = rest.parents[carrier]
    return to_body if parent < 0 else rotation.multiply(to_body, rest.rotations[parent])
