"""Roles by names: whole conventions first, as names mean many things; then word by word. No bpy.

'LeftLeg' is a shin in one convention and a thigh in another, 'Spine1' any bone of the spine.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Set
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..retarget.roles import ROLES
from .rest_bones import RestBones
from .role_map import JointMap
from .tokens import Found, Labels, by_words
from .trunk import find_trunk
from .words import Naming, Words, namings, words_of

WORDS = "words in the bones' names"
SPINE = ("spine1", "spine2", "spine3")
EXACT, PART, ALIKE = 1.0, 0.99, 0.97
"""The convention's name, that name within a longer one, the same but for case, separators, side."""
FINGERPRINT = 0.5  # what a bone that only this convention has is worth, in roles
FEWEST = 12  # roles of a convention that must be there
MOST = 19  # with fewer, the rig is of another family
SEVERAL = 3  # conventions that are looked at closely


Key = tuple[str, str]  # side of a name, and its words in one
Lookup = dict[Key, list[int]]  # -> the bones of such names


class Convention(NamedTuple):
    """How one family of rigs calls its bones."""

    title: str
    bones: dict[str, str]  # role -> name
    keys: dict[str, Key]  # role -> what its name says, however it is spelled
    fingerprints: tuple[str, ...]  # names that its rigs have and similar ones lack


@cache
def conventions() -> tuple[Convention, ...]:
    """Of two that fit alike the first is taken: what the mesh follows comes before controls."""
    text = Path(__file__).with_name("conventions.json").read_text(encoding="utf-8")
    found = []
    for entry in json.loads(text).values():
        bones = {role: entry["bones"][role] for role in ROLES}
        keys = dict(zip(bones, map(_key, words_of(list(bones.values()))), strict=True))
        found.append(Convention(entry["title"], bones, keys, tuple(entry.get("fingerprints", ()))))
    return tuple(found)


def by_names(rest: RestBones, without: Set[int] = frozenset()) -> Iterator[JointMap]:
    """What the names may mean, the likeliest first; where the bones lie is not looked at.

    Bones of `without` are left out.
    """
    labels = [Labels(rest, naming, without) for naming in namings(rest.names)]
    lookups = [(each, _lookup(each.naming)) for each in labels]
    tries = (_fit(*pair, convention) for convention in conventions() for pair in lookups)
    fits = sorted(filter(None, tries), key=lambda fit: -fit.score)
    for fit in fits[:SEVERAL]:
        yield _joint_map(rest, _completed(fit), fit.title)
    worded = sorted(filter(None, map(by_words, labels)), key=lambda found: -_worth(found))
    for found in worded[:SEVERAL]:
        yield _joint_map(rest, found)


class _Fit(NamedTuple):
    """A convention's bones as far as one naming has them."""

    convention: Convention
    labels: Labels
    found: dict[str, Found]
    score: float

    @property
    def title(self) -> str:
        return f"{self.convention.title} names" if len(self.found) >= MOST else WORDS


def _fit(labels: Labels, bones: Lookup, convention: Convention) -> _Fit | None:
    """None where too few of its names are there."""
    rest, found = labels.rest, {}
    if len(bones.keys() & convention.keys.values()) < FEWEST:
        return None
    for role, key in convention.keys.items():
        name = convention.bones[role]
        spelled = [(_likeness(rest.names[b], name), -b) for b in bones.get(key, ())]
        if spelled:
            likeness, bone = max(spelled)
            found[role] = Found(-bone, likeness)
    for role in ("neck", "head"):
        if role in found and _is_said_above(rest, bones, role, found[role].bone):
            del found[role]
    prints = any(name in rest.index for name in convention.fingerprints)
    return _Fit(convention, labels, found, _worth(found) + FINGERPRINT * prints)


def _is_said_above(rest: RestBones, bones: Lookup, role: str, bone: int) -> bool:
    """Whether a bone that hangs from this one has the role's own word for its name."""
    named = bones.get(("", role), ())
    return bone not in named and any(bone in rest.ancestors(each) for each in named)


def _likeness(name: str, expected: str) -> float:
    if name == expected:
        return EXACT
    return PART if expected in name else ALIKE


def _lookup(naming: Naming) -> Lookup:
    found: Lookup = defaultdict(list)
    for bone, words in naming.items():
        found[_key(words)].append(bone)
    return found


def _key(words: Words) -> Key:
    return words.side, words.core


def _worth(found: dict[str, Found]) -> float:
    return sum(entry.confidence for entry in found.values())


def _completed(fit: _Fit) -> dict[str, Found]:
    """What the convention lacks, by words; a spine that is not whole, from the chain of bones."""
    rest, labels, found = fit.labels.rest, fit.labels, fit.found
    has_spine = _has_whole_spine(rest, found)
    if has_spine and len(found) == len(ROLES):
        return found
    if not has_spine:
        found = {role: entry for role, entry in found.items() if role not in SPINE}
    known = {role: entry.bone for role, entry in found.items()}
    trunk = find_trunk(rest, known, labels.middle())
    others = by_words(labels) | {role: Found(*entry) for role, entry in trunk.items()}
    taken = set(known.values())
    for role, entry in others.items():
        if role in found or entry.bone in taken or (has_spine and role in SPINE):
            continue
        found = found | {role: entry}
        taken.add(entry.bone)
    return found


def _has_whole_spine(rest: RestBones, found: dict[str, Found]) -> bool:
    """All three are there, and none hangs below a higher one."""
    if any(role not in found for role in SPINE):
        return False
    lower, middle, upper = (found[role].bone for role in SPINE)
    return upper not in rest.ancestors(middle) and middle not in rest.ancestors(lower)


def _joint_map(rest: RestBones, found: dict[str, Found], source: str = WORDS) -> JointMap:
    roles = [role for role in ROLES if role in found]
    return JointMap(
        bones={role: rest.names[found[role].bone] for role in roles},
        confidence={role: found[role].confidence for role in roles},
        source=source,
    )
