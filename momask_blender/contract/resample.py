"""Change of frame rate: the one interpolation in time."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def catmull_rom(values: Array, times: Array) -> Array:
    """values (T, ...) at frame numbers `times` (K,) within 0..T-1 -> (K, ...).

    Cubic with continuous velocity, exact at whole frames; the ends are repeated.
    """
    last = len(values) - 1
    index = np.minimum(np.floor(times + 1e-9).astype(int), last)
    share = (times - index).reshape(-1, *[1] * (values.ndim - 1))
    p0, p1, p2, p3 = (values[np.clip(index + step, 0, last)] for step in (-1, 0, 1, 2))
    slope1, slope2 = 0.5 * (p2 - p0), 0.5 * (p3 - p1)
    cubic = 2.0 * (p1 - p2) + slope1 + slope2
    square = -3.0 * (p1 - p2) - 2.0 * slope1 - slope2
    return ((cubic * share + square) * share + slope1) * share + p1
