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
# Chosen on training clips: frames for which turning goes on, and the longest gap in which kept
# frames tell how often somebody turns; docs/inbetweening.md.
LASTS, LONGEST = 0.4 * FPS, 1.5 * FPS


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
    where there is one side only, or where the gap is long. As the trunk turns there it goes on for
    a while."""
    if gap.start == 0 or gap.stop == len(is_kept) or gap.num_frames > LONGEST:
        return 0
    shortest = yaw_between(rotations[gap.start - 1], rotations[gap.stop])
    near = neighbours(gap, is_kept)
    sides = rotations[near[near < gap.start]], rotations[near[near >= gap.stop]]
    speed = sum(float(turning(side).mean()) for side in sides if len(side) > 1)
    expected = speed * min(LASTS, 0.5 * (gap.num_frames + 1))
    return round((expected - shortest) / CIRCLE)


def blend(first: Array, second: Array, gap: Gap, share: Array) -> Array:
    """Rotations (T, 22, 4) from the first to the second by shares (N, 1), in a gap of N frames.

    Both are turned to where the body faces between them: joint by joint the shorter arc between two
    that face away from each other changes sides from one frame to the next.
    """
    start = max(gap.start - 1, 0)
    apart = np.concatenate([[0.0], np.cumsum(turning(second[start:]) - turning(first[start:]))])
    apart = apart[gap.start - start :][: gap.num_frames, None]
    ahead, back = (rotation.about_axis(UP, angle) for angle in (share * apart, (share - 1) * apart))
    return rotation.slerp(
        rotation.multiply(ahead, first[gap.frames]),
        rotation.multiply(back, second[gap.frames]),
        share,
    )
