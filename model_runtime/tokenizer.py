"""Words into word pieces, as BERT's uncased models read them, and the side words of a prompt.

The shipped vocabulary is ASCII, so typography that BERT has pieces for is written in ASCII first.
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

MAX_PIECES = 128  # with [CLS] and [SEP], as in the tower's training; prompts are no pages
LONGEST_WORD = 100  # characters; BERT gives up on longer ones

_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)

# What phones and word processors put into English. Unfolded, "90°" would be one unknown word.
_TYPOGRAPHY = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")  # hyphens, dashes, minus
    | dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u2032", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"')
    | {"\u00b0": " degrees ", "\u00d7": " x "}
    | {"\u00bc": " 1/4 ", "\u00bd": " 1/2 ", "\u00be": " 3/4 "}
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
    """Lower case without accents; punctuation, symbols and CJK characters stand alone.

    BERT lets a symbol outside ASCII make its whole word unknown; here "waves\N{WAVING HAND SIGN}"
    still waves. NFKD, not BERT's NFD, also opens ligatures, full-width letters and ellipses.
    """
    plain = unicodedata.normalize("NFKD", text.translate(_TYPOGRAPHY)).lower()
    spaced: list[str] = []
    for character in plain:
        kind = unicodedata.category(character)
        if kind == "Mn" or character == "\ufffd" or _is_control(character, kind):
            continue
        alone = kind.startswith(("P", "S")) or _is_cjk(character)
        spaced.append(f" {character} " if alone else character)
    return "".join(spaced).split()


def _is_control(character: str, kind: str) -> bool:
    return kind in ("Cc", "Cf", "Co") and character not in "\t\n\r"


def _is_cjk(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in _CJK)


# The sentence vectors of a caption and of its mirror image have a cosine of 0.99: the side has to
# be told to the networks separately. The patterns read split words: "left-handed" is
# "left - handed" there.
_COUNTER = r"(?:counter|anti)(?: - | )?"
_PARTS = r"(?:s|wards?|most|side|arm|leg|(?:hand|foot)(?:ed|er)?)?"
_SIDE_WORDS = (
    re.compile(rf"\bleft{_PARTS}\b"),
    re.compile(rf"\bright{_PARTS}\b"),
    re.compile(r"\b(?:clockwise|cw)\b"),
    re.compile(rf"\b(?:{_COUNTER}clockwise|ccw)\b"),
)
NUM_SIDE_WORDS = len(_SIDE_WORDS)


def side_words(text: str) -> tuple[float, ...]:
    """1 where the text says left, right, clockwise, counterclockwise, else 0."""
    left, right, clockwise, counter = _SIDE_WORDS
    words = " ".join(split_words(text))
    turns = counter.sub(" ", words)  # what is left may still say clockwise
    found = (left.search(words), right.search(words), clockwise.search(turns))
    return tuple(float(bool(each)) for each in (*found, counter.search(words)))
