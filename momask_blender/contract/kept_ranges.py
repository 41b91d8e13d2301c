"""Kept ranges: the frames of a motion that stay, first and last included."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Range = tuple[int, int]


def parse_range(text: str) -> Range:
    """'A:B' -> (A, B). Raises ValueError."""
    first, colon, last = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return int(first), int(last)
    except ValueError:
        message = f"'{text}' is no range of frames. Write FIRST:LAST, for example 1:40."
        raise ValueError(message) from None


def check_ranges(ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    """The ranges in order. Raises ValueError when there are none, or they overlap or touch."""
    if not ranges:
        raise ValueError("No frames are kept. Name the frames to keep, or generate a new motion.")
    for first, last in ranges:
        if last < first:
            raise ValueError(f"The kept range {first}:{last} ends before it begins.")
    ordered = tuple(sorted((int(first), int(last)) for first, last in ranges))
    for (a, b), (c, d) in pairwise(ordered):
        if c <= b:
            raise ValueError(f"The kept ranges {a}:{b} and {c}:{d} overlap.")
        if c == b + 1:
            raise ValueError(
                f"Between the kept ranges {a}:{b} and {c}:{d} is no frame to fill. Make it one "
                "range, or leave a gap."
            )
    return ordered


def kept_frames(ranges: tuple[Range, ...], num_frames: int) -> NDArray[np.bool_]:
    """(num_frames,) True where a frame is kept; frame 0 is the first. Raises ValueError."""
    is_kept = np.zeros(num_frames, dtype=bool)
    for first, last in check_ranges(ranges):
        if first < 0 or last >= num_frames:
            raise ValueError(
                f"The kept range {first}:{last} is outside of the motion, which has the frames 0 "
                f"to {num_frames - 1}."
            )
        is_kept[first : last + 1] = True
    if is_kept.all():
        raise ValueError("All frames are kept, so there is nothing to fill. Leave a gap.")
    return is_kept
