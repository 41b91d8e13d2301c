"""Corrections that hold during runs of frames and fade smoothly outside them. No bpy."""

import numpy as np
from numpy.typing import NDArray

from .contacts import Flags, runs_of

Array = NDArray[np.floating]

FADE = 0.4  # seconds
SLOPE_WINDOW = 0.02  # seconds at the edge of a run over which its slope is read


def fade_offsets(offsets: Array, held: Flags, fps: float) -> Array:
    """(T, S, C) where `held` (T, S), cubic curves to zero around that; neighbours are joined.

    Value and slope continue over the edges, so what was held starts to move from rest.
    """
    faded = np.zeros_like(offsets)
    for side in range(held.shape[1]):
        faded[:, side] = _fade(offsets[:, side], runs_of(held[:, side]), fps)
    return faded


def fade_weights(held: Flags, fps: float) -> Array:
    """(T, S): one where `held`, smoothly zero away from it."""
    return fade_offsets(np.ones((*held.shape, 1)), held, fps)[..., 0]


def _fade(offsets: Array, runs: list[tuple[int, int]], fps: float) -> Array:
    """One side, (T, C)."""
    faded, length = np.zeros_like(offsets), max(2, round(FADE * fps))
    slopes = [_edge_slopes(offsets[start:end], fps) for start, end in runs]
    nothing = np.zeros(offsets.shape[1])
    for start, end in runs:
        faded[start:end] = offsets[start:end]
    for number, (start, end) in enumerate(runs):
        first, last = offsets[start], offsets[end - 1]
        previous = runs[number - 1][1] - 1 if number else -2 * length
        if start - previous >= 2 * length:
            _join(faded, (start - length, start), (nothing, first), (nothing, slopes[number][0]))
        following = runs[number + 1][0] if number + 1 < len(runs) else len(offsets) + 2 * length
        if following - end + 1 >= 2 * length:
            _join(faded, (end - 1, end - 1 + length), (last, nothing), (slopes[number][1], nothing))
        else:
            ends = (last, offsets[following])
            _join(faded, (end - 1, following), ends, (slopes[number][1], slopes[number + 1][0]))
    return faded


def _edge_slopes(values: Array, fps: float) -> tuple[Array, Array]:
    """Change per frame at the start and the end of a run (N, C)."""
    reach = min(len(values) - 1, max(1, round(SLOPE_WINDOW * fps)))
    if reach == 0:
        return np.zeros(values.shape[1]), np.zeros(values.shape[1])
    return (values[reach] - values[0]) / reach, (values[-1] - values[-1 - reach]) / reach


def _join(
    faded: Array, span: tuple[int, int], values: tuple[Array, Array], slopes: tuple[Array, Array]
) -> None:
    """Cubic Hermite between two frames, which themselves stay; a part of it may lie outside."""
    length = span[1] - span[0]
    frames = np.arange(max(span[0] + 1, 0), min(span[1], len(faded)))
    x = ((frames - span[0]) / length)[:, None]
    rise = x * x * (3.0 - 2.0 * x)
    faded[frames] = (
        (1.0 - rise) * values[0]
        + rise * values[1]
        + length * x * (1.0 - x) * ((1.0 - x) * slopes[0] - x * slopes[1])
    )


def envelope(needs: Array, fps: float, seconds: float) -> Array:
    """(T, C) -> smooth curves that are nowhere below: the largest around, then a running mean."""
    radius = max(1, round(seconds * fps))
    padded = np.pad(needs, ((radius, radius), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1, axis=0)
    return smoothed(windows.max(axis=-1), fps, seconds)


def smoothed(values: Array, fps: float, seconds: float) -> Array:
    """Running means of (T, C), weighted by a bell that reaches so far to each side."""
    radius = max(1, round(seconds * fps))
    bell = np.hanning(2 * radius + 3)[1:-1]
    padded = np.pad(values, ((radius, radius), (0, 0)), mode="edge")
    columns = [np.convolve(column, bell / bell.sum(), mode="valid") for column in padded.T]
    return np.stack(columns, axis=-1)
