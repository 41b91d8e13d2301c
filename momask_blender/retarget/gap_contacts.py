"""When feet stand in a gap that was filled: as the model put them down, and as kept frames go on.

No bpy.
"""

import numpy as np
from numpy.typing import NDArray

from .contacts import (
    SURE,
    Contacts,
    Flags,
    FootTrack,
    cut_where_moved,
    find_contacts,
    runs_of,
    tidied,
)

Array = NDArray[np.floating]

SETTLES = 0.35  # seconds beside a kept frame in which a foot that moves there comes to stand
FURTHEST = 0.4  # metres that a standing foot may have moved: more bends no leg back
UNHURRIED = 0.5  # m/s from one place to the next
APART, STEP = 0.02, 0.4  # metres between two kept places of a foot that takes a step, its seconds


def contacts_in_gap(
    track: FootTrack, made: FootTrack, is_kept: Flags, fps: float, strict: bool
) -> Contacts:
    """Of a motion whose frames are partly kept (T,): `track`, with its gap filled, and `made`, as
    the model made it.

    Only there feet stand still: what fits it to the kept frames moves them. They slide faster than
    recorded ones, so that the strict limits are needed to find them.
    """
    kept, new = find_contacts(track, fps, strict), find_contacts(made, fps, strict=True)
    balls = _across(kept.balls, new.balls, is_kept, fps)
    cut = cut_where_moved(
        balls & ~is_kept[:, None], track.balls[..., :2], FURTHEST, SURE.pause, fps
    )
    balls = _with_steps(np.where(is_kept[:, None], balls, cut), track, is_kept, fps)
    balls = _unhurried(balls, track, is_kept, fps)
    flat = _across(kept.flat, new.flat, is_kept, fps)
    return Contacts(balls, flat & balls, is_kept)


def _across(kept: Flags, new: Flags, is_kept: Flags, fps: float) -> Flags:
    """(T, S): as kept, and new in the gap, but not near a kept frame in which the foot moves."""
    in_gap = ~is_kept[:, None]
    flags = np.where(in_gap, tidied(np.where(in_gap, new, kept), fps), kept)
    pause = round(SETTLES * fps)
    for start, end in runs_of(~is_kept):
        if start > 0:
            flags[start : min(start + pause, end)] &= flags[start - 1]
        if end < len(flags):
            flags[max(end - pause, start) : end] &= flags[end]
    return flags


def _with_steps(balls: Flags, track: FootTrack, is_kept: Flags, fps: float) -> Flags:
    """A foot that stands from one kept frame to the next in two places takes a step between them:
    the left one after a third of the gap, the right one after two."""
    balls, length = balls.copy(), round(STEP * fps)
    for side in range(balls.shape[1]):
        for start, end in runs_of(balls[:, side] & ~is_kept):
            is_between = start > 0 and end < len(balls) and is_kept[start - 1] and is_kept[end]
            way = track.balls[min(end, len(balls) - 1), side] - track.balls[max(start - 1, 0), side]
            if is_between and np.linalg.norm(way[:2]) > APART and end - start > 2 * length:
                first = start + round((end - start) * (side + 1) / 3) - length // 2
                balls[first : first + length, side] = False
    return balls


def _unhurried(balls: Flags, track: FootTrack, is_kept: Flags, fps: float) -> Flags:
    """A foot that goes from one place to another has time for it, where the gap has: what was made
    and what is kept may leave it a frame."""
    balls = balls.copy()
    for side in range(balls.shape[1]):
        for start, end in runs_of(~balls[:, side] & ~is_kept):
            runs = runs_of(balls[:, side])
            before = next((run for run in runs if run[1] == start), None)
            after = next((run for run in runs if run[0] == end), None)
            if before and after:
                places = [_place(track.balls[:, side], run, is_kept) for run in (before, after)]
                way = np.linalg.norm((places[1] - places[0])[:2])
                length = round(min(STEP, way / UNHURRIED) * fps)
                balls[_widened(start, end, length, is_kept), side] = False
    return balls


def _place(balls: Array, run: tuple[int, int], is_kept: Flags) -> Array:
    """Where a foot (T, 3) stands in a run: as kept, or in the middle of where it is."""
    inside = slice(*run)
    kept = balls[inside][is_kept[inside]]
    return np.median(kept if len(kept) else balls[inside], axis=0)


def _widened(start: int, end: int, length: int, is_kept: Flags) -> slice:
    """A run made longer on both sides, or on the one that is not kept."""
    while end - start < length:
        before = start > 0 and not is_kept[start - 1]
        after = end < len(is_kept) and not is_kept[end]
        if not (before or after):
            break
        start, end = start - before, end + after
    return slice(start, end)
