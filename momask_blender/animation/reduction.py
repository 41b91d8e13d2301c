"""Fewer keys: Ramer, Douglas and Peucker's algorithm on all channels of a bone at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation

Array = NDArray[np.floating]

TURN = np.radians(0.25)  # that a rotation may be off between keys
SHIFT = 0.0005  # metres, the same for a location


def kept_frames(values: Array, error: Callable[[Array, Array], Array], tolerance: float) -> NDArray:
    """Numbers of the frames that need a key, ascending; the first one is always there.

    values (T, C) play in straight lines between keys; `error` of what is played (n, C) and wanted
    (n, C) is (n,). A channel set that never changes keeps one key.
    """
    if np.all(error(np.broadcast_to(values[0], values.shape), values) <= tolerance):
        return np.array([0])
    kept = {0, len(values) - 1}
    spans = [(0, len(values) - 1)]
    while spans:
        start, end = spans.pop()
        if end - start < 2:
            continue
        share = np.arange(1, end - start)[:, None] / (end - start)
        played = values[start] + share * (values[end] - values[start])
        off = error(played, values[start + 1 : end])
        worst = int(np.argmax(off))
        if off[worst] > tolerance:
            middle = start + 1 + worst
            kept.add(middle)
            spans += [(start, middle), (middle, end)]
    return np.array(sorted(kept))


def angle_between(a: Array, b: Array) -> Array:
    """Radians between rotations (..., 4), exact also where they are small."""
    apart = rotation.multiply(rotation.inverse(a), b)
    return 2.0 * np.arctan2(np.linalg.norm(apart[..., 1:], axis=-1), np.abs(apart[..., 0]))


def distance(a: Array, b: Array) -> Array:
    """Between places (..., 3)."""
    return np.linalg.norm(a - b, axis=-1)
