"""Decoded motions and the floor at y = 0: nobody sinks into it, and nobody hovers over it.

A model that has learned from clips of climbing, too, sometimes stays in the air after a jump.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from momask_blender.contract.skeleton import FPS

Array = NDArray[np.floating]

RAISING = 3  # frames before and after one that is raised out of the floor, twice
LONGEST_FLIGHT = 0.75 * FPS  # frames; the longest jump of the mocap set takes 0.55 s
TOLERATED = 0.05  # metres; nine tenths of the data's frames of actions on the floor hover less
UP = np.array([0.0, 1.0, 0.0])


def grounded(joints: Array, stays_on_floor: bool) -> Array:
    """Decoded joints (T, J, 3), none under the floor; of a motion that stays on it none hovers."""
    return above_floor(down_to_floor(joints) if stays_on_floor else joints)


def above_floor(joints: Array) -> Array:
    """Decoded joints (T, J, 3), the whole body raised where some are under the floor: by their
    depth, and gently before and after."""
    depth = np.maximum(0.0, -joints[..., 1].min(axis=1))
    if not depth.any():
        return joints
    raised = _mean(_greatest(depth, 2 * RAISING), RAISING)  # of maxima that all have the frame
    return joints + raised[:, None, None] * UP


def down_to_floor(joints: Array) -> Array:
    """Decoded joints (T, J, 3) of an action on the floor, the whole body lowered where it hovers:
    where no joint comes near the floor for longer than anybody can jump."""
    lowest = joints[..., 1].min(axis=1)
    half = int(LONGEST_FLIGHT) // 2
    least = -_greatest(-lowest, half)
    hovering = np.maximum(0.0, _greatest(least, half) - TOLERATED)  # without flights
    lowered = np.minimum(_mean(hovering, RAISING), np.maximum(lowest, 0.0))
    return joints - lowered[:, None, None] * UP


def _greatest(values: Array, reach: int) -> Array:
    """Greatest of each value and `reach` values before and after. (T,) -> (T,)."""
    return _around(values, reach).max(axis=-1)


def _mean(values: Array, reach: int) -> Array:
    return _around(values, reach).mean(axis=-1)


def _around(values: Array, reach: int) -> Array:
    return sliding_window_view(np.pad(values, reach, mode="edge"), 2 * reach + 1)
