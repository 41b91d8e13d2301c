"""Ranges of frames to keep, and the gaps between them. No bpy."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UserError


@dataclass(frozen=True, order=True)
class Frames:
    """Whole frames of the scene, both ends included."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"

    def __len__(self) -> int:
        return self.last - self.first + 1


def gaps_between(kept: Sequence[Frames], whole: Frames) -> list[Frames]:
    """What is to be made: the frames of `whole` in none of the ranges, from the first on.

    Ranges may overlap or reach over the ends. Raises UserError.
    """
    if not kept:
        raise UserError("No frames are kept. Add a range to keep, or make a new motion.")
    for each in kept:
        if each.first > each.last:
            raise UserError(f"The range {each.first} to {each.last} ends before it begins.")
        if each.last < whole.first or each.first > whole.last:
            raise UserError(f"Frames {each} lie outside the animation, frames {whole}.")
    gaps, free = [], whole.first
    for each in sorted(kept):
        if each.first > free:
            gaps.append(Frames(free, each.first - 1))
        free = max(free, each.last + 1)
    if free <= whole.last:
        gaps.append(Frames(free, whole.last))
    if not gaps:
        raise UserError(f"All frames {whole} are kept: there is nothing to make. Shorten a range.")
    return gaps


def gap_around(frame: int, keyed: Sequence[int]) -> Frames:
    """The frames between the two keyed ones around `frame`. Raises UserError."""
    before = [each for each in keyed if each < frame or (each == frame and each != max(keyed))]
    after = [each for each in keyed if each > frame]
    if not before or not after:
        raise UserError(
            f"There are no keys on both sides of frame {frame}. Place the playhead between two "
            "keys, or use Extend."
        )
    gap = Frames(max(before) + 1, min(after) - 1)
    if len(gap) < 1:
        raise UserError(
            f"There is no frame between the keys at {max(before)} and {min(after)}. Move one of "
            "them away."
        )
    return gap
