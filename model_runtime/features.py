"""The 263-dimensional motion representation of HumanML3D, both ways.

Axes: +Y up, facing +Z at frame 0; metres; 20 fps. Column 0 is half the yaw step (radians per
frame). The quirks of the reference code are kept, because published weights were trained on them:
a "forward" that mixes hips and shoulders of opposite sign, and no heading change before frame 1.
"""

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from momask_blender.contract import rotation
from momask_blender.contract.skeleton import INDEX, NUM_JOINTS, PARENTS

Array = NDArray[np.floating]


def widths(num_joints: int) -> dict[str, int]:
    """Numbers of each kind in a row of features."""
    return {
        "heading_step": 1,  # half angle
        "root_step": 2,  # x, z in the facing frame of the frame stepped to
        "root_height": 1,
        "positions": 3 * (num_joints - 1),  # joints 1.., relative to the root's x, z, facing +Z
        "rotations_6d": 6 * (num_joints - 1),  # shortest arcs from the raw offsets, no twist
        "velocities": 3 * num_joints,  # metres per frame, facing +Z
        "contacts": 4,  # left ankle, left foot, right ankle, right foot
    }


def columns(num_joints: int) -> dict[str, slice]:
    """Where each kind lies in a row."""
    counts = widths(num_joints)
    stops = dict(zip(counts, accumulate(counts.values()), strict=True))
    return {name: slice(stops[name] - width, stops[name]) for name, width in counts.items()}


WIDTHS, COLUMNS = widths(NUM_JOINTS), columns(NUM_JOINTS)
NUM_FEATURES = sum(WIDTHS.values())

CONTACT_JOINTS = tuple(
    INDEX[name] for name in ("left_ankle", "left_foot", "right_ankle", "right_foot")
)
CONTACT_STEP_SQUARED = 0.002  # m^2 per frame, HumanML3D `feet_thre`
HEADING_SIGMA_FRAMES = 20.0  # HumanML3D's smoothing of the forward direction

_AXES = {"x": (1, 0, 0), "-x": (-1, 0, 0), "y": (0, 1, 0), "-y": (0, -1, 0), "z": (0, 0, 1)}
_DIRECTIONS = "x -x y -y -y y -y -y y z z y x -x z -y -y -y -y -y -y".split()
RAW_OFFSETS = np.array([(0, 0, 0)] + [_AXES[name] for name in _DIRECTIONS], dtype=float)
"""(22, 3) axis that each bone lies along when its 6D rotation is the identity."""

# The reference restarts every kinematic chain at the root's rotation, so the collars, where the
# arm chains begin, are relative to the root and not to spine3.
_ROTATION_PARENTS = np.array(PARENTS)
_ROTATION_PARENTS[[INDEX["left_collar"], INDEX["right_collar"]]] = INDEX["pelvis"]

UP, FORWARD = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])


def uniform_skeleton(joints: Array, lengths: Array) -> Array:
    """Put a motion on other bone lengths; travel is scaled with leg length.

    joints (T, 22, 3), lengths (21,) of joints 1..21 -> (T, 22, 3). HumanML3D, `uniform_skeleton`.
    """
    leg = [INDEX["right_knee"], INDEX["right_ankle"]]
    bones = joints[:, 1:] - joints[:, PARENTS[1:]]
    source_leg = np.linalg.norm(bones[0], axis=-1)[np.array(leg) - 1].sum()
    offsets = rotation.normalized(bones) * lengths[:, None]
    uniform = np.empty_like(joints, dtype=float)
    uniform[:, 0] = joints[:, 0] * (lengths[np.array(leg) - 1].sum() / source_leg)
    for joint, parent in enumerate(PARENTS[1:], start=1):
        uniform[:, joint] = uniform[:, parent] + offsets[:, joint - 1]
    return uniform


def place_at_origin(joints: Array) -> Array:
    """Lowest joint on y = 0, root of frame 0 over the origin, frame 0 facing +Z. (T, 22, 3)."""
    left, right = INDEX["left_hip"], INDEX["right_hip"]
    left_arm, right_arm = INDEX["left_shoulder"], INDEX["right_shoulder"]
    across = joints[0, right] - joints[0, left] + joints[0, right_arm] - joints[0, left_arm]
    turn = rotation.between(np.cross(UP, rotation.normalized(across)), FORWARD)
    origin = np.array([joints[0, 0, 0], joints[..., 1].min(), joints[0, 0, 2]])
    return rotation.rotate(turn, joints - origin)


def heading_quaternions(joints: Array) -> Array:
    """Rotation that turns each frame's smoothed heading to +Z. joints (T, 22, 3) -> (T, 4).

    "Forward" is up x (left hip - right hip + right shoulder - left shoulder): hips and shoulders
    with opposite signs, as in the reference. Signs are not continuous over time.
    """
    hips = joints[:, INDEX["left_hip"]] - joints[:, INDEX["right_hip"]]
    shoulders = joints[:, INDEX["right_shoulder"]] - joints[:, INDEX["left_shoulder"]]
    forward = np.cross(UP, rotation.normalized(hips + shoulders))
    return rotation.between(smooth(forward, HEADING_SIGMA_FRAMES), FORWARD)


def smooth(values: Array, sigma: float) -> Array:
    """Gaussian filter over axis 0 with repeated edges, cut at 4 sigma. values (T, C)."""
    radius = int(4.0 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, ((radius, radius), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], axis=-1)


def local_rotations(joints: Array, heading: Array) -> Array:
    """Shortest-arc rotation of each bone in its parent's frame. -> (T, 22, 4); row 0 is `heading`.

    joints (T, 22, 3), heading (T, 4) from `heading_quaternions`.
    """
    bones = joints[:, 1:] - joints[:, PARENTS[1:]]
    absolute = np.empty((*joints.shape[:2], 4))
    absolute[:, 0] = heading
    absolute[:, 1:] = rotation.between(RAW_OFFSETS[1:], bones)
    parents = absolute[:, _ROTATION_PARENTS[1:]]
    local = rotation.multiply(rotation.inverse(parents), absolute[:, 1:])
    return np.concatenate([absolute[:, :1], local], axis=1)


def foot_contacts(joints: Array) -> Array:
    """Loose labels of the reference: a foot joint moves less than 4.5 cm per frame. -> (T-1, 4)."""
    feet = joints[:, CONTACT_JOINTS]
    return (np.square(feet[1:] - feet[:-1]).sum(axis=-1) < CONTACT_STEP_SQUARED).astype(float)


def joints_to_features(joints: Array, *, continuous_yaw: bool = True) -> Array:
    """joints (T, 22, 3) of a placed clip -> features (T - 1, 263); T frames hold T - 1 steps.

    With `continuous_yaw` False the yaw step has the reference's wrong sign on the one frame where
    the heading crosses 180 degrees. Raises ValueError below two frames.
    """
    if len(joints) < 2:
        raise ValueError(f"A motion needs at least 2 frames, got {len(joints)}.")
    joints = np.asarray(joints, dtype=float)
    heading = heading_quaternions(joints)
    heading[0] = rotation.IDENTITY  # as in the reference
    if continuous_yaw:
        heading = rotation.continuous(heading)
    turn = rotation.multiply(heading[1:], rotation.inverse(heading[:-1]))
    steps = joints[1:] - joints[:-1]  # (T - 1, 22, 3)
    local = joints[:-1] - joints[:-1, :1] * (1.0, 0.0, 1.0)
    rows = {
        "heading_step": np.arcsin(np.clip(turn[:, 2:3], -1.0, 1.0)),
        "root_step": rotation.rotate(heading[1:], steps[:, 0])[:, [0, 2]],
        "root_height": joints[:-1, 0, 1:2],
        "positions": rotation.rotate(heading[:-1, None], local)[:, 1:],
        "rotations_6d": rotation.to_6d(local_rotations(joints, heading)[:-1, 1:]),
        "velocities": rotation.rotate(heading[:-1, None], steps),
        "contacts": foot_contacts(joints),
    }
    flat = [rows[name].reshape(len(steps), width) for name, width in WIDTHS.items()]
    return np.concatenate(flat, axis=-1)


def repair_heading_steps(steps: Array) -> Array:
    """Undo isolated sign flips of the yaw step. steps (T,) half angles -> (T,).

    The reference's encoding negates the step on the frame where the heading crosses 180 degrees;
    models trained on it may reproduce that. A flip stands between two steps of the other sign and
    of similar size, and is larger than 0.01 rad (measured: 0.045 between 0.043 and 0.047).
    """
    before, here, after = steps[:-2], steps[1:-1], steps[2:]
    tolerance = 0.5 * np.abs(here)
    flipped = (
        (np.abs(here) > 0.01)
        & (np.abs(here + before) < tolerance)
        & (np.abs(here + after) < tolerance)
    )
    repaired = steps.copy()
    repaired[1:-1] = np.where(flipped, -here, here)
    return repaired


def features_to_joints(features: Array, *, repair_yaw: bool = True) -> Array:
    """features (T, 263) -> joints (T, 22, 3); the path starts over the origin, facing +Z.

    KIT-ML's (T, 251) give (T, 21, 3), in its own unit.

    Reads root steps, root height and positions; the 6D block is not used. `repair_yaw` False gives
    the reference's `recover_from_ric`.
    """
    features = np.asarray(features, dtype=float)
    num_joints = (features.shape[1] + 1) // 12  # what `widths` sums up to, solved for it
    where = columns(num_joints)
    steps = features[:, where["heading_step"]][:, 0]
    if repair_yaw:
        steps = repair_heading_steps(steps)
    half_angles = np.concatenate([[0.0], np.cumsum(steps)[:-1]])
    heading = rotation.about_axis(UP, 2.0 * half_angles)  # facing frame <- world
    to_world = rotation.inverse(heading)
    root_steps = np.zeros((len(features), 3))
    root_steps[1:, [0, 2]] = features[:-1, where["root_step"]]
    root = np.cumsum(rotation.rotate(to_world, root_steps), axis=0)
    local = features[:, where["positions"]].reshape(len(features), num_joints - 1, 3)
    joints = np.empty((len(features), num_joints, 3))
    joints[:, 1:] = rotation.rotate(to_world[:, None], local) + root[:, None]
    root[:, 1] = features[:, where["root_height"]][:, 0]
    joints[:, 0] = root
    return joints
