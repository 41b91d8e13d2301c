"""Which bones of a chain are the parts of a leg or of an arm, and how well they fit. No bpy.

Costs are in units of the logarithm of the ratio of two lengths that should be equal.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .limb_pairs import Limb, is_between

Array = NDArray[np.floating]

LONGEST = 12  # bones of a chain that are looked at: what comes later are fingers
IN_LINE = 0.05  # for a bone that only shares its parent's twist
OUT_OF_LINE = 0.35  # for a joint that would be passed over although the limb bends there
IN_LINE_SLACK = 0.06  # of a segment's length
NO_BONE = 0.3  # where the foot or hand has no bone of its own
MIDDLE = 0.06  # of a limb's length: a limb that begins closer to the mid-plane begins too early
MIDDLE_ARM = 0.14
ANKLE = 0.16  # of a leg's height: the highest that a foot begins without a doubt
COLLAR = 0.75  # of the upper arm: the longest collar


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

    points: Array  # (K or K + 1, 3) heads, and the last tail where the chain is short
    num_bones: int
    offsets: Array  # metres from the mid-plane, positive on its own side
    splits: tuple[int, ...]

    @classmethod
    def of(cls, limb: Limb, tail: Array, normal: Array, middle: Array, shortest: int) -> "Chain":
        points = limb.points[0][:LONGEST]
        num_bones = len(points)
        if num_bones < shortest + 1:
            points = np.vstack([points, tail])
        offsets = (points - middle) @ normal
        sign = np.sign(offsets[np.abs(offsets).argmax()]) or 1.0
        return cls(points, num_bones, offsets * sign, limb.splits[:LONGEST])

    def skipped(self, start: int, end: int) -> float:
        """The cost of the joints between two that are passed over."""
        cost = 0.0
        for at in range(start + 1, end):
            is_twist = is_between(
                self.points[at], self.points[start], self.points[end], IN_LINE_SLACK
            )
            cost += IN_LINE if is_twist else OUT_OF_LINE
        return cost

    def length(self, start: int, end: int) -> float:
        return float(np.linalg.norm(self.points[end] - self.points[start]))


def fit_leg(chain: Chain, up: Array) -> Fit | None:
    """Thigh, shin and foot: two like lengths that lead down to where the foot turns forward."""
    heights = chain.points @ up
    best = None
    for upper, lower, end in combinations(range(len(chain.points)), 3):
        thigh, shin = chain.length(upper, lower), chain.length(lower, end)
        height = heights[upper] - heights.min()
        if min(thigh, shin) <= 0.0 or heights[end] >= heights[lower] or height <= 0.0:
            continue
        cost = abs(np.log(thigh / shin)) + chain.skipped(upper, lower) + chain.skipped(lower, end)
        cost += _before_leg(chain, upper, lower)
        cost += 3.0 * max(0.0, (heights[end] - heights.min()) / height - ANKLE)
        cost += 0.4 * (1.0 - _turn(chain, lower, end)) + NO_BONE * (end == chain.num_bones)
        cost += max(0.0, 0.8 - (heights[upper] - heights[end]) / (thigh + shin))
        if best is None or cost < best.cost:
            best = Fit(upper, lower, end, float(cost))
    return best


def fit_arm(chain: Chain) -> Fit | None:
    """Upper arm, forearm and hand: two like lengths after a short collar, before the fingers."""
    best = None
    hand = _where_fingers_begin(chain)
    for upper, lower, end in combinations(range(len(chain.points)), 3):
        arm, forearm = chain.length(upper, lower), chain.length(lower, end)
        if min(arm, forearm) <= 0.0 or chain.offsets[end] < 0.15 * (arm + forearm):
            continue
        cost = abs(np.log(arm / (1.05 * forearm)))
        cost += chain.skipped(upper, lower) + chain.skipped(lower, end)
        cost += _before_arm(chain, upper, arm, arm + forearm)
        cost += NO_BONE * (end == chain.num_bones)
        if hand is not None:
            cost += 0.7 * (end > hand) + 0.35 * (end < hand and chain.length(end, hand) > 0.0)
        else:
            cost += 0.1 * max(0, chain.num_bones - 2 - end)
        cost -= 0.08 * _turn(chain, upper, lower)
        if best is None or cost < best.cost:
            best = Fit(upper, lower, end, float(cost))
    return best


def _before_leg(chain: Chain, upper: int, lower: int) -> float:
    """What lies between the hips and the thigh must be short, and the thigh on its own side."""
    length = chain.length(upper, lower)
    cost = 0.05 * upper
    if upper and chain.length(0, upper) > 0.5 * length:
        cost += 0.6
    if chain.offsets[upper] < MIDDLE * 2.0 * length:
        cost += 0.3
    return cost


def _before_arm(chain: Chain, upper: int, arm: float, length: float) -> float:
    """What lies between the chest and the upper arm is a collar."""
    cost = 0.05 * max(0, upper - 1)
    if upper and chain.length(0, upper) > COLLAR * arm:
        cost += 0.5
    if chain.offsets[upper] < MIDDLE_ARM * length:
        cost += 0.4
    return cost


def _turn(chain: Chain, start: int, joint: int) -> float:
    """Sine of the angle by which the chain turns at a joint, 0 to 1; 0.5 if nothing follows."""
    if joint + 1 >= len(chain.points):
        return 0.5
    before = chain.points[joint] - chain.points[start]
    after = chain.points[joint + 1] - chain.points[joint]
    size = float(np.linalg.norm(before) * np.linalg.norm(after))
    return float(np.linalg.norm(np.cross(before, after))) / size if size else 0.5


def _where_fingers_begin(chain: Chain) -> int | None:
    """The first bone of an arm that carries several chains, or None."""
    several = [at for at, count in enumerate(chain.splits) if count > 1 and at >= 2]
    many = [at for at in several if chain.splits[at] > 2]
    return next(iter(many or several), None)
