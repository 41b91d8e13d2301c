"""Hips, spine, neck and head between known legs and arms, and where the body looks. No bpy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .limb_fit import Fit
from .limb_pairs import Limb, Skeleton
from .trunk import spine_roles

Array = NDArray[np.floating]

NEAR_HIPS = 0.45  # of a leg: the bone of the hips begins not farther from the thighs
CLOSER = 0.03  # of a leg
IN_MIDDLE = 0.07  # of the trunk: not farther from the mid-plane
LONGEST_NECK = 0.3  # of the trunk: a longer bone that is followed by one other is the head
HEAD_BONE = 1.3  # times the bones of the neck: a longer last one is the head, its child its end
HIGHEST_HEAD = 0.33  # of the trunk above the shoulders: lower is no end of a head
LEANING = 2.0  # metres forward for each upward: no neck leans more
SAME_PLACE = 0.02  # of the trunk
BELOW_SHOULDERS = 0.25  # of the trunk: a bone that begins lower is none of the neck
ON_SHOULDERS = 0.08  # of the trunk: a bone that begins higher and carries the arms is the neck
LIKELY_FRONT = np.array([0.0, -1.0, 0.5])  # -Y in Blender; +Z in files with +Y up
CERTAIN = 0.5  # of one clear sign: enough to tell front from back


@dataclass(frozen=True, eq=False)
class Frame:
    """Where a body is: unit vectors, and points between its sides."""

    up: Array
    normal: Array  # from one side to the other
    hip: Array
    shoulder: Array
    leg: float  # metres

    @property
    def ahead(self) -> Array:
        """To the front or to the back."""
        return np.cross(self.normal, self.up)

    @property
    def trunk(self) -> float:
        return float((self.shoulder - self.hip) @ self.up)

    def height(self, points: Array) -> Array:
        """Above the shoulders, in trunks."""
        return (points - self.shoulder) @ self.up / self.trunk

    def aside(self, point: Array) -> float:
        """From the mid-plane, in trunks."""
        return float((point - self.hip) @ self.normal / self.trunk)

    def is_middle(self, point: Array) -> bool:
        return abs(self.aside(point)) < IN_MIDDLE


def find_upper_body(
    skeleton: Skeleton, legs: Limb, arms: Limb, frame: Frame, has_ends: bool
) -> dict[str, int]:
    """Role -> bone. `has_ends`: the last bone of a chain only marks its end."""
    spine = _spine(skeleton, legs, arms, frame)
    if not spine:
        return {}
    hips, spine = spine[0], spine[1:]
    above = _chain_up(skeleton, spine[-1] if spine else hips, arms.bones | legs.bones, frame)
    while len(above) > 1 and frame.height(skeleton.heads[above[0]]) < -BELOW_SHOULDERS:
        spine, above = [*spine, above[0]], above[1:]
    head = _head(skeleton, above, frame, has_ends)
    found = {"hips": hips}
    if head >= 0:
        found["head"] = above[head]
    if head > 0:
        found["neck"] = above[0]
    elif len(spine) > 1 and frame.height(skeleton.heads[spine[-1]]) > -ON_SHOULDERS:
        found["neck"] = spine.pop()  # 3ds Max's Biped hangs its arms on the neck
    return found | spine_roles(spine)


def _spine(skeleton: Skeleton, legs: Limb, arms: Limb, frame: Frame) -> list[int]:
    """From the hips to the bone that carries the arms."""
    ancestors = skeleton.rest.ancestors
    chest = arms.above if arms.above >= 0 else _chest(skeleton, legs.bones | arms.bones, frame)
    if chest < 0:
        return []
    line = [bone for bone in (chest, *ancestors(chest)) if bone in skeleton.children]
    carriers = {legs.above, *ancestors(legs.above)} if legs.above >= 0 else set()
    shared = next((at for at, bone in enumerate(line) if bone in carriers), len(line) - 1)
    away = np.linalg.norm(skeleton.heads[line] - frame.hip, axis=1) / frame.leg
    while shared + 1 < len(line) and away[shared + 1] < away[shared] - CLOSER:
        shared += 1  # Biped hangs the legs on the spine
    while shared > 0 and away[shared] > NEAR_HIPS:
        shared -= 1  # a root on the ground, from which the legs hang, too
    return line[shared::-1]


def _chest(skeleton: Skeleton, without: frozenset[int], frame: Frame) -> int:
    """The highest bone in the middle below the shoulders, for arms that no bone carries."""
    below = [
        bone
        for bone in skeleton.bones
        if bone not in without
        and frame.is_middle(skeleton.heads[bone])
        and frame.height(skeleton.heads[bone]) < -ON_SHOULDERS
    ]
    return max(below, key=lambda bone: frame.height(skeleton.heads[bone]), default=-1)


def _chain_up(skeleton: Skeleton, start: int, without: frozenset[int], frame: Frame) -> list[int]:
    """Bones in the middle, each higher than the one before."""
    chain: list[int] = []
    bone = start
    while True:
        higher = [
            child
            for child in skeleton.children[bone]
            if child not in without and _goes_up(skeleton, bone, child, frame)
        ]
        if not higher:
            return chain
        bone = max(higher, key=lambda child: _top(skeleton, child, frame))
        chain.append(bone)


def _goes_up(skeleton: Skeleton, bone: int, child: int, frame: Frame) -> bool:
    head = skeleton.heads[child]
    step = (head - skeleton.heads[bone]) / frame.trunk
    rise = float(step @ frame.up)
    flat = float(np.linalg.norm(step - rise * frame.up))
    return frame.is_middle(head) and rise > -SAME_PLACE and flat < max(SAME_PLACE, LEANING * rise)


def _top(skeleton: Skeleton, bone: int, frame: Frame) -> float:
    """The height of the highest head in the middle that the bone carries."""
    queue = [bone]
    for below in queue:
        queue += skeleton.children[below]
    heads = skeleton.heads[queue]
    return float(np.max(frame.height(heads)))


def _head(skeleton: Skeleton, chain: Sequence[int], frame: Frame, has_ends: bool) -> int:
    """Position of the head in the chain above the chest, -1 for none.

    Face and hair hang from the head; else it is the last bone, or the one before an end bone.
    """
    heads = skeleton.heads[list(chain)]
    if not chain:
        return -1
    branches = (at for at, bone in enumerate(chain) if _branches(skeleton, bone, frame))
    at = next(branches, -1)
    if at < 0:
        at = _last_but_ends(heads, frame, has_ends)
    apart = np.linalg.norm(heads[: at + 1] - heads[at], axis=1) > SAME_PLACE * frame.trunk
    return int(np.flatnonzero(apart)[-1]) + 1 if apart.any() else 0


def _last_but_ends(heads: Array, frame: Frame, has_ends: bool) -> int:
    """Position of the last bone, or of the one before if that only marks where the head ends."""
    last = len(heads) - 1
    if last == 0:
        return 0
    steps = np.linalg.norm(np.diff(heads, axis=0), axis=1) / frame.trunk
    longest = LONGEST_NECK if last == 1 else HEAD_BONE * steps[:-1].mean()
    is_end = steps[-1] > longest and frame.height(heads[-1]) > HIGHEST_HEAD
    return last - 1 if is_end or (has_ends and last > 1) else last


def _branches(skeleton: Skeleton, bone: int, frame: Frame) -> bool:
    carried = frame.height(skeleton.heads[skeleton.children[bone]])
    return bool(np.sum(carried > frame.height(skeleton.heads[bone]) - SAME_PLACE) > 1)


def facing(
    skeleton: Skeleton, legs: Limb, arms: Limb, fits: tuple[Fit, Fit], frame: Frame
) -> tuple[Array, bool]:
    """(3,) unit vector to the body's front, and whether the body tells it."""
    signs = leg_signs(skeleton, legs, fits[0], frame)
    return front([*signs, *_arm_signs(skeleton, arms, fits[1], frame.ahead)], frame)


def front(signs: list[tuple[float, float]], frame: Frame) -> tuple[Array, bool]:
    """What signs (how far `frame.ahead` is the front, weight) say together."""
    ahead = frame.ahead
    total = sum(weight * float(np.clip(sign, -1.0, 1.0)) for sign, weight in signs)
    is_sure = abs(total) > CERTAIN
    if not is_sure:
        total = float(ahead @ LIKELY_FRONT)
    return (ahead if total > 0.0 else -ahead), is_sure


def leg_signs(skeleton: Skeleton, legs: Limb, fit: Fit, frame: Frame) -> list[tuple[float, float]]:
    """Feet, and knees, which bend forward."""
    ahead = frame.ahead
    signs = []
    for chain, points in zip(legs.chains, legs.points, strict=True):
        if fit.end >= len(chain):
            continue
        hip, knee, ankle = points[[fit.upper, fit.lower, fit.end]]
        children = [c for c in skeleton.children[chain[fit.end]] if skeleton.steps[c] > 0.0]
        if children:
            offsets = (skeleton.heads[children] - ankle) @ ahead
            signs.append((offsets[np.abs(offsets).argmax()] / (0.08 * frame.leg), 2.0))
        else:
            foot = skeleton.rest.tails[chain[fit.end]] - ankle
            length = float(np.linalg.norm(foot))
            if length > 0.0:
                signs.append((foot @ ahead / length, 0.4))
        signs.append((_bend(hip, knee, ankle, ahead), 0.5))
    return signs


def _arm_signs(skeleton: Skeleton, arms: Limb, fit: Fit, ahead: Array) -> list[tuple[float, float]]:
    """Elbows, which bend backward, and the thumb, which is in front."""
    signs = []
    for chain, points in zip(arms.chains, arms.points, strict=True):
        if fit.end >= len(chain):
            continue
        shoulder, elbow, wrist = points[[fit.upper, fit.lower, fit.end]]
        signs.append((-_bend(shoulder, elbow, wrist, ahead), 0.5))
        fingers = [c for c in skeleton.children[chain[fit.end]] if skeleton.depth[c] > 1]
        if len(fingers) > 2:
            thumb = min(fingers, key=lambda bone: skeleton.steps[bone])
            others = skeleton.heads[[bone for bone in fingers if bone != thumb]].mean(axis=0)
            forearm = float(np.linalg.norm(wrist - elbow))
            signs.append(((skeleton.heads[thumb] - others) @ ahead / (0.1 * forearm), 0.5))
    return signs


def _bend(start: Array, joint: Array, end: Array, ahead: Array) -> float:
    """How far the joint lies in front of the straight line; 1 for three degrees or more."""
    line = end - start
    length = float(np.linalg.norm(line))
    if length == 0.0:
        return 0.0
    off = joint - start - ((joint - start) @ line) / length**2 * line
    return float(off @ ahead) / (0.025 * length)
