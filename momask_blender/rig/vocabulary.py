"""The words that people call parts of the body by, in many languages. No bpy."""

import json
from collections import defaultdict
from functools import cache, lru_cache
from pathlib import Path

from .words import Words, without_accents

LIMBS = {"arm": ("collar", "upperarm", "forearm", "hand"), "leg": ("thigh", "shin", "foot", "toe")}
"""Parts that have a side, from the trunk outwards."""
TRUNK = ("hips", "spine", "neck", "head")

_CERTAINTY = {"sure": 1.0, "likely": 0.8, "possible": 0.5}
# Words that say nothing about the part.
_FILLERS = {
    *("bone", "bones", "joint", "jnt", "jt", "bind", "bnd", "skin", "skn", "skel", "def", "deform"),
    *("org", "main", "bend", "stretch", "b", "bn", "bip", "rig", "sk", "base", "j", "jo"),
}


@lru_cache(maxsize=4096)
def parts_of(name: Words) -> dict[str, float]:
    """What a bone of that name may be, and how sure that is: {'shin': 1.0}."""
    words = [word.rstrip("0123456789") for word in name.words]
    words = [word for word in words if word]
    bare = [word for word in words if word not in _FILLERS]
    shorter = (words, bare, [word for word in bare if word not in LIMBS])  # 'leg_knee'
    parts = next(filter(None, (_vocabulary().get("".join(each), {}) for each in shorter)), {})
    sided = {part for chain in LIMBS.values() for part in chain}
    return {part: sure for part, sure in parts.items() if (part in sided) == bool(name.side)}


@cache
def _vocabulary() -> dict[str, dict[str, float]]:
    """Word -> part -> certainty."""
    text = Path(__file__).with_name("vocabulary.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for part, groups in json.loads(text).items():
        for certainty, words in groups.items():
            for word in without_accents(words).casefold().split():
                found[word][part] = _CERTAINTY[certainty]
    return dict(found)
