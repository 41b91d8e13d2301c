"""Which bones of a chain are the parts of a leg or of an arm, and how well they fit. No bpy.

Costs are in units of the logarithm of the ratio of two lengths that should be equal.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .limb_pairs import Limb

Array = NDArray[np.floating]
Indices = NDArray[np.integer]

LONGEST = 12  # bones of a chain that are looked at: what comes later are fingers
IN_LINE, IN_LINE_SLACK = 0.05, 0.06  # for a bone that only shares its parent's twist
OUT_OF_LINE = 0.35  # for a joint that would be passed over although the limb bends there
TWIST = 0.15, 0.82  # of a segment: where twist begins; before lies what carries the limb, then hand
SAME_PLACE = 1e-3  # of a chain's length: two bones begin at one joint
NO_BONE = 0.3  # where the foot or hand has no bone of its own
MIDDLE_LEG, MIDDLE_ARM = 0.06, 0.14  # of a limb: closer to the mid-plane none begins
AWAY_LEG, AWAY_ARM = 0.02, 0.08  # of a limb: so far from it its joints are
ANKLE = 0.2  # of a leg's height: the highest that a foot begins without a doubt
STRETCHED = 0.8  # of a leg's length: how high it stands at least
BEFORE_THIGH, COLLAR = 0.5, 0.75  # of the upper bone: the longest that may lie before it
COLLAR_START = 0.25  # of an arm: how far from the mid-plane a collar begins at most
HAND = 0.2  # of an arm: a hand without its fingers is not longer
UNLIKE_TWISTS = 0.08  # for each twist bone that one half of a limb has more than the other
FOREARM = 1.05  # upper arm to forearm
USUAL = 0.25  # logarithm of the ratio of upper to lower bone: bodies differ as much
AHEAD = 0.7  # cosine: a tail that turns away more was made up by an importer
NEVER = np.inf


@dataclass(frozen=True)
class Fit:
    """Positions in the chain of the upper and lower bone and of the hand or foot."""

    upper: int
    lower: int
    end: int  # len(chain): none
    cost: float


@dataclass(frozen=True, eq=False)
class Chain:
    """One side of a limb, seen from the mid-plane."""

    points: Array  # (K, 3) heads, then the last tail where the chain is short
    num_bones: int
    offsets: Array  # (K,) metres from the mid-plane, positive on its own side
    splits: tuple[int, ...]

    @classmethod
    def of(cls, limb: Limb, tail: Array, normal: Array, middle: Array, shortest: int) -> "Chain":
        points = limb.points[0][:LONGEST]
        num_bones = len(points)
        if num_bones < shortest + 1:
            points = np.vstack([points, _tip(points, tail)])
        offsets = (points - middle) @ normal
        sign = np.sign(offsets[np.abs(offsets).argmax()]) or 1.0
        return cls(points, num_bones, offsets * sign, limb.splits[:LONGEST])

    @cached_property
    def steps(self) -> Array:
        """(K, K, 3) from each point to each."""
        return self.points[None] - self.points[:, None]

    @cached_property
    def lengths(self) -> Array:
        """(K, K)"""
        return np.linalg.norm(self.steps, axis=-1)

    @cached_property
    def skipped(self) -> Array:
        """(K, K) the cost of the joints between two that are passed over."""
        joints = np.arange(len(self.points))
        squared = np.maximum(self.lengths**2, 1e-20)[:, :, None]
        share = np.einsum("sjc,sec->sej", self.steps, self.steps) / squared  # start, end, joint
        off = self.steps[:, None] - share[..., None] * self.steps[:, :, None]
        is_twist = np.einsum("sejc,sejc->sej", off, off) <= IN_LINE_SLACK**2 * squared
        is_twist &= (share > TWIST[0]) & (share < TWIST[1])
        same = self.lengths <= SAME_PLACE * self.lengths.max()
        inside = (joints > joints[:, None, None]) & (joints < joints[:, None])
        inside &= ~(same[:, None, :] | same[None, :, :])  # neither at the start nor at the end
        return (np.where(is_twist, IN_LINE, OUT_OF_LINE) * inside).sum(axis=-1)

    @cached_property
    def turns(self) -> Array:
        """(K, K) sine of the angle between the way from a point to a joint and the bone there;
        0.5 where the chain ends."""
        after = np.diff(self.points, axis=0)
        before = self.steps[:, :-1]
        sizes = self.lengths[:, :-1] * np.linalg.norm(after, axis=-1)
        turns = np.full(self.lengths.shape, 0.5)
        crossed = np.linalg.norm(np.cross(before, after[None]), axis=-1)
        np.divide(crossed, sizes, out=turns[:, :-1], where=sizes > 0.0)
        return turns

    def best(self, cost: Array, triples: tuple[Indices, ...]) -> Fit | None:
        at = int(cost.argmin())
        if cost[at] == NEVER:
            return None
        upper, lower, end = (int(which[at]) for which in triples)
        return Fit(upper, lower, end, float(cost[at]))


def _tip(points: Array, tail: Array) -> Array:
    """Where the last bone ends: as long as the one before where its tail points elsewhere."""
    step, along = points[-1] - points[-2], tail - points[-1]
    is_ahead = step @ along > AHEAD * np.linalg.norm(step) * np.linalg.norm(along)
    return tail if is_ahead else points[-1] + step


@cache
def _triples(count: int) -> tuple[Indices, ...]:
    """Positions of upper bone, lower bone and end, each (C,)."""
    return tuple(np.array(list(combinations(range(count), 3))).T)


def _unlike(length: Array, other: Array) -> Array:
    """Logarithm of the ratio of two lengths; half as much where many bodies differ so."""
    apart = np.abs(np.log(length / other))
    return apart - 0.5 * np.minimum(apart, USUAL)


def fit_leg(chain: Chain, up: Array) -> Fit | None:
    """Thigh, shin and foot: two like lengths that lead down to where the foot turns forward."""
    if len(chain.points) < 3:
        return None
    upper, lower, end = _triples(len(chain.points))
    heights = (chain.points - chain.points[0]) @ up
    lowest = heights.min()
    height = heights[upper] - lowest
    thigh, shin = chain.lengths[upper, lower], chain.lengths[lower, end]
    length = thigh + shin
    possible = (np.minimum(thigh, shin) > 0.0) & (heights[end] < heights[lower]) & (height > 0.0)
    possible &= chain.offsets[end] > AWAY_LEG * length
    possible &= chain.offsets[upper] > 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = _unlike(thigh, shin)
        cost += 2.0 * np.maximum(0.0, (heights[end] - lowest) / height - ANKLE)
        cost += np.maximum(0.0, STRETCHED - (heights[upper] - heights[end]) / length)
    cost += chain.skipped[upper, lower] + chain.skipped[lower, end]
    cost += UNLIKE_TWISTS * np.abs((lower - upper) - (end - lower))
    cost += 0.12 * upper + 0.6 * (chain.lengths[0, upper] > BEFORE_THIGH * thigh)
    cost += 0.3 * (chain.offsets[upper] < MIDDLE_LEG * length)
    cost += 0.4 * (1.0 - chain.turns[lower, end]) + NO_BONE * (end == chain.num_bones)
    return chain.best(np.where(possible, cost, NEVER), (upper, lower, end))


def fit_arm(chain: Chain) -> Fit | None:
    """Upper arm, forearm and hand: two like lengths after a short collar, before the fingers."""
    if len(chain.points) < 3:
        return None
    upper, lower, end = _triples(len(chain.points))
    arm, forearm = chain.lengths[upper, lower], chain.lengths[lower, end]
    length = arm + forearm
    possible = (np.minimum(arm, forearm) > 0.0) & (chain.offsets[end] > AWAY_ARM * length)
    possible &= chain.offsets[upper] > 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = _unlike(arm, FOREARM * forearm)
        cost += np.maximum(0.0, chain.lengths[0, upper] / arm - COLLAR)
    cost += chain.skipped[upper, lower] + chain.skipped[lower, end]
    cost += UNLIKE_TWISTS * np.abs((lower - upper) - (end - lower))
    cost += 0.15 * np.maximum(0, upper - 1)
    cost += 0.5 * ((upper > 0) & (chain.offsets[0] > COLLAR_START * length))
    cost += 0.4 * (chain.offsets[upper] < MIDDLE_ARM * length)
    cost += NO_BONE * (end == chain.num_bones) - 0.08 * chain.turns[upper, lower]
    hand = _where_fingers_begin(chain)
    if hand is None:
        left = np.append(np.cumsum(np.diagonal(chain.lengths, 1)[::-1])[::-1], 0.0)
        cost += np.maximum(0.0, left[end] / np.maximum(length, 1e-20) - HAND)
    else:
        cost += 0.7 * (end > hand) + 0.5 * ((end < hand) & (chain.lengths[end, hand] > 0.0))
    return chain.best(np.where(possible, cost, NEVER), (upper, lower, end))


def _where_fingers_begin(chain: Chain) -> int | None:
    """The first bone of an arm that carries several chains, or None."""
    several = [at for at, count in enumerate(chain.splits) if count > 1 and at >= 2]
    many = [at for at in several if chain.splits[at] > 2]
    return next(iter(many or several), None)
