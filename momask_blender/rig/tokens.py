"""Roles by what single names say: for rigs of no known convention, or of several. No bpy."""

from functools import cached_property
from typing import NamedTuple

from .rest_bones import RestBones
from .trunk import find_trunk
from .vocabulary import LIMBS, parts_of
from .words import Naming

UNLINKED = 0.4  # what it costs when a limb's next bone does not hang below the one before
DEFORMS = 0.02  # of two bones with one name, the mesh follows the one that deforms
LATER = 0.002  # of two bones that may play a part, the one nearer to the trunk plays it


class Found(NamedTuple):
    """A bone for a role, and how sure that is."""

    bone: int
    confidence: float


class Labels:
    """What the bones of one naming may be."""

    def __init__(self, rest: RestBones, naming: Naming) -> None:
        self.rest, self.naming = rest, naming

    @cached_property
    def parts(self) -> dict[int, dict[str, float]]:
        found = {bone: parts_of(words) for bone, words in self.naming.items()}
        return {bone: parts for bone, parts in found.items() if parts}

    def sided(self, side: str) -> list[int]:
        return [bone for bone in self.parts if self.naming[bone].side == side]

    def middle(self) -> dict[int, dict[str, float]]:
        return {b: parts for b, parts in self.parts.items() if not self.naming[b].side}


def by_words(labels: Labels) -> dict[str, Found]:
    """Role -> bone, as far as the names of one naming tell."""
    found: dict[str, Found] = {}
    for side in "lr":
        for chain in LIMBS.values():
            found |= {f"{side}_{part}": bone for part, bone in _limb(labels, side, chain).items()}
    if not found:
        return {}
    known = {role: entry.bone for role, entry in found.items()}
    trunk = find_trunk(labels.rest, known, labels.middle())
    return found | {role: Found(*entry) for role, entry in trunk.items()}


def _limb(labels: Labels, side: str, chain: tuple[str, ...]) -> dict[str, Found]:
    """The bones of a limb that together fit best: each below the one before, outwards."""
    bones = [bone for bone in labels.sided(side) if labels.parts[bone].keys() & set(chain)]
    above = {bone: set(labels.rest.ancestors(bone)) for bone in bones}
    order = sorted(bones, key=lambda bone: (len(above[bone]), labels.rest.names[bone]))
    best: dict[tuple[int, str], tuple[float, list[tuple[str, Found]]]] = {}
    for part in chain:
        for rank, bone in enumerate(order):
            sure = labels.parts[bone].get(part, 0.0)
            if not sure:
                continue
            own = sure + DEFORMS * labels.rest.deforms[bone] - LATER * rank
            score, so_far = max(
                (
                    (score - UNLINKED * (other not in above[bone]), path)
                    for (other, before), (score, path) in best.items()
                    if before != part and other != bone and bone not in above[other]
                ),
                key=lambda entry: entry[0],
                default=(0.0, []),
            )
            path = so_far if score > 0.0 else []
            best[bone, part] = max(score, 0.0) + own, [*path, (part, Found(bone, 0.9 * sure))]
    return dict(max(best.values(), key=lambda entry: entry[0])[1]) if best else {}
