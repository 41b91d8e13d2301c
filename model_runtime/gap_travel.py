"""Where a made motion stands and faces: from the kept pose before a gap to the one after it.

Made motions start anywhere, and their steps do not sum up to the way between two kept poses.
"""

import numpy as np
from numpy.typing import NDArray

from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose, pose_to_joints
from momask_blender.contract.skeleton import FPS, INDEX

Array = NDArray[np.floating]

UP = np.array([0.0, 1.0, 0.0])
GROUND = [0, 2]  # the axes of the floor
FACING = [INDEX["pelvis"], INDEX["spine3"]]
FEET = [INDEX["left_foot"], INDEX["right_foot"]]
SLOWEST = 0.2 / FPS  # metres per frame: where nothing moves, all steps take the same


def bring_home(made: Pose, kept: Pose, before: int, after: int) -> tuple[Pose, float]:
    """Turn `made` about +Y and move it over the floor until it is where `kept` is, (T) frames both.

    `before` and `after` are the kept frames to meet, the same one twice where a gap has one side.
    What is missing between them is spread over the frames in which both feet move most: strides
    get longer and turns wider, planted feet slide least. Frames outside move as one piece.
    Returned with it: how many metres were missing.
    """
    share = _shares(made, before, after)
    first, last = (_yaw_between(made, kept, frame) for frame in (before, after))
    angle = first + share * _wrapped(last - first)
    halfway = rotation.about_axis(UP, 0.5 * (angle[1:] + angle[:-1]))
    steps = rotation.rotate(halfway, np.diff(made.root, axis=0))
    path = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    start, end = kept.root[before] - path[before], kept.root[after] - path[after]
    path += start + share[:, None] * (end - start)
    path[:, 1] = made.root[:, 1]
    turns = rotation.about_axis(UP, angle)[:, None]
    missing = float(np.linalg.norm((end - start)[GROUND]))
    return Pose(path, rotation.multiply(turns, made.rotations)), missing


def _shares(made: Pose, before: int, after: int) -> Array:
    """How much of what is missing each frame has made up: 0 up to `before`, 1 from `after` on."""
    feet = pose_to_joints(made)[:, FEET][..., GROUND]
    speed = np.linalg.norm(np.diff(feet, axis=0), axis=-1).min(axis=-1)  # (T - 1,)
    weight = np.zeros(len(speed))
    weight[before:after] = speed[before:after] + SLOWEST
    total = max(float(weight.sum()), SLOWEST)
    return np.concatenate([[0.0], np.cumsum(weight)]) / total


def _yaw_between(made: Pose, kept: Pose, frame: int) -> float:
    """Turn about +Y that takes the made trunk to the kept one."""
    apart = rotation.multiply(
        kept.rotations[frame, FACING], rotation.inverse(made.rotations[frame, FACING])
    )
    yaw = 2.0 * np.arctan2(apart[:, 2], apart[:, 0])
    return float(np.arctan2(np.sin(yaw).sum(), np.cos(yaw).sum()))


def _wrapped(angle: float) -> float:
    """The same angle within half a turn."""
    return float(np.remainder(angle + np.pi, 2.0 * np.pi) - np.pi)
