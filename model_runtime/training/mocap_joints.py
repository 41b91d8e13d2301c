"""The joints of a mocap skeleton -> the 22 joints of our body, upright in model axes.

A rig whose rest pose stands gives its trunk, collars and feet by rotations: they turn our rest
pose, which neither the rig's proportions nor joints that it lacks can bend. Limbs follow the
directions seen. A rig whose rest pose says nothing (all bones along one axis) gives positions.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_runtime.features import uniform_skeleton
from model_runtime.training.bvh import Bvh
from model_runtime.training.layouts import DataError
from momask_blender.contract import rotation
from momask_blender.contract.skeleton import INDEX, JOINTS, NUM_JOINTS, PARENTS, REST_OFFSETS

Array = NDArray[np.floating]

NAMES_FILE = Path(__file__).with_name("mocap_names.json")  # by family, in the order of JOINTS
PREFIX = re.compile(r"^(mixamorig\d*|bip\d+)")
SIDES = ("left", "right")
LIMBS = [f"{side}_{part}" for side in SIDES for part in ("knee", "ankle", "elbow", "wrist")]
NEEDED = ["pelvis", *LIMBS, *(f"{side}_{part}" for side in SIDES for part in ("hip", "shoulder"))]
LENGTHS = np.linalg.norm(REST_OFFSETS[1:], axis=-1)  # (21,) of the common body
UP = np.array([0.0, 1.0, 0.0])
UPRIGHT = 0.8  # cosine between the body's axis and "up"

Chosen = dict[str, int]  # our joint -> joint of the file


@dataclass(frozen=True)
class _Axes:
    """Orthonormal columns left, up, forward of the rest pose, and matrix file -> model axes."""

    rest: Array  # (3, 3)
    to_model: Array  # (3, 3)


def bvh_joints(bvh: Bvh, name: str) -> Array:
    """-> (T, 22, 3) on our body, metres, +Y up. Raises DataError; `name` is the file's."""
    chosen = find_joints(bvh.names, name)
    axes = _standing_axes(bvh, chosen)
    if axes is None:
        return _joints_by_position(bvh, chosen, name)
    return _joints_by_rotation(bvh, chosen, axes)


def find_joints(names: list[str], file: str) -> Chosen:
    """Of all families the one whose names fit best. Raises DataError that lists what lacks."""
    present: Chosen = {}
    for index, name in enumerate(names):
        present.setdefault(_plain(name), index)
    families: dict[str, list[str]] = json.loads(NAMES_FILE.read_text(encoding="utf-8"))
    found = [_matches(present, family) for family in families.values()]
    chosen = max(found, key=lambda match: (sum(n in match for n in NEEDED), len(match)))
    if missing := [joint for joint in NEEDED if joint not in chosen]:
        raise DataError(
            f"{file}: no joint was found for {', '.join(missing)}. "
            f"Known names are those of Mixamo, CMU, Xsens, Daz, Unreal and others in {NAMES_FILE}."
        )
    return chosen


def _matches(present: Chosen, family: list[str]) -> Chosen:
    plain = {joint: _plain(name) for joint, name in zip(JOINTS, family, strict=True)}
    return {joint: present[name] for joint, name in plain.items() if name in present}


def _plain(name: str) -> str:
    """Without name space, case, separators and the prefix of its program."""
    return PREFIX.sub("", re.sub(r"[\s._\-]", "", name.rsplit(":", 1)[-1]).lower())


def _body_axis(joints: Array, chosen: Chosen) -> Array:
    """Unit vector from the ankles to the shoulders. (..., J, 3) -> (..., 3)."""
    return rotation.normalized(
        _middle(joints, chosen, "shoulder") - _middle(joints, chosen, "ankle")
    )


def _middle(joints: Array, chosen: Chosen, part: str) -> Array:
    return joints[..., [chosen[f"{side}_{part}"] for side in SIDES], :].mean(axis=-2)


def _nearest_axis(direction: Array) -> Array:
    """The positive or negative coordinate axis next to a direction (3,)."""
    largest = int(np.argmax(np.abs(direction)))
    return np.eye(3)[largest] * np.sign(direction[largest])


def _standing_axes(bvh: Bvh, chosen: Chosen) -> _Axes | None:
    """None when the rest pose does not stand."""
    rest = bvh.rest()
    up = _nearest_axis(_body_axis(rest, chosen))
    across = rest[chosen["left_hip"]] - rest[chosen["right_hip"]]
    levels = [_middle(rest, chosen, part) for part in ("shoulder", "hip", "knee", "ankle")]
    segments = rotation.normalized(np.diff(np.array(levels)[::-1], axis=0))  # upwards
    left = rotation.normalized(across - up * (across @ up))
    if (segments @ up).min() < UPRIGHT or np.linalg.norm(across) == 0.0 or not left.any():
        return None
    axes = np.stack([left, up, np.cross(left, up)], axis=-1)
    return _Axes(axes, _to_model(bvh, chosen, axes))


def _to_model(bvh: Bvh, chosen: Chosen, rest_axes: Array) -> Array:
    """The rest pose's axes, unless the motion never stands along them but does along others."""
    body = _body_axis(bvh.positions, chosen)  # (T, 3)
    if np.percentile(body @ rest_axes[:, 1], 95) > 0.5:
        return rest_axes.T
    return _upright(body)


def _upright(body: Array) -> Array:
    """Matrix that brings the axis along which the body (T, 3) stands most often to +Y."""
    return rotation.to_matrix(rotation.between(_nearest_axis(body.mean(axis=0)), UP))


def _joints_by_rotation(bvh: Bvh, chosen: Chosen, axes: _Axes) -> Array:
    turns = axes.to_model @ rotation.to_matrix(bvh.rotations) @ axes.rest  # (T, J, 3, 3)
    seen = bvh.positions @ axes.to_model.T
    owner = [_nearest_mapped(joint, chosen) for joint in range(NUM_JOINTS)]
    joints = np.empty((len(seen), NUM_JOINTS, 3))
    hips = [INDEX["left_hip"], INDEX["right_hip"]]
    scale = _leg_length_ratio(seen, chosen)
    joints[:, 0] = _middle(seen, chosen, "hip") * scale
    joints[:, 0] -= turns[:, owner[0]] @ REST_OFFSETS[hips].mean(axis=0)
    for joint, parent in enumerate(PARENTS[1:], start=1):
        if JOINTS[joint] in LIMBS:
            bone = seen[:, chosen[JOINTS[joint]]] - seen[:, chosen[JOINTS[parent]]]
            offset = rotation.normalized(bone) * LENGTHS[joint - 1]
        else:
            offset = turns[:, owner[parent]] @ REST_OFFSETS[joint]
        joints[:, joint] = joints[:, parent] + offset
    return joints


def _nearest_mapped(joint: int, chosen: Chosen) -> int:
    """The file's joint for ours or, where the file has none, for its next ancestor."""
    while JOINTS[joint] not in chosen:
        joint = PARENTS[joint]
    return chosen[JOINTS[joint]]


def _leg_length_ratio(seen: Array, chosen: Chosen) -> float:
    """Our leg over the file's, mean of both sides in the first frame."""
    ends = [(f"{side}_{a}", f"{side}_{b}") for side in SIDES for a, b in (("hip", "knee"),)]
    ends += [(f"{side}_knee", f"{side}_ankle") for side in SIDES]
    theirs = sum(np.linalg.norm(seen[0, chosen[a]] - seen[0, chosen[b]]) for a, b in ends)
    return float(sum(LENGTHS[INDEX[b] - 1] for _, b in ends) / max(theirs, 1e-9))


def _joints_by_position(bvh: Bvh, chosen: Chosen, name: str) -> Array:
    if missing := [joint for joint in JOINTS if joint not in chosen]:
        raise DataError(f"{name}: its rest pose does not stand and it lacks {', '.join(missing)}.")
    to_model = _upright(_body_axis(bvh.positions, chosen))
    seen = bvh.positions[:, [chosen[joint] for joint in JOINTS]] @ to_model.T
    return uniform_skeleton(seen, LENGTHS)
