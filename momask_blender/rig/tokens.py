"""Roles by what single names say: for rigs of no known convention, or of several. No bpy."""

from collections.abc import Set
from functools import cached_property
from typing import NamedTuple

from .rest_bones import RestBones
from .trunk import NAMED, find_trunk
from .vocabulary import LIMBS, parts_of
from .words import Naming

IN_PLACE = 0.4  # of the doubt in an ambiguous word is left when the limb's other bones fit
UNLINKED = 0.6  # what it costs when a limb's next bone does not hang below the one before
SKIPPED = 0.5  # for each part left out in between: 'shoulder, elbow' is upper arm and forearm
DEFORMS = 0.02  # of two bones with one name, the mesh follows the one that deforms
LATER = 0.002  # of two bones that may play a part, the one nearer to the trunk plays it


class Found(NamedTuple):
    """A bone for a role, and how sure that is."""

    bone: int
    confidence: float


class Labels:
    """What the bones of one naming may be."""

    def __init__(self, rest: RestBones, naming: Naming, without: Set[int] = frozenset()) -> None:
        self.rest = rest
        self.naming = {bone: words for bone, words in naming.items() if bone not in without}

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


class _Path(NamedTuple):
    """Bones of a limb from the trunk outwards, as far as they have been laid."""

    score: float = 0.0
    bone: int = -1  # the last
    place: int = -1  # of its part in the limb
    found: dict[str, Found] = {}  # noqa: RUF012 - never changed


def _limb(labels: Labels, side: str, chain: tuple[str, ...]) -> dict[str, Found]:
    """The bones of a limb that together fit best: each below the one before, outwards."""
    bones = [bone for bone in labels.sided(side) if labels.parts[bone].keys() & set(chain)]
    above = {bone: set(labels.rest.ancestors(bone)) for bone in bones}
    order = sorted(bones, key=lambda bone: (len(above[bone]), labels.rest.names[bone]))
    paths: list[_Path] = []

    def score_before(path: _Path, bone: int, place: int) -> float:
        unlinked, skipped = path.bone not in above[bone], place - path.place - 1
        return path.score - UNLINKED * unlinked - SKIPPED * skipped

    def lay(bone: int, place: int) -> _Path:
        before = [p for p in paths if p.bone != bone and bone not in above[p.bone]]
        path = max(before, key=lambda path: score_before(path, bone, place), default=_Path())
        score = score_before(path, bone, place)
        if score <= 0.0:
            path, score = _Path(), 0.0
        sure = labels.parts[bone][chain[place]]
        score += sure + DEFORMS * labels.rest.deforms[bone] - LATER * order.index(bone)
        return _Path(score, bone, place, path.found | {chain[place]: Found(bone, _trust(sure))})

    for place, part in enumerate(chain):
        paths += [lay(bone, place) for bone in order if part in labels.parts[bone]]
    return max(paths, default=_Path(), key=lambda path: path.score).found


def _trust(sure: float) -> float:
    """Confidence in a bone by its word: where it hangs in the limb makes it surer."""
    return NAMED * (1.0 - IN_PLACE * (1.0 - sure))
