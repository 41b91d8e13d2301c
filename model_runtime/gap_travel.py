"""Where a made motion stands and faces: from the kept pose before a gap to the one after it.

Made motions start anywhere, and their steps do not sum up to the way between two kept poses.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_runtime.gap_turns import CIRCLE, UP, turning, yaw_between
from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose, pose_to_joints
from momask_blender.contract.skeleton import FPS, INDEX

Array = NDArray[np.floating]

GROUND = [0, 2]  # the axes of the floor
FEET = [INDEX["left_foot"], INDEX["right_foot"]]
ARM = 0.3  # metres, of the arc that a turn counts as
SLOWEST = 0.2 / FPS  # metres per frame: where nothing moves, all steps take the same


@dataclass(frozen=True)
class Home:
    """A made motion where it belongs."""

    pose: Pose
    missing: float  # metres over the floor, and as an arc, between where it arrived and had to
    more_turns: int  # whole turns that it takes more than the kept motion, as that is interpolated


def bring_home(made: Pose, kept: Pose, before: int, after: int, freely: bool = True) -> Home:
    """Turn `made` about +Y and move it over the floor until it is where `kept` is, (T) frames both.

    `before` and `after` are the kept frames to meet, the same one twice where a gap has one side.
    What is missing between them is spread over the frames in which both feet move most: strides
    get longer and turns wider, planted feet slide least. Frames outside move as one piece. How
    often the body turns is up to `made` where it turns freely, else to `kept`, interpolated there.
    """
    share = _shares(made, before, after)
    first, last = (
        yaw_between(made.rotations[frame], kept.rotations[frame]) for frame in (before, after)
    )
    within = slice(before, after + 1)
    apart = turning(kept.rotations[within]).sum() - turning(made.rotations[within]).sum()
    apart = last - first + CIRCLE * round((apart - last + first) / CIRCLE)
    more_turns = -round(apart / CIRCLE) if freely else 0
    angle = first + share * (apart + CIRCLE * more_turns)
    halfway = rotation.about_axis(UP, 0.5 * (angle[1:] + angle[:-1]))
    steps = rotation.rotate(halfway, np.diff(made.root, axis=0))
    path = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    start, end = kept.root[before] - path[before], kept.root[after] - path[after]
    path += start + share[:, None] * (end - start)
    path[:, 1] = made.root[:, 1]
    turns = rotation.about_axis(UP, angle)[:, None]
    missing = float(np.linalg.norm((end - start)[GROUND])) + ARM * abs(apart)
    return Home(Pose(path, rotation.multiply(turns, made.rotations)), missing, more_turns)


def _shares(made: Pose, before: int, after: int) -> Array:
    """How much of what is missing each frame has made up: 0 up to `before`, 1 from `after` on."""
    feet = pose_to_joints(made)[:, FEET][..., GROUND]
    speed = np.linalg.norm(np.diff(feet, axis=0), axis=-1).min(axis=-1)  # (T - 1,)
    weight = np.zeros(len(speed))
    weight[before:after] = speed[before:after] + SLOWEST
    total = max(float(weight.sum()), SLOWEST)
    return np.concatenate([[0.0], np.cumsum(weight)]) / total
