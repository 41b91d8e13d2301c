"""How a made motion joins the kept frames around its gaps: the residual layer.

What is kept differs from what was made by a residual, known at the kept frames only. In a gap it is
the smoothest curve that starts and ends with them and fades towards its goal, so that position and
velocity are continuous and kept frames come out as they were.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import rotation

Array = NDArray[np.floating]
Kept = NDArray[np.bool_]

FADE_SECONDS = 0.2  # a residual is down to a third after 0.28 s, within 0.2 to 0.4 s


@dataclass(frozen=True)
class Gap:
    """Frames `start` to `stop - 1` of a timeline, with kept frames or its ends around them."""

    start: int
    stop: int

    @property
    def num_frames(self) -> int:
        return self.stop - self.start


def find_gaps(is_kept: Kept) -> list[Gap]:
    """The runs of frames that are not kept, in order. is_kept (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], is_kept, [True]]).astype(int)))
    return [Gap(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def join_positions(
    made: Array, kept: Array, is_kept: Kept, fade_frames: float, carry: bool = False
) -> Array:
    """made, kept (T, ..., 3), is_kept (T,) -> (T, ..., 3): as kept there, as made far from it.

    The residual fades to nothing; with `carry` it changes gently from one side of the gap to the
    other, as fits what the made motion does not know.
    """
    joined = np.where(_over(is_kept, made), kept, made)
    for gap in find_gaps(is_kept):
        near = _neighbours(gap, is_kept)
        residual = kept[near] - made[near]
        frames = slice(gap.start, gap.stop)
        joined[frames] += smoothest_residual(residual, near, gap, fade_frames, carry)
    return joined


def join_rotations(
    made: Array, kept: Array, is_kept: Kept, fade_frames: float, carry: bool = False
) -> Array:
    """As `join_positions` for unit quaternions (T, ..., 4); the residual turns what was made."""
    joined = np.where(_over(is_kept, made), kept, made)
    for gap in find_gaps(is_kept):
        near = _neighbours(gap, is_kept)
        residual = _residual_turns(made[near], kept[near], near < gap.start)
        frames = slice(gap.start, gap.stop)
        turns = smoothest_residual(residual, near, gap, fade_frames, carry)
        joined[frames] = rotation.multiply(rotation.from_vector(turns), made[frames])
    return rotation.continuous(joined)


def interpolate_positions(kept: Array, is_kept: Kept, fade_frames: float) -> Array:
    """Kept frames and, between them, a straight way that leaves and arrives with their velocity."""
    before, after, share = _sides(is_kept)
    share = share.reshape(-1, *[1] * (kept.ndim - 1))
    straight = (1.0 - share) * kept[before] + share * kept[after]
    return join_positions(straight, kept, is_kept, fade_frames)


def interpolate_rotations(kept: Array, is_kept: Kept, fade_frames: float) -> Array:
    """As `interpolate_positions` for unit quaternions (T, ..., 4)."""
    before, after, share = _sides(is_kept)
    share = share.reshape(-1, *[1] * (kept.ndim - 2))
    straight = rotation.slerp(kept[before], kept[after], share)
    return join_rotations(straight, kept, is_kept, fade_frames)


def smoothest_residual(
    known: Array, near: NDArray[np.int64], gap: Gap, fade_frames: float, carry: bool
) -> Array:
    """The residual in a gap from its values `known` (K, ...) at frames `near` (K,). -> (N, ...).

    Minimises the sum of |second difference|^2 + |residual - goal|^2 / fade_frames^4 over the gap.
    """
    flat = known.reshape(len(known), -1)
    frames = np.arange(gap.start, gap.stop)
    span = np.sort(np.concatenate([near, frames]))
    inside = (span >= gap.start) & (span < gap.stop)
    goal = _goal(flat, near, gap) if carry else np.zeros((gap.num_frames, flat.shape[1]))
    pull = 1.0 / fade_frames**4
    system = pull * np.eye(gap.num_frames)
    wanted = pull * goal
    if len(span) > 2:
        change = np.diff(np.eye(len(span)), n=2, axis=0)
        system += change[:, inside].T @ change[:, inside]
        wanted = wanted - change[:, inside].T @ (change[:, ~inside] @ flat)
    return np.linalg.solve(system, wanted).reshape(gap.num_frames, *known.shape[1:])


def _goal(flat: Array, near: NDArray[np.int64], gap: Gap) -> Array:
    """A gentle way from the residual before a gap to the one after it; (N, C)."""
    before, after = flat[near < gap.start], flat[near >= gap.stop]
    first = before[-1] if len(before) else after[0]
    last = after[0] if len(after) else before[-1]
    share = (np.arange(gap.num_frames) + 1.0) / (gap.num_frames + 1.0)
    share = (share * share * (3.0 - 2.0 * share))[:, None]
    return (1.0 - share) * first + share * last


def _residual_turns(made: Array, kept: Array, is_before: Kept) -> Array:
    """Rotation vectors from made to kept, continuous on each side of the gap. -> (K, ..., 3)."""
    quats = rotation.multiply(kept, rotation.inverse(made))
    for side, edge in ((is_before, -1), (~is_before, 0)):
        if side.any():
            nearest = quats[side][edge]
            nearest = np.where(nearest[..., :1] < 0.0, -nearest, nearest)
            dots = np.sum(quats[side] * nearest, axis=-1, keepdims=True)
            quats[side] = np.where(dots < 0.0, -quats[side], quats[side])
    return rotation.to_vector(quats)


def _neighbours(gap: Gap, is_kept: Kept) -> NDArray[np.int64]:
    """The up to two kept frames on each side of a gap that touch it: they say the velocity."""
    sides = ((gap.start - 1, -1), (gap.stop, 1))
    found: list[int] = []
    for edge, step in sides:
        for frame in (edge, edge + step):
            if not (0 <= frame < len(is_kept) and is_kept[frame]):
                break
            found.append(frame)
    return np.array(sorted(found))


def _sides(is_kept: Kept) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """For each frame the nearest kept ones before and after, and its share of the way between."""
    frames, kept = np.arange(len(is_kept)), np.flatnonzero(is_kept)
    place = np.searchsorted(kept, frames)
    after = kept[np.minimum(place, len(kept) - 1)]
    before = np.where(is_kept, frames, kept[np.maximum(place - 1, 0)])
    length = np.maximum(after - before, 1)
    return before, after, (frames - before) / length


def _over(is_kept: Kept, values: Array) -> Kept:
    return is_kept.reshape(-1, *[1] * (values.ndim - 1))
