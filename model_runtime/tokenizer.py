"""Words into word pieces, as BERT's uncased models read them, and the side words of a prompt."""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

MAX_PIECES = 128  # with [CLS] and [SEP]; prompts are sentences, not pages
LONGEST_WORD = 100  # characters; BERT gives up on longer ones

_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


@dataclass(frozen=True)
class Pieces:
    ids: list[int]
    truncated: bool


class WordPiece:
    """Greedy longest-match word pieces over a vocabulary, one piece per line of its file."""

    def __init__(self, vocabulary: list[str]) -> None:
        self._ids = {piece: index for index, piece in enumerate(vocabulary)}
        self._unknown = self._ids["[UNK]"]

    @classmethod
    def read(cls, file: Path) -> "WordPiece":
        return cls(file.read_text(encoding="utf-8").splitlines())

    def encode(self, text: str) -> Pieces:
        """Ids of [CLS], the pieces, [SEP]; what goes beyond MAX_PIECES is left out."""
        pieces = [piece for word in split_words(text) for piece in self._split(word)]
        kept = pieces[: MAX_PIECES - 2]
        return Pieces([self._ids["[CLS]"], *kept, self._ids["[SEP]"]], len(kept) < len(pieces))

    def _split(self, word: str) -> list[int]:
        if len(word) > LONGEST_WORD:
            return [self._unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((e for e in ends if prefix + word[start:e] in self._ids), None)
            if end is None:
                return [self._unknown]
            found.append(self._ids[prefix + word[start:end]])
            start = end
        return found


def split_words(text: str) -> list[str]:
    """Lower case without accents; punctuation and CJK characters stand alone."""
    lowered = unicodedata.normalize("NFD", text.lower())
    spaced: list[str] = []
    for character in lowered:
        kind = unicodedata.category(character)
        if kind == "Mn" or character == "\ufffd" or _is_control(character, kind):
            continue
        alone = _is_punctuation(character, kind) or _is_cjk(character)
        spaced.append(f" {character} " if alone else character)
    return "".join(spaced).split()


def _is_control(character: str, kind: str) -> bool:
    return kind in ("Cc", "Cf") and character not in "\t\n\r"


def _is_punctuation(character: str, kind: str) -> bool:
    return kind.startswith("P") or (character.isascii() and kind.startswith("S"))


def _is_cjk(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in _CJK)


# The sentence vectors of a caption and of its mirror image have a cosine of 0.99: the side has to
# be told to the networks separately.
_SIDE_WORDS = (
    re.compile(r"\bleft(wards?|-?hand(ed)?|-?foot(ed)?)?\b"),
    re.compile(r"\bright(wards?|-?hand(ed)?|-?foot(ed)?)?\b"),
    re.compile(r"(?<!counter)(?<!counter-)(?<!anti)(?<!anti-)\bclockwise\b"),
    re.compile(r"\b(counter|anti)-?\s?clockwise\b"),
)
NUM_SIDE_WORDS = len(_SIDE_WORDS)


def side_words(text: str) -> tuple[float, ...]:
    """1 where the text says left, right, clockwise, counterclockwise, else 0."""
    lowered = text.lower()
    return tuple(float(bool(words.search(lowered))) for words in _SIDE_WORDS)
