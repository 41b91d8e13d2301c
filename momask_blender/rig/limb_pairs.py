"""Chains of bones that may be limbs: those that mirror each other, and single ones. No bpy."""

from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, islice
from math import dist

import numpy as np
from numpy.typing import NDArray

from .rest_bones import RestBones
from .words import split

Array = NDArray[np.floating]

SHORTEST = 0.12  # of the longest chain in the armature: shorter ones are no limbs
UNLIKE = 0.15  # share by which the two sides may differ in the length of a bone
SLACK = 0.03  # of the chain's length: differences this small are none
CROOKED = 0.3  # of the sides' distance: how far from a mirror image they may be
APART = 0.03  # of the chain's length: closer together the two are on one side
FINGER = 2  # bones: shorter chains of a hand may be anything
ALIKE, ASIDE = 0.97, 0.06  # one mid-plane: cosine of normals, distance in lengths of both
MOST_CHILDREN = 16  # the longest chains that hang from one bone: there may be a hundred of hair
MOST_OF_ONE = 8  # pairs that hang from one bone
MOST = 24  # longest pairs, and as many single chains, that are looked at
HELPERS = {"ik", "pole", "target", "twist", "roll", "mch", "vis", "mechanism", "helper", "ctrl"}
HELPERS |= {"control", "end", "nub", "leaf", "tip", "corrective"}


@dataclass(frozen=True, eq=False)
class Limb:
    """A chain on one side, or the same chain on both."""

    above: int  # the bone that carries it, -1: none
    chains: tuple[tuple[int, ...], ...]  # one or two, outwards, of one length
    points: Array  # (sides, K, 3) heads
    splits: tuple[int, ...]  # (K,) chains of two or more bones that begin at each bone
    normal: Array | None = None  # (3,) from the second side to the first; None for one side

    @property
    def middle(self) -> Array:
        """(3,) a point that lies between the sides."""
        return self.points.mean(axis=(0, 1))

    @cached_property
    def length(self) -> float:
        steps = np.diff(self.points, axis=1)
        return float(np.linalg.norm(steps, axis=-1).sum(axis=1).mean())

    @cached_property
    def bones(self) -> frozenset[int]:
        return frozenset(bone for chain in self.chains for bone in chain)


class Skeleton:
    """The bones that are left when some are taken out, with what the search asks of them often."""

    def __init__(self, rest: RestBones, without: Set[int] = frozenset()) -> None:
        self.rest = rest
        self.heads = rest.heads.astype(float)
        self.bones = _bones_that_count(rest, without)
        self.children: dict[int, list[int]] = {bone: [] for bone in (-1, *self.bones)}
        for bone in self.bones:
            parent = rest.parents[bone]
            self.children[parent if parent in self.children else -1].append(bone)
        self.steps = [0.0] * len(rest.names)  # metres from the parent's head
        for parent, children in self.children.items():
            for child in children if parent >= 0 else ():
                self.steps[child] = dist(self.places[child], self.places[parent])
        self.reach = [0.0] * len(rest.names)  # metres along the bones to the farthest head
        self.depth = [1] * len(rest.names)  # bones in the longest chain from here
        for bone in reversed(self.bones):
            for child in self.children[bone]:
                self.reach[bone] = max(self.reach[bone], self.steps[child] + self.reach[child])
                self.depth[bone] = max(self.depth[bone], 1 + self.depth[child])

    @cached_property
    def places(self) -> list[tuple[float, ...]]:
        """The heads, where single ones are asked for."""
        return [tuple(head) for head in self.heads.tolist()]

    @cached_property
    def is_helper(self) -> tuple[bool, ...]:
        """By name, or because no mesh follows it where meshes follow others."""
        has_deform = any(self.rest.deforms[bone] for bone in self.bones)
        return tuple(
            (has_deform and not deforms) or not HELPERS.isdisjoint(split(name))
            for name, deforms in zip(self.rest.names, self.rest.deforms, strict=True)
        )


def _bones_that_count(rest: RestBones, without: Set[int]) -> list[int]:
    """Those that carry a bone which a mesh follows, or all where meshes follow none."""
    left = [bone for bone in range(len(rest.names)) if bone not in without]
    carries = np.array(rest.deforms, bool)
    for bone in reversed(left):
        if carries[bone] and rest.parents[bone] >= 0:
            carries[rest.parents[bone]] = True
    return [bone for bone in left if carries[bone]] or left


def find_limbs(skeleton: Skeleton) -> tuple[list[Limb], list[Limb]]:
    """Pairs of mirrored chains and chains without a partner, the longest first."""
    longest = max((skeleton.reach[bone] for bone in skeleton.bones), default=0.0)
    pairs: list[Limb] = []
    singles: list[Limb] = []
    for above, children in skeleton.children.items():
        long = [
            child
            for child in children
            if skeleton.depth[child] > 1 and skeleton.reach[child] >= SHORTEST * longest
        ]
        long = sorted(long, key=lambda child: -skeleton.reach[child])[:MOST_CHILDREN]
        found = list(_pairs(skeleton, above, long))
        pairs += found
        paired = frozenset().union(*(limb.bones for limb in found))
        if above >= 0 and len(children) > 1:
            singles += [_single(skeleton, above, bone) for bone in long if bone not in paired]
    singles.sort(key=lambda limb: -limb.length)
    return list(islice(_best_supported(pairs), MOST)), singles[:MOST]


def _best_supported(pairs: list[Limb]) -> Iterator[Limb]:
    """Long pairs first that other bones carry pairs for with the same mid-plane: not any two
    chains of a skirt."""
    if not pairs:
        return
    lengths = np.array([limb.length for limb in pairs])
    carriers = np.array([limb.above for limb in pairs])
    normals = np.array([limb.normal for limb in pairs])
    middles = np.array([limb.middle for limb in pairs])
    apart = np.abs(np.einsum("pc,pqc->pq", normals, middles[:, None] - middles[None]))
    agree = (np.abs(normals @ normals.T) > ALIKE) & (apart < ASIDE * (lengths + lengths[:, None]))
    worth = lengths.copy()
    for carrier in set(carriers.tolist()):
        others = np.where(agree & (carriers == carrier), lengths, 0.0).max(axis=1)
        worth += np.where(carriers == carrier, 0.0, others)
    ranked = [pairs[at] for at in np.argsort(-worth)]
    taken = Counter()
    for limb in ranked:
        taken[limb.above] += 1
        if taken[limb.above] <= MOST_OF_ONE:
            yield limb


def _pairs(skeleton: Skeleton, above: int, bones: list[int]) -> Iterator[Limb]:
    for first, second in combinations(bones, 2):
        step, other = skeleton.steps[first], skeleton.steps[second]
        if abs(step - other) > UNLIKE * max(step, other) + SLACK * skeleton.reach[first]:
            continue
        limb = _mirrored(skeleton, above, first, second)
        if limb is not None:
            yield limb


def _mirrored(skeleton: Skeleton, above: int, first: int, second: int) -> Limb | None:
    """The longest chain that both have, or None if one is not the other's mirror image."""
    matches = _match(skeleton, above, first, second)
    chain = _longest_chain(skeleton, matches)
    if len(chain) < FINGER:
        return None
    sides = tuple(zip(*chain, strict=True))
    points = skeleton.heads[np.array(sides)]  # (2, K, 3)
    across = points[0] - points[1]
    normal = across.sum(axis=0)
    distance = float(np.linalg.norm(normal)) / len(chain)
    length = float(np.linalg.norm(np.diff(points[0], axis=0), axis=-1).sum())
    if length == 0.0 or distance < APART * length:
        return None
    normal /= np.linalg.norm(normal)
    off = across - (across @ normal)[:, None] * normal
    shift = points.mean(axis=0) @ normal
    crooked = np.linalg.norm(off, axis=-1).mean() + np.ptp(shift)
    if crooked > CROOKED * max(distance, 0.25 * length):
        return None
    splits = tuple(_num_chains(skeleton, chain, at, matches) for at in range(len(chain)))
    return Limb(above, sides, points, splits, normal)


def _match(skeleton: Skeleton, above: int, first: int, second: int) -> dict:
    """(bone, its partner) -> the pair that carries it, from the innermost outwards."""
    matches: dict[tuple[int, int], tuple[int, int] | None] = {(first, second): None}
    heads = skeleton.places
    ends = above if above >= 0 else first, above if above >= 0 else second
    centre = tuple((a + b) / 2.0 for a, b in zip(heads[ends[0]], heads[ends[1]], strict=True))
    slack = SLACK * min(skeleton.reach[first], skeleton.reach[second])
    queue = [(first, second)]
    for pair in queue:
        options = []
        for one in skeleton.children[pair[0]]:
            for other in skeleton.children[pair[1]]:
                step, step_other = skeleton.steps[one], skeleton.steps[other]
                if abs(step - step_other) > UNLIKE * max(step, step_other) + slack:
                    continue
                far, far_other = dist(heads[one], centre), dist(heads[other], centre)
                unlike = abs(step - step_other) + abs(far - far_other)
                unlike += abs(skeleton.reach[one] - skeleton.reach[other])
                unlike += slack * abs(skeleton.depth[one] - skeleton.depth[other])
                options.append((unlike, one, other))
        taken: set[int] = set()
        for _, one, other in sorted(options):
            if one not in taken and other not in taken:
                taken |= {one, other}
                matches[one, other] = pair
                queue.append((one, other))
    return matches


def _longest_chain(skeleton: Skeleton, matches: dict) -> list[tuple[int, int]]:
    """From the innermost pair to the one that is farthest along the bones."""
    far: dict[tuple[int, int], float] = {}
    for pair, carrier in matches.items():
        far[pair] = far[carrier] + skeleton.steps[pair[0]] if carrier else 0.0
    pair = max(far, key=lambda pair: far[pair])
    chain = []
    while pair:
        chain.append(pair)
        pair = matches[pair]
    return chain[::-1]


def _num_chains(skeleton: Skeleton, chain: list, at: int, matches: dict) -> int:
    carried = [pair for pair, carrier in matches.items() if carrier == chain[at]]
    return sum(skeleton.depth[one] >= FINGER for one, _ in carried)


def _single(skeleton: Skeleton, above: int, bone: int) -> Limb:
    chain = [bone]
    while children := skeleton.children[chain[-1]]:
        chain.append(max(children, key=lambda c: skeleton.steps[c] + skeleton.reach[c]))
    splits = tuple(
        sum(skeleton.depth[child] >= FINGER for child in skeleton.children[bone]) for bone in chain
    )
    return Limb(above, (tuple(chain),), skeleton.heads[chain][None], splits)
