"""Which bone plays which role by how bones hang together and where they lie. No bpy.

For names in any language, or meaningless ones: two mirrored legs that lead away from two mirrored
arms, a spine between them and a head beyond.
"""

from collections.abc import Set
from dataclasses import dataclass
from itertools import product
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from .limb_fit import Chain, Fit, fit_arm, fit_leg
from .limb_pairs import Limb, Skeleton, find_limbs
from .rest_bones import RestBones
from .role_map import JointMap
from .upper_body import Frame, facing, find_upper_body, front, leg_signs

Array = NDArray[np.floating]

SOURCE = "structure"
LIMB, TRUNK = 0.75, 0.7  # confidence in what fits
UNSURE_SIDE = 0.8  # of it is left where the body does not tell which way it looks
UNSURE_FIT = 0.3  # of it is lost by a limb that fits badly
WORST = 1.8  # cost beyond which bones only happen to lie like a body
AGAINST = -0.6  # cosine between trunk and legs: a body on all fours has about 0
LOW = 0.15  # of a leg: no hand of one that stands hangs closer to its soles
ARM = 0.68  # of a leg, thigh to ankle: our rest pose's shoulder to wrist
FINGERS = 0.2  # what they speak for an arm
MISSING = 0.8  # what a missing arm or leg costs


@dataclass(frozen=True, eq=False)
class _Body:
    """Legs and arms that may belong together."""

    legs: Limb
    arms: Limb
    leg: Fit
    arm: Fit
    frame: Frame
    cost: float


def by_structure(rest: RestBones, without: Set[int] = frozenset()) -> JointMap | None:
    """The likeliest humanoid among the bones, but for those of `without`; None if there is none.

    Two characters in one armature: ask again without the bones of the first and all below its hips.
    """
    skeleton = Skeleton(rest, without)
    body = _best_body(skeleton)
    return None if body is None else _joint_map(skeleton, body)


def _best_body(skeleton: Skeleton) -> _Body | None:
    pairs, singles = find_limbs(skeleton)
    limbs = pairs + singles
    fits = _Fits(skeleton)
    found = []
    for legs, arms in product(limbs, limbs):
        if _may_belong_together(skeleton, legs, arms):
            leg, arm = fits.leg(legs, arms), fits.arm(arms, legs)
            if leg is not None and arm is not None:
                found.append((leg.cost + arm.cost, legs, arms, leg, arm))
    longest = max((limb.length for limb in limbs), default=0.0)
    best = None
    for cost, legs, arms, leg, arm in sorted(found, key=itemgetter(0)):
        if cost - FINGERS > (WORST if best is None else best.cost):
            break
        body = _judge(skeleton, (legs, arms), (leg, arm), fits.up(legs, arms), longest)
        if body is not None and (best is None or body.cost < best.cost):
            best = body
    return best if best is not None and best.cost < WORST else None


class _Fits:
    """How well chains fit as legs and arms, each looked at once for each mid-plane."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self._known: dict[tuple[str, Limb, Limb], Fit | None] = {}

    def leg(self, limb: Limb, partner: Limb) -> Fit | None:
        pair = _pair(limb, partner)
        key = "leg", limb, pair
        if key not in self._known:
            up = self.up(limb, partner)
            self._known[key] = fit_leg(_chain(self.skeleton, limb, pair, 2), up)
        return self._known[key]

    def arm(self, limb: Limb, partner: Limb) -> Fit | None:
        pair = _pair(limb, partner)
        key = "arm", limb, pair
        if key not in self._known:
            self._known[key] = fit_arm(_chain(self.skeleton, limb, pair, 3))
        return self._known[key]

    def up(self, legs: Limb, partner: Limb) -> Array:
        """Away from the end of the legs, within the mid-plane."""
        points = legs.points[0]
        far = np.linalg.norm(points - points[0], axis=1).argmax()
        return _within(points[0] - points[far], _pair(legs, partner).normal)


def _pair(limb: Limb, partner: Limb) -> Limb:
    """The one that tells where the mid-plane is."""
    return partner if limb.normal is None else limb


def _may_belong_together(skeleton: Skeleton, legs: Limb, arms: Limb) -> bool:
    """Apart in the tree, and mirrored about one plane."""
    if legs is arms or legs.bones & arms.bones:
        return False
    if _hangs_below(skeleton, arms.above, legs) or _hangs_below(skeleton, legs.above, arms):
        return False
    if legs.normal is None or arms.normal is None:
        return legs.normal is not arms.normal
    if abs(legs.normal @ arms.normal) < 0.9:
        return False
    return bool(abs((legs.middle - arms.middle) @ legs.normal) < 0.2 * legs.length)


def _hangs_below(skeleton: Skeleton, bone: int, limb: Limb) -> bool:
    return bone >= 0 and not limb.bones.isdisjoint((bone, *skeleton.rest.ancestors(bone)))


def _chain(skeleton: Skeleton, limb: Limb, pair: Limb, shortest: int) -> Chain:
    tail = skeleton.rest.tails[limb.chains[0][-1]]
    return Chain.of(limb, tail, pair.normal, pair.middle, shortest)


def _within(vector: Array, normal: Array) -> Array:
    """A unit vector, square to another if that is not zero."""
    flat = vector - (vector @ normal) * normal
    length = np.linalg.norm(flat)
    return flat / length if length else flat


def _judge(
    skeleton: Skeleton,
    limbs: tuple[Limb, Limb],
    fits: tuple[Fit, Fit],
    up: Array,
    longest: float,
) -> _Body | None:
    """How much the two look like the legs and arms of one that stands; None: not at all."""
    (legs, arms), (leg, arm) = limbs, fits
    hip, ankle = _joint(skeleton, legs, leg.upper), _joint(skeleton, legs, leg.end)
    shoulder, wrist = _joint(skeleton, arms, arm.upper), _joint(skeleton, arms, arm.end)
    normal = _common_normal(legs, arms)
    if len(legs.chains) == 1:
        hip = hip - (hip - arms.middle) @ normal * normal
    if len(arms.chains) == 1:
        shoulder = shoulder - (shoulder - legs.middle) @ normal * normal
    leg_length, arm_length = _length(skeleton, legs, leg), _length(skeleton, arms, arm)
    trunk = shoulder - hip
    normal = _within(normal, _within(trunk, np.zeros(3)))  # where the body leans to one side
    down, trunk = _within(ankle - hip, normal), _within(trunk, normal)
    straight = float(trunk @ down)
    if straight > AGAINST or (wrist - ankle) @ up < LOW * leg_length:
        return None
    frame = Frame(_within(trunk - down, normal), normal, hip, shoulder, leg_length)
    cost = leg.cost + arm.cost + 1.0 + straight - 0.3 * float(np.log(legs.length / longest))
    cost += _beyond(frame.trunk / leg_length, 0.3, 2.2)
    ratio = arm_length / leg_length
    cost += 2.0 * _beyond(ratio, 0.4, 1.8) + 0.3 * abs(float(np.log(ratio / ARM)))
    cost += 0.7 * _share_of_helpers(skeleton, limbs, fits)
    cost += MISSING * (legs.normal is None or arms.normal is None)
    lowest = (skeleton.heads[skeleton.bones] @ up).min()
    cost += _like_wings(skeleton, limbs, fits, frame)
    sole = (legs.points @ up).min()
    cost += 0.3 * min(1.0, float(sole - lowest) / leg_length)
    if not _has_head(skeleton, arms, frame):
        cost += 0.3
    return _Body(legs, arms, leg, arm, frame, float(cost))


def _common_normal(legs: Limb, arms: Limb) -> Array:
    """Unit vector across the body."""
    if legs.normal is None or arms.normal is None:
        return _pair(legs, arms).normal
    sign = np.sign(legs.normal @ arms.normal)
    return _within(legs.normal + sign * arms.normal, np.zeros(3))


def _like_wings(
    skeleton: Skeleton, limbs: tuple[Limb, Limb], fits: tuple[Fit, Fit], frame: Frame
) -> float:
    """Arms are neither behind the body nor raised, and end in fingers."""
    (legs, arms), (leg, arm) = limbs, fits
    shoulder, elbow, wrist = (_joint(skeleton, arms, at) for at in (arm.upper, arm.lower, arm.end))
    ahead, is_sure = front(leg_signs(skeleton, legs, leg, frame), frame)
    middle = (elbow + wrist - 2.0 * shoulder) / 2.0 / frame.leg
    cost = max(0.0, float(middle @ frame.up) - 0.1)
    if is_sure:
        cost += 2.0 * max(0.0, -float(middle @ ahead) - 0.1)
    has_fingers = arm.end < len(arms.splits) and arms.splits[arm.end] > 1
    return cost - FINGERS * has_fingers


def _joint(skeleton: Skeleton, limb: Limb, at: int) -> Array:
    """(3,) mean over the sides, of a tail where there is no bone."""
    if at < limb.points.shape[1]:
        return limb.points[:, at].mean(axis=0)
    return skeleton.rest.tails[[chain[-1] for chain in limb.chains]].mean(axis=0)


def _length(skeleton: Skeleton, limb: Limb, fit: Fit) -> float:
    chain = _chain(skeleton, limb, limb, 3) if limb.normal is not None else None
    points = chain.points if chain else np.vstack([limb.points[0], limb.points[0][-1:]])
    joints = points[[fit.upper, fit.lower, min(fit.end, len(points) - 1)]]
    return float(np.linalg.norm(np.diff(joints, axis=0), axis=1).sum())


def _beyond(ratio: float, least: float, most: float) -> float:
    return float(max(0.0, np.log(least / ratio), np.log(ratio / most)))


def _share_of_helpers(skeleton: Skeleton, limbs: tuple[Limb, Limb], fits: tuple[Fit, Fit]) -> float:
    bones = [
        chain[at]
        for limb, fit in zip(limbs, fits, strict=True)
        for chain in limb.chains
        for at in (fit.upper, fit.lower, fit.end)
        if at < len(chain)
    ]
    return sum(skeleton.is_helper[bone] for bone in bones) / len(bones)


def _has_head(skeleton: Skeleton, arms: Limb, frame: Frame) -> bool:
    """Whether something in the middle lies higher than the shoulders."""
    line = [bone for bone in skeleton.children[arms.above] if bone not in arms.bones]
    return any(frame.is_middle(skeleton.heads[bone]) for bone in line)


def _joint_map(skeleton: Skeleton, body: _Body) -> JointMap:
    rest, frame = skeleton.rest, body.frame
    forward, is_sure = facing(skeleton, body.legs, body.arms, (body.leg, body.arm), frame)
    left = np.cross(frame.up, forward)
    sided = LIMB if is_sure else LIMB * UNSURE_SIDE
    found: dict[str, tuple[int, float]] = {}
    for limb, fit, parts in (
        (body.legs, body.leg, ("thigh", "shin", "foot")),
        (body.arms, body.arm, ("upperarm", "forearm", "hand")),
    ):
        for line, points in zip(limb.chains, limb.points, strict=True):
            side = "l" if (points[fit.lower] - frame.hip) @ left > 0.0 else "r"
            places = zip(parts, (fit.upper, fit.lower, fit.end), strict=True)
            bones = {part: line[at] for part, at in places if at < len(line)}
            if parts[0] == "upperarm" and fit.upper:
                bones["collar"] = line[0]
            if "foot" in bones and (toe := _toe(skeleton, bones["foot"], forward, frame)) >= 0:
                bones["toe"] = toe
            sure = sided * (1.0 - UNSURE_FIT * float(np.clip(fit.cost, 0.0, 1.0)))
            found |= {f"{side}_{part}": (bone, sure) for part, bone in bones.items()}
    trunk = find_upper_body(skeleton, body.legs, body.arms, frame, _has_ends(skeleton, found))
    found |= {role: (bone, TRUNK) for role, bone in trunk.items()}
    bones = {role: rest.names[bone] for role, (bone, _) in found.items()}
    return JointMap(bones, {role: sure for role, (_, sure) in found.items()}, SOURCE)


def _toe(skeleton: Skeleton, foot: int, forward: Array, frame: Frame) -> int:
    """The bone in front of the foot, of several the one next to the other foot; -1 for none."""
    ahead = []
    for bone in skeleton.children[foot]:
        step = skeleton.heads[bone] - skeleton.heads[foot]
        if step @ forward > 0.5 * np.linalg.norm(step) and skeleton.steps[bone] > 0.0:
            ahead.append(bone)
    return min(ahead, key=lambda bone: abs(frame.aside(skeleton.heads[bone])), default=-1)


def _has_ends(skeleton: Skeleton, found: dict[str, tuple[int, float]]) -> bool:
    """Whether the last bones of chains only mark where the chains end: a lone toe has one."""
    for side in "lr":
        if f"{side}_toe" in found:
            toe, foot = found[f"{side}_toe"][0], found[f"{side}_foot"][0]
            children = skeleton.children[toe]
            is_lone = sum(skeleton.depth[bone] > 1 for bone in skeleton.children[foot]) == 1
            return is_lone and len(children) == 1 and skeleton.depth[children[0]] == 1
    return False
