"""Fingers that no motion drives, bent as in a hand at rest. No bpy."""

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from ..retarget.target import Target
from .rest_bones import RestBones

Array = NDArray[np.floating]

BENDS = tuple(np.radians([14.0, 22.0, 14.0]))  # of a finger, from its knuckle to its tip
THUMB_BENDS = tuple(np.radians([4.0, 8.0, 10.0]))
KNUCKLE = 0.35  # of the way from wrist to finger tip: what begins before it is a bone of the palm
DOWN = np.array([0.0, 0.0, -1.0])  # body axes: where the palm of a T-pose looks


def relaxed_fingers(rest: RestBones, target: Target) -> dict[str, Array]:
    """Rotations from rest, (4,) each, of the undriven bones below the hands, by their names."""
    found: dict[str, Array] = {}
    for role, side in (("l_hand", 1.0), ("r_hand", -1.0)):
        if role in target.roles:
            hand = rest.index[target.bones[target.roles[role]]]
            chains = _chains(rest, hand, set(target.bones))
            if chains:
                found |= _Hand(rest, target, hand, side).bent(chains)
    return found


def _chains(rest: RestBones, hand: int, driven: set[str]) -> list[list[int]]:
    """The longest run of bones below each child of the hand, ends without length left out."""
    chains = []
    for child in rest.children[hand]:
        chain = _longest(rest, child)
        if len(chain) > 1 and not driven.intersection(rest.names[bone] for bone in chain):
            chains.append(chain)
    return chains


def _longest(rest: RestBones, bone: int) -> list[int]:
    below = [_longest(rest, child) for child in rest.children[bone]]
    return [bone, *max(below, key=len, default=[])]


class _Hand:
    def __init__(self, rest: RestBones, target: Target, hand: int, side: float) -> None:
        to_body = rotation.inverse(target.to_rig)
        self._heads = rotation.rotate(to_body, rest.heads)
        self._tails = rotation.rotate(to_body, rest.tails)
        self._axes = rotation.multiply(to_body, rest.rotations)
        self._rest, self._wrist, self._side = rest, self._heads[hand], side

    def bent(self, chains: list[list[int]]) -> dict[str, Array]:
        tips = np.array([self._tails[chain[-1]] for chain in chains])
        along = rotation.normalized(tips.mean(axis=0) - self._wrist)
        thumb = self._thumb(chains, along)
        palm = self._palm(chains, thumb, along)
        found = {}
        for number, chain in enumerate(chains):
            bends = THUMB_BENDS if number == thumb else BENDS
            fingers = chain if number == thumb else self._beyond_knuckle(chain)
            for bone, angle in zip(fingers, bends, strict=False):
                found[self._rest.names[bone]] = self._turn(bone, chain, palm, angle)
        return found

    def _thumb(self, chains: list[list[int]], along: Array) -> int:
        """The one that is called so, else the one whose tip is least far out; -1 for a mitten."""
        for number, chain in enumerate(chains):
            if "thumb" in self._rest.names[chain[0]].lower():
                return number
        reach = [np.dot(self._tails[chain[-1]] - self._wrist, along) for chain in chains]
        return int(np.argmin(reach)) if len(chains) > 2 else -1

    def _palm(self, chains: list[list[int]], thumb: int, along: Array) -> Array:
        """Where the palm looks: the thumb's side says it, else the arm swung from a T-pose."""
        if thumb >= 0 and len(chains) > 1:
            others = [self._tails[c[-1]] for n, c in enumerate(chains) if n != thumb]
            aside = self._tails[chains[thumb][-1]] - np.mean(others, axis=0)
            across = aside - np.dot(aside, along) * along
            return self._side * rotation.normalized(np.cross(along, across))
        swing = rotation.between(np.array([self._side, 0.0, 0.0]), along)
        return rotation.rotate(swing, DOWN)

    def _beyond_knuckle(self, chain: list[int]) -> list[int]:
        length = np.linalg.norm(self._tails[chain[-1]] - self._wrist)
        near = [
            np.linalg.norm(self._heads[bone] - self._wrist) < KNUCKLE * length for bone in chain
        ]
        return [bone for bone, is_palm in zip(chain, near, strict=True) if not is_palm]

    def _turn(self, bone: int, chain: list[int], palm: Array, angle: float) -> Array:
        """The bone's own rotation that swings it towards the palm."""
        place = chain.index(bone)
        end = self._heads[chain[place + 1]] if place + 1 < len(chain) else self._tails[bone]
        hinge = rotation.normalized(np.cross(end - self._heads[bone], palm))
        axes = self._axes[bone]
        own = rotation.rotate(rotation.inverse(axes), hinge)
        return rotation.about_axis(own, np.array(angle))
