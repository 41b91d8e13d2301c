"""How a made motion joins the kept frames around its gaps: the residual layer.

What is kept differs from what was made by a residual, known at the kept frames only. In a gap it is
the smoothest curve that continues them and fades away, so that position and velocity are
continuous, acceleration changes no more than in a recording, and kept frames come out as they were.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import rotation

Array = NDArray[np.floating]
Kept = NDArray[np.bool_]
Frames = NDArray[np.int64]

FADE_SECONDS = 0.2  # of a residual
SETTLES = 2.0  # times as long for how it bends: shorter ones brake hard beside the kept frames
# Share of an acceleration that is there a frame later: in recordings 0.3 of turns and 0.6 of travel
# at 20 fps. All of it, noise and all, would swing limbs aside.
GOES_ON = 0.4
NEAR = 3  # kept frames on each side of a gap that say velocity and acceleration


@dataclass(frozen=True)
class Gap:
    """Frames `start` to `stop - 1` of a timeline, with kept frames or its ends around them."""

    start: int
    stop: int

    @property
    def num_frames(self) -> int:
        return self.stop - self.start

    @property
    def frames(self) -> slice:
        return slice(self.start, self.stop)

    @property
    def surroundings(self) -> slice:
        """The gap with the frames that its seams depend on, where the timeline has them."""
        return slice(max(0, self.start - NEAR), self.stop + NEAR)

    def seen_from(self, frames: slice) -> "Gap":
        """The same gap in a part of the timeline."""
        return Gap(self.start - frames.start, self.stop - frames.start)


def find_gaps(is_kept: Kept) -> list[Gap]:
    """The runs of frames that are not kept, in order. is_kept (T,)."""
    changes = np.diff(np.concatenate([[True], is_kept, [True]]).astype(int))
    starts, stops = np.flatnonzero(changes < 0), np.flatnonzero(changes > 0)
    return [Gap(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]


def join_positions(
    made: Array, kept: Array, is_kept: Kept, fade_frames: float, carry: bool = False
) -> Array:
    """made, kept (T, ..., 3), is_kept (T,) -> (T, ..., 3): as kept, and far from it as made.

    The residual fades to nothing. With `carry` it changes gently from one side of the gap to the
    other instead: for what the made motion knows nothing of. What `kept` has in gaps is not read.
    """
    joined = np.where(is_kept.reshape(-1, *[1] * (made.ndim - 1)), kept, made)
    for gap in find_gaps(is_kept):
        near = neighbours(gap, is_kept)
        residual = kept[near] - made[near]
        joined[gap.frames] += smoothest_residual(residual, near, gap, fade_frames, carry)
    return joined


def join_rotations(
    made: Array, kept: Array, is_kept: Kept, fade_frames: float, carry: bool = False
) -> Array:
    """As `join_positions` for unit quaternions (T, ..., 4): the residual turns what was made."""
    joined = np.where(is_kept.reshape(-1, *[1] * (made.ndim - 1)), kept, made)
    for gap in find_gaps(is_kept):
        near = neighbours(gap, is_kept)
        residual = _turns(made[near], kept[near], near < gap.start)
        turns = smoothest_residual(residual, near, gap, fade_frames, carry)
        joined[gap.frames] = rotation.multiply(rotation.from_vector(turns), made[gap.frames])
    return joined


def interpolate_positions(kept: Array, is_kept: Kept, fade_frames: float) -> Array:
    """(T, ..., 3) with gaps -> the same with a straight way across each, at the kept velocity at
    both ends. At the ends of the timeline the nearest kept frame is held."""
    filled = kept.copy()
    for gap in find_gaps(is_kept):
        around, before, after, share = _way_across(gap, len(is_kept), kept.ndim - 1)
        straight = kept[before] + share * (kept[after] - kept[before])
        joined = join_positions(straight, kept[around], is_kept[around], fade_frames)
        filled[gap.frames] = joined[gap.seen_from(around).frames]
    return filled


def interpolate_rotations(kept: Array, is_kept: Kept, fade_frames: float) -> Array:
    """As `interpolate_positions` for unit quaternions (T, ..., 4), along the shorter arc."""
    filled = kept.copy()
    for gap in find_gaps(is_kept):
        around, before, after, share = _way_across(gap, len(is_kept), kept.ndim - 2)
        straight = rotation.slerp(kept[before], kept[after], share)
        joined = join_rotations(straight, kept[around], is_kept[around], fade_frames)
        filled[gap.frames] = joined[gap.seen_from(around).frames]
    return filled


def smoothest_residual(
    known: Array, near: Frames, gap: Gap, fade_frames: float, carry: bool
) -> Array:
    """The residual in a gap of N frames from its values `known` (K, ...) at `near` (K,). (N, ...).

    Minimises the sum of |(d + 1/f)^2 (d + 1/s) (residual - goal)|^2 over all frames, where d is the
    difference from frame to frame, f `fade_frames` and s = 2 f: written out, the squares of the
    differences of each order. Such a fade does not swing back.
    """
    flat = _bent_less(known.reshape(len(known), -1), near, gap)
    span = np.sort(np.concatenate([near, np.arange(gap.start, gap.stop)]))
    inside = (span >= gap.start) & (span < gap.stop)
    goal = _gentle_way(flat, near, gap, span) if carry else np.zeros((len(span), flat.shape[1]))
    outside = flat - goal[~inside]
    system, pull = np.zeros((gap.num_frames, gap.num_frames)), np.zeros_like(goal[inside])
    f, s = fade_frames**-2.0, (SETTLES * fade_frames) ** -2.0
    for order, weight in enumerate((f * f * s, f * f + 2.0 * f * s, 2.0 * f + s, 1.0)):
        change = np.diff(np.eye(len(span)), n=order, axis=0)
        free, fixed = change[:, inside], change[:, ~inside]
        system += weight * free.T @ free
        pull -= weight * free.T @ (fixed @ outside)
    solved = goal[inside] + np.linalg.solve(system, pull)
    return solved.reshape(gap.num_frames, *known.shape[1:])


def _bent_less(known: Array, near: Frames, gap: Gap) -> Array:
    """(K, C) with the same velocity beside the gap and `GOES_ON` of the acceleration."""
    bent = known.copy()
    for rows in (np.flatnonzero(near < gap.start)[::-1], np.flatnonzero(near >= gap.stop)):
        if len(rows) == NEAR:
            first, second, third = known[rows]
            bend = third - 2.0 * second + first
            bent[rows[2]] = third - (1.0 - GOES_ON) * bend
    return bent


def _gentle_way(flat: Array, near: Frames, gap: Gap, span: Frames) -> Array:
    """From the residual before a gap to the one after it, level outside. (K, C) -> (span, C)."""
    before, after = flat[near < gap.start], flat[near >= gap.stop]
    first = before[-1] if len(before) else after[0]
    last = after[0] if len(after) else before[-1]
    share = np.clip((span - gap.start + 1.0) / (gap.num_frames + 1.0), 0.0, 1.0)
    share = (share * share * (3.0 - 2.0 * share))[:, None]
    return first + share * (last - first)


def _turns(made: Array, kept: Array, is_before: Kept) -> Array:
    """Rotation vectors from made to kept, continuous on each side of the gap. -> (K, ..., 3)."""
    quats = rotation.multiply(kept, rotation.inverse(made))
    for side, edge in ((is_before, -1), (~is_before, 0)):
        if side.any():
            nearest = quats[side][edge]
            nearest = np.where(nearest[..., :1] < 0.0, -nearest, nearest)
            dots = np.sum(quats[side] * nearest, axis=-1, keepdims=True)
            quats[side] = np.where(dots < 0.0, -quats[side], quats[side])
    return rotation.to_vector(quats)


def neighbours(gap: Gap, is_kept: Kept) -> Frames:
    """The kept frames on both sides that touch a gap, up to `NEAR` each."""
    found: list[int] = []
    for edge, step in ((gap.start - 1, -1), (gap.stop, 1)):
        for frame in range(edge, edge + NEAR * step, step):
            if not (0 <= frame < len(is_kept) and is_kept[frame]):
                break
            found.append(frame)
    return np.array(sorted(found))


def _way_across(gap: Gap, num_frames: int, num_axes: int) -> tuple[slice, int, int, Array]:
    """Frames around a gap, its kept ends and the share of the way between them, which goes on
    beyond both; (frames, 1, ...) with `num_axes` axes after the first."""
    around = gap.surroundings
    before = gap.start - 1 if gap.start else gap.stop
    after = gap.stop if gap.stop < num_frames else gap.start - 1
    frames = np.arange(num_frames)[around]
    share = (frames - before) / max(after - before, 1)
    return around, before, after, share.reshape(-1, *[1] * num_axes)
