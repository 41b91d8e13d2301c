"""What 22 joints cannot carry, taken over the gap from what is kept around it. No bpy.

Head turn, hands, roll of the feet, an animator's own offsets: at the edges of a gap the made motion
differs from the kept one by a residual, which is carried through the gap, so nothing pops.
"""

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation

Array = NDArray[np.floating]

SETTLING = 0.4  # seconds within which a residual that was changing comes to rest


def with_rotations(made: Array, kept: Array, gap: tuple[int, int], fps: float) -> Array:
    """Rotations (T, B, 4), `made` inside the gap and exactly `kept` outside it.

    `gap` is its first row and the one after its last. One side may be open, not both.
    """
    residuals = _vectors(rotation.multiply(kept, rotation.inverse(made)))
    carried = _carried(residuals, gap, fps)
    joined = rotation.multiply(_rotations(carried), made)
    joined[: gap[0]], joined[gap[1] :] = kept[: gap[0]], kept[gap[1] :]
    return rotation.continuous(joined)


def with_places(made: Array, kept: Array, gap: tuple[int, int], fps: float) -> Array:
    """The same for places, (T, 3)."""
    joined = made + _carried(kept - made, gap, fps)
    joined[: gap[0]], joined[gap[1] :] = kept[: gap[0]], kept[gap[1] :]
    return joined


def _carried(residuals: Array, gap: tuple[int, int], fps: float) -> Array:
    """(T, ..., 3): between the edges from one residual to the other, with the slopes that they had.

    Past an open side the last residual stays.
    """
    first, end = gap
    carried = np.zeros_like(residuals)
    frames = np.arange(first, end)
    has_left, has_right = first > 0, end < len(residuals)
    if not len(frames) or not (has_left or has_right):
        return carried
    left = residuals[first - 1] if has_left else residuals[end]
    right = residuals[end] if has_right else left
    length = end - first + 1
    share = _column((frames - first + 1) / length, residuals)
    rise = share * share * (3.0 - 2.0 * share)
    carried[frames] = left + rise * (right - left)
    reach = min(length, max(2, round(SETTLING * fps)))
    if has_left and first > 1:
        slope = residuals[first - 1] - residuals[first - 2]
        carried[frames] += _settling(frames - first + 1, reach, residuals) * slope
    if has_right and end + 1 < len(residuals):
        slope = residuals[end + 1] - residuals[end]
        carried[frames] -= _settling(end - frames, reach, residuals) * slope
    return carried


def _settling(distance: NDArray, reach: int, like: Array) -> Array:
    """Begins at zero with slope one, and is at rest after `reach` frames."""
    left = np.clip(1.0 - distance / reach, 0.0, 1.0)
    return _column(distance * left * left, like)


def _column(values: Array, like: Array) -> Array:
    return values.reshape(-1, *[1] * (like.ndim - 1))


def _vectors(quats: Array) -> Array:
    """Rotation vectors (..., 3), radians, of unit quaternions by the shorter way."""
    quats = np.where(quats[..., :1] < 0.0, -quats, quats)
    size = np.linalg.norm(quats[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(size, quats[..., :1])
    return np.where(size > 1e-9, angle / np.maximum(size, 1e-9), 2.0) * quats[..., 1:]


def _rotations(vectors: Array) -> Array:
    """The inverse of `_vectors`."""
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    half = 0.5 * angle
    size = np.where(angle > 1e-9, np.sin(half) / np.maximum(angle, 1e-9), 0.5)
    return np.concatenate([np.cos(half), size * vectors], axis=-1)
