"""Bone names taken apart: words, side of the body, and what only says whose bone it is. No bpy."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

# Camel case, capitals, digits, the Chinese signs for the sides, and any other run of letters.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[左右]|[^\W\d_a-zA-Z左右]+")
_NUMBER = re.compile(r"\.\d{3}$")
_OWNER = re.compile(r".*[:|]")  # 'mixamorig7:', 'Armature|'

SIDES = {"left": "l", "right": "r", "l": "l", "r": "r", "左": "l", "右": "r"}
# Words for the sides that also mean something else: believed where the other side is there too.
_PAIRS_AS_WRITTEN = (
    *(("lt", "rt"), ("lf", "rt"), ("lft", "rgt"), ("le", "ri"), ("li", "re"), ("links", "rechts")),
    *(("linke", "rechte"), ("linker", "rechter"), ("linkes", "rechtes"), ("gauche", "droite")),
    *(("gauche", "droit"), ("g", "d"), ("izq", "der"), ("izquierda", "derecha")),
    *(("izquierdo", "derecho"), ("esq", "dir"), ("esquerda", "direita"), ("esquerdo", "direito")),
    *(("sx", "dx"), ("sinistra", "destra"), ("sinistro", "destro"), ("hidari", "migi")),
    *(("лев", "прав"), ("левая", "правая"), ("левое", "правое"), ("левый", "правый")),
    *(("л", "п"), ("lewa", "prawa"), ("lewy", "prawy"), ("lewe", "prawe"), ("sol", "sag")),
    *(("왼쪽", "오른쪽"), ("왼", "오른")),
)
_MIDDLE = {"c", "m", "x", "center", "centre", "中"}
_GLUED = (("left", "right"), ("l", "r"))
_MANY = 12  # bones that begin or end alike: fewer have it by chance
_GROUPS = 6  # of these are looked at
_MOST = 0.8  # of the bones
_START = 2  # letters


class Words(NamedTuple):
    """A name without its side: 'LeftForeArm' -> ('fore', 'arm'), 'l'."""

    words: tuple[str, ...]
    side: str  # l, r or empty

    @property
    def core(self) -> str:
        return "".join(self.words)


Naming = dict[int, Words]
"""Some of the bones, and their names without what they all begin and end with."""


@lru_cache(maxsize=4096)
def split(name: str) -> tuple[str, ...]:
    """'mixamorig:LeftToe_01' -> ('mixamorig', 'left', 'toe1'): lower case, no accents, no zeros."""
    words: list[str] = []
    end = -1
    for match in _WORD.finditer(without_accents(name)):
        word = match[0].casefold()
        if word.isdecimal():
            word = str(int(word))
            if words and match.start() == end and not words[-1][-1].isdecimal():
                words[-1] += word
                end = match.end()
                continue
        words.append(word)
        end = match.end()
    return tuple(words)


def without_accents(name: str) -> str:
    if name.isascii():
        return name
    spread = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    return "".join(char for char in spread if not unicodedata.combining(char))


def _pairs() -> dict[str, list[tuple[str, str]]]:
    """Word -> the sides it may tell of, each with the word for the other side."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in _PAIRS_AS_WRITTEN:
        left, right = map(without_accents, pair)
        found[left].append(("l", right))
        found[right].append(("r", left))
    return found


_PAIRS = _pairs()


@lru_cache(maxsize=2)
def namings(names: tuple[str, ...]) -> tuple[Naming, ...]:
    """All bones as they are called, then shorter, then each large group of them shorter still."""
    every = range(len(names))
    spoken = [split(name) for name in names]
    words = with_sides(spoken)
    found = [_naming(every, words)]
    if _are_numbered(spoken):
        words = with_sides([_without_number(name) for name in spoken])
    shorter = _trimmed(words)
    found.append(_naming(every, shorter))
    for group in _groups(names, shorter):
        trimmed = _naming(group, _trimmed([shorter[bone] for bone in group]))
        is_most = len(group) > len(names) / 2  # then the others are of the same body
        found.append(_naming(every, shorter) | trimmed if is_most else trimmed)
    found += _without_start(names)
    return tuple(naming for at, naming in enumerate(found) if naming not in found[:at])


def _naming(bones: Iterable[int], words: Iterable[Words]) -> Naming:
    return dict(zip(bones, words, strict=True))


def _are_numbered(names: list[tuple[str, ...]]) -> bool:
    """Whether bones have numbers of their own at the end, as exporters give them."""
    numbers = [name[-1] for name in names if name != _without_number(name)]
    return len(numbers) > _MOST * len(names) and len(set(numbers)) > len(numbers) / 2


def _without_number(name: tuple[str, ...]) -> tuple[str, ...]:
    return name[:-1] if len(name) > 1 and name[-1].isdecimal() else name


def is_copy(name: str, other: str) -> bool:
    """Whether Blender numbered one when it met the other, or both are one name of two owners."""
    bare, bare_other = _NUMBER.sub("", name), _NUMBER.sub("", other)
    return name != other and _OWNER.sub("", bare) == _OWNER.sub("", bare_other)


def words_of(names: Sequence[str]) -> list[Words]:
    """Names of one body, without what all of them begin and end with."""
    return _trimmed(with_sides([split(name) for name in names]))


def _groups(names: Sequence[str], words: Sequence[Words]) -> Iterator[tuple[int, ...]]:
    """Bones of one owner, and bones whose names begin or end with one word."""
    keys: dict[tuple[str, str], list[int]] = defaultdict(list)
    for bone, (name, word) in enumerate(zip(names, words, strict=True)):
        if owner := _OWNER.match(name):
            keys["owner", owner[0]].append(bone)
        if len(word.words) > 1:
            keys["first", word.words[0]].append(bone)
            keys["last", word.words[-1]].append(bone)
    largest = sorted(keys.values(), key=len, reverse=True)
    return (tuple(bones) for bones in largest[:_GROUPS] if len(bones) >= _MANY)


def _trimmed(words: Sequence[Words]) -> list[Words]:
    """Without the words that all names begin and end with."""
    rest = [word.words for word in words]
    for end, kept in ((0, slice(1, None)), (-1, slice(None, -1))):
        while all(len(name) > 1 and name[end] == rest[0][end] for name in rest):
            rest = [name[kept] for name in rest]
    return [Words(short, word.side) for short, word in zip(rest, words, strict=True)]


def _without_start(names: Sequence[str]) -> Iterator[Naming]:
    """Where most names begin with the same letters that no sign or capital sets apart."""
    starts = Counter(name[:_START].casefold() for name in names)
    start, count = starts.most_common(1)[0]
    if count < max(_MANY, len(names) / 2):
        return
    group = [bone for bone, name in enumerate(names) if name.casefold().startswith(start)]
    letters = zip(*(names[bone].casefold() for bone in group), strict=False)
    shared = len(list(takewhile(lambda column: len(set(column)) == 1, letters)))
    yield dict(zip(group, with_sides([split(names[b][shared:]) for b in group]), strict=True))


def with_sides(names: Sequence[tuple[str, ...]]) -> list[Words]:
    """The side each name tells of, and its other words."""
    known = set(names)
    return [_with_side(name, known) for name in names]


def _with_side(name: tuple[str, ...], known: set[tuple[str, ...]]) -> Words:
    for side in filter(None, map(SIDES.get, reversed(name))):  # 'r_toe.L' is a left rear toe
        if rest := tuple(word for word in name if SIDES.get(word) != side):
            return Words(_trunk(rest), side)
    for at, word in enumerate(name):
        for side, rest in _sided_word(name, at, word, known):
            words = (*name[:at], rest, *name[at + 1 :]) if rest else name[:at] + name[at + 1 :]
            if words:
                return Words(_trunk(words), side)
    return Words(_trunk(name), "")


def _sided_word(
    name: tuple[str, ...], at: int, word: str, known: set[tuple[str, ...]]
) -> Iterator[tuple[str, str]]:
    """(side, rest of the word) where the name of the other side exists."""

    def is_there(other: str) -> bool:
        return (*name[:at], other, *name[at + 1 :]) in known

    for side, other in _PAIRS.get(word, ()):
        if is_there(other):
            yield side, ""
    for pair in _GLUED:
        for side, mine, other in (("l", *pair), ("r", *reversed(pair))):
            is_sure = len(mine) > 1
            if word.startswith(mine) and len(word) > len(mine):
                rest = word[len(mine) :]
                if is_sure or is_there(other + rest):
                    yield side, rest
            if word.endswith(mine) and len(word) > len(mine):
                rest = word[: -len(mine)]
                if is_sure or is_there(rest + other):
                    yield side, rest


def _trunk(words: tuple[str, ...]) -> tuple[str, ...]:
    """Without words that say that a bone lies in the middle."""
    if _MIDDLE.isdisjoint(words):
        return words
    return tuple(word for word in words if word not in _MIDDLE) or words
