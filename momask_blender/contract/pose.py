"""22 joint positions <-> rotations of 22 rigid segments.

Positions are what the model makes; rotations are what a rig plays. A segment's rotation is its
turn away from the T-pose of `skeleton`, in world space. Directions are kept exactly, lengths
become the skeleton's own, twist comes from the hinge axes of elbows and knees.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import rotation
from .skeleton import INDEX, NUM_JOINTS, PARENTS, REST_JOINTS, REST_OFFSETS

Array = NDArray[np.floating]

FORWARD = np.array([0.0, 0.0, 1.0])
HIPS = ("left_hip", "right_hip")

# How much each direction says about a rigid part. Our pelvis is one piece where a real back bends
# below spine1: seen from the middle of the hips and weighed like this, feet are 1.6 mm and hands
# 6.3 mm off on the mocap clips; three equal directions from the pelvis give 2.0 and 8.9 mm.
PELVIS = {"left_hip": 1.0, "right_hip": 1.0, "pelvis": 0.7, "spine1": 4.0}
CHEST = {"neck": 1.0, "left_collar": 1.0, "right_collar": 1.0}

# Below the first bend the plane of a limb is noise, above the second it is data.
STRAIGHT, BENT = np.sin(np.radians([5.0, 20.0]))
HINGE_SMOOTHNESS = 2.0  # weight of the hinge angle's second difference
HINGE_PRIOR = 1e-3  # pull towards the parent's twist where nothing is seen
MAX_HINGE = np.radians(150.0)  # no limb twists further away from its parent


@dataclass(frozen=True)
class Pose:
    """A motion as rigid segments. Model axes (+Y up), metres."""

    root: Array  # (T, 3) position of the pelvis joint
    rotations: Array  # (T, 22, 4) world rotation of the segment from each joint to its child


def pose_to_joints(pose: Pose) -> Array:
    """Forward kinematics on the skeleton's own bone lengths. -> (T, 22, 3)."""
    joints = np.empty((len(pose.root), NUM_JOINTS, 3))
    joints[:, 0] = pose.root
    for joint, parent in enumerate(PARENTS[1:], start=1):
        offset = rotation.rotate(pose.rotations[:, parent], REST_OFFSETS[joint])
        joints[:, joint] = joints[:, parent] + offset
    return joints


def to_local(rotations: Array) -> Array:
    """World rotations (T, 22, 4) of a pose -> each relative to its parent; the pelvis' stays."""
    parents = rotations[:, PARENTS[1:]]
    local = rotation.multiply(rotation.inverse(parents), rotations[:, 1:])
    return np.concatenate([rotations[:, :1], local], axis=1)


def to_world(local: Array) -> Array:
    """Inverse of `to_local`."""
    world = local.copy()
    for joint, parent in enumerate(PARENTS[1:], start=1):
        world[:, joint] = rotation.multiply(world[:, parent], local[:, joint])
    return world


def solve_pose(joints: Array) -> Pose:
    """joints (T, 22, 3), feet near y = 0 -> the pose that points every segment the same way.

    Pelvis and chest are fitted to their neighbours; travel and height are scaled with leg length
    and anchored at the middle of the hips, so that planted feet stay where they are.
    """
    joints = np.asarray(joints, dtype=float)
    segments = {"pelvis": _fit(joints, HIPS, PELVIS), "spine3": _fit(joints, ("spine3",), CHEST)}
    for name, child, share in (("spine1", "spine2", 1 / 3), ("spine2", "spine3", 2 / 3)):
        between = rotation.slerp(segments["pelvis"], segments["spine3"], share)
        segments[name] = _swing(joints, name, child, between)
    segments["neck"] = _swing(joints, "neck", "head", segments["spine3"])
    segments["head"] = segments["neck"]
    for side in ("left", "right"):
        _solve_arm(joints, side, segments)
        _solve_leg(joints, side, segments)
    rotations = np.stack([segments[name] for name in INDEX], axis=1)
    return Pose(_root(joints, segments["pelvis"]), rotation.continuous(rotations))


def _directions(joints: Array, start: str, end: str) -> Array:
    return rotation.normalized(joints[..., INDEX[end], :] - joints[..., INDEX[start], :])


def _middle(joints: Array, names: tuple[str, ...]) -> Array:
    return joints[..., [INDEX[name] for name in names], :].mean(axis=-2)


def _fit(joints: Array, center: tuple[str, ...], weights: dict[str, float]) -> Array:
    """Rotation of a rigid cluster of joints about its centre, by least squares. -> (T, 4)."""
    cluster = [INDEX[name] for name in weights]

    def around(body: Array) -> Array:
        return rotation.normalized(body[..., cluster, :] - _middle(body, center)[..., None, :])

    weighed = around(REST_JOINTS) * np.array(list(weights.values()))[:, None]
    return rotation.from_matrix(rotation.align(weighed, around(joints)))


def _swing(joints: Array, start: str, end: str, base: Array) -> Array:
    """`base` (T, 4), swung the shortest way so that the segment points as seen."""
    carried = rotation.rotate(base, _directions(REST_JOINTS, start, end))
    return rotation.multiply(rotation.between(carried, _directions(joints, start, end)), base)


def _solve_arm(joints: Array, side: str, segments: dict[str, Array]) -> None:
    collar, shoulder, elbow, wrist = (
        f"{side}_{part}" for part in ("collar", "shoulder", "elbow", "wrist")
    )
    segments[collar] = _swing(joints, collar, shoulder, segments["spine3"])
    rest_hinge = rotation.cross(_directions(REST_JOINTS, shoulder, elbow), FORWARD)
    hinge = _hinge(joints, (shoulder, elbow, wrist), segments[collar], rest_hinge)
    segments[shoulder] = _hinged(joints, shoulder, elbow, hinge, rest_hinge)
    segments[elbow] = _hinged(joints, elbow, wrist, hinge, rest_hinge)
    segments[wrist] = segments[elbow]


def _solve_leg(joints: Array, side: str, segments: dict[str, Array]) -> None:
    hip, knee, ankle, foot = (f"{side}_{part}" for part in ("hip", "knee", "ankle", "foot"))
    rest_hinge = rotation.cross(_directions(REST_JOINTS, hip, knee), -FORWARD)
    hinge = _hinge(joints, (hip, knee, ankle), segments["pelvis"], rest_hinge)
    segments[hip] = _hinged(joints, hip, knee, hinge, rest_hinge)
    segments[knee] = _hinged(joints, knee, ankle, hinge, rest_hinge)
    segments[ankle] = _hinged(joints, ankle, foot, hinge, rest_hinge)
    segments[foot] = segments[ankle]


def _hinge(joints: Array, limb: tuple[str, str, str], parent: Array, rest_hinge: Array) -> Array:
    """Axis (T, 3) about which a limb bends: what is seen when it is bent, else the parent's.

    The axis is an angle about the upper segment, measured from the axis that the parent would
    carry there. Where the limb is straight the angle is filled in smoothly, so nothing pops.
    """
    start, middle, end = limb
    upper, lower = _directions(joints, start, middle), _directions(joints, middle, end)
    carried = rotation.rotate(_swing(joints, start, middle, parent), rest_hinge)
    seen = rotation.cross(upper, lower)
    bend = np.linalg.norm(seen, axis=-1)
    across = rotation.cross(upper, carried)
    angle = np.arctan2(np.sum(seen * across, axis=-1), np.sum(seen * carried, axis=-1))
    angle = np.clip(_filled(angle, _smoothstep(bend)), -MAX_HINGE, MAX_HINGE)[:, None]
    return carried * np.cos(angle) + across * np.sin(angle)


def _smoothstep(bend: Array) -> Array:
    share = np.clip((bend - STRAIGHT) / (BENT - STRAIGHT), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def _filled(angle: Array, weight: Array) -> Array:
    """Smooth curve through weighted angles (T,): least squares on its second difference."""
    observed = weight > 0.0
    unwrapped = np.zeros_like(angle)
    unwrapped[observed] = np.unwrap(angle[observed])
    system = np.diag(weight + HINGE_PRIOR) + HINGE_SMOOTHNESS * _second_differences(len(angle))
    return np.linalg.solve(system, weight * unwrapped)


def _second_differences(num_frames: int) -> Array:
    """D^T D (T, T) of the second difference D, summed along its diagonals: as a product it would
    take longer than the solution."""
    squares = np.zeros((num_frames, num_frames))
    rows = np.arange(num_frames - 2)  # empty for a clip too short to bend
    for i, a in enumerate((1.0, -2.0, 1.0)):
        for j, b in enumerate((1.0, -2.0, 1.0)):
            squares[rows + i, rows + j] += a * b
    return squares


def _hinged(joints: Array, start: str, end: str, hinge: Array, rest_hinge: Array) -> Array:
    """Rotation that takes the rest segment to the one seen and the rest hinge to `hinge`."""
    seen = _frame(_directions(joints, start, end), hinge)
    rest = _frame(_directions(REST_JOINTS, start, end), rest_hinge)
    return rotation.from_matrix(seen @ rest.T)


def _frame(along: Array, hinge: Array) -> Array:
    """Right-handed frame: the segment, the hinge made square to it, their product. (..., 3, 3)."""
    square = hinge - np.sum(hinge * along, axis=-1, keepdims=True) * along
    square = rotation.normalized(square)
    return np.stack([along, square, rotation.cross(along, square)], axis=-1)


def leg_length(joints: Array) -> float:
    """Median over time of thigh and shin, mean of both sides."""
    bones = [INDEX[f"{side}_{part}"] for side in ("left", "right") for part in ("knee", "ankle")]
    parents = [PARENTS[bone] for bone in bones]
    lengths = np.linalg.norm(joints[..., bones, :] - joints[..., parents, :], axis=-1)
    return float(np.median(lengths.sum(axis=-1)) / 2.0)


def _root(joints: Array, pelvis: Array) -> Array:
    """Pelvis position (T, 3) that puts our hips' middle where theirs is, scaled by leg length."""
    scale = leg_length(REST_JOINTS[None]) / max(leg_length(joints), 1e-6)
    offset = _middle(REST_JOINTS, HIPS) - REST_JOINTS[INDEX["pelvis"]]
    return _middle(joints, HIPS) * scale - rotation.rotate(pelvis, offset)
