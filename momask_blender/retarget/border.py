"""The border between model and Blender: axes and frame rates.

Model: +Y up, facing +Z, left +X. Blender: +Z up, facing -Y, left +X. Both in metres.
"""

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from ..contract.pose import Pose
from ..contract.resample import catmull_rom
from ..contract.skeleton import FPS

Array = NDArray[np.floating]


def to_blender(vectors: Array) -> Array:
    """Model axes -> Blender axes, (..., 3)."""
    x, y, z = np.moveaxis(np.asarray(vectors, dtype=float), -1, 0)
    return np.stack([x, -z, y], axis=-1)


def to_model(vectors: Array) -> Array:
    """Blender axes -> model axes, (..., 3)."""
    x, y, z = np.moveaxis(np.asarray(vectors, dtype=float), -1, 0)
    return np.stack([x, z, -y], axis=-1)


def rotations_to_blender(quats: Array) -> Array:
    """World rotations in model axes -> the same turns in Blender axes, (..., 4)."""
    return np.concatenate([quats[..., :1], to_blender(quats[..., 1:])], axis=-1)


def pose_to_blender(pose: Pose) -> Pose:
    return Pose(to_blender(pose.root), rotations_to_blender(pose.rotations))


def pose_to_model(pose: Pose) -> Pose:
    vectors = to_model(pose.rotations[..., 1:])
    return Pose(to_model(pose.root), np.concatenate([pose.rotations[..., :1], vectors], axis=-1))


def resample_pose(pose: Pose, num_keys: int, fps: float) -> Pose:
    """A pose at 20 fps -> `num_keys` samples at k / fps seconds; it rests on its last frame.

    Cubic (Catmull-Rom): slerp would put a corner into every curve at each source frame.
    """
    times = np.minimum(np.arange(num_keys) * (FPS / fps), len(pose.root) - 1)
    rotations = rotation.continuous(pose.rotations)
    return Pose(catmull_rom(pose.root, times), rotation.normalized(catmull_rom(rotations, times)))
