"""How often a body turns about itself in a gap: who spins goes on the same way.

Between two headings there are many turns, and the shortest one stops somebody who spins and sends
them back.
"""

import numpy as np
from numpy.typing import NDArray

from momask_blender.contract import rotation
from momask_blender.contract.seams import Gap, neighbours
from momask_blender.contract.skeleton import FPS, INDEX

Array = NDArray[np.floating]
Kept = NDArray[np.bool_]

UP = np.array([0.0, 1.0, 0.0])
FACING = [INDEX["pelvis"], INDEX["spine3"]]
CIRCLE = 2.0 * np.pi
LASTS = 0.4 * FPS  # frames for which turning goes on; chosen on training clips


def turning(rotations: Array) -> Array:
    """Radians about +Y by which the trunk turns from frame to frame. (T, 22, 4) -> (T - 1,)."""
    trunk = rotations[:, FACING]
    steps = rotation.multiply(trunk[1:], rotation.inverse(trunk[:-1]))
    steps = np.where(steps[..., :1] < 0.0, -steps, steps)
    return rotation.to_vector(steps)[..., 1].mean(axis=1)


def yaw_between(first: Array, second: Array) -> float:
    """Turn about +Y that takes the first trunk (22, 4) to the second one, -pi to pi."""
    apart = rotation.multiply(second[FACING], rotation.inverse(first[FACING]))
    yaw = 2.0 * np.arctan2(apart[:, 2], apart[:, 0])
    return float(np.arctan2(np.sin(yaw).sum(), np.cos(yaw).sum()))


def whole_turns(rotations: Array, is_kept: Kept, gap: Gap) -> int:
    """Turns beyond the shortest one that the kept frames (T, 22, 4) on both sides speak for; 0
    where there is one side only. As the trunk turns there it goes on for a while."""
    if gap.start == 0 or gap.stop == len(is_kept):
        return 0
    shortest = yaw_between(rotations[gap.start - 1], rotations[gap.stop])
    near = neighbours(gap, is_kept)
    sides = rotations[near[near < gap.start]], rotations[near[near >= gap.stop]]
    speed = sum(float(turning(side).mean()) for side in sides if len(side) > 1)
    expected = speed * min(LASTS, 0.5 * (gap.num_frames + 1))
    return round((expected - shortest) / CIRCLE)
