"""CLIP's tokens: text made plain, split into words, their bytes merged by rank.

The published models read prompts this way; ids are those of OpenAI's `clip.tokenize`. The merges
are data that is fetched with the weights: one pair of pieces per line, the most frequent first.
"""

import html
import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from model_runtime.tokenizer import Pieces

NUM_PIECES = 77  # with start and end, CLIP's context
NUM_MERGES = 49152 - 256 - 2  # of the fetched list; CLIP does not use the rest
START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"

_CONTRACTION = re.compile(r"'(?:s|t|re|ve|m|ll|d)", re.IGNORECASE)


class BytePairs:
    """Byte pairs over a list of merges, each a line of two pieces."""

    def __init__(self, merges: list[str]) -> None:
        """Raises ValueError for a list that is not CLIP's."""
        pairs = [tuple(line.split()) for line in merges]
        if len(pairs) != NUM_MERGES or not all(len(pair) in (0, 2) for pair in pairs):
            raise ValueError(f"it does not hold {NUM_MERGES} pairs of pieces")
        letters = list(_letters().values())
        pieces = [*letters, *(letter + WORD_END for letter in letters)]
        pieces += ["".join(pair) for pair in pairs] + [START, END]
        self._ids = {piece: index for index, piece in enumerate(pieces)}
        self._ranks = {pair: rank for rank, pair in enumerate(pairs) if pair}
        self._merge = lru_cache(maxsize=4096)(self._merged)

    def encode(self, text: str) -> Pieces:
        """Ids of start, the pieces, end; what goes beyond NUM_PIECES is left out."""
        ids = [self._ids[START]]
        for word in split_words(plain(text)):
            ids += self._merge(word)
        ids.append(self._ids[END])
        kept = [*ids[: NUM_PIECES - 1], self._ids[END]] if len(ids) > NUM_PIECES else ids
        return Pieces(kept, len(kept) < len(ids))

    def _merged(self, word: str) -> tuple[int, ...]:
        if word in (START, END):
            return (self._ids[word],)
        letters = _letters()
        pieces = [letters[byte] for byte in word.encode("utf-8")]
        pieces[-1] += WORD_END
        while len(pieces) > 1:
            pair = min(pairwise(pieces), key=self._rank)
            if pair not in self._ranks:
                break
            pieces = _joined(pieces, pair)
        return tuple(self._ids[piece] for piece in pieces)

    def _rank(self, pair: tuple[str, str]) -> float:
        return self._ranks.get(pair, float("inf"))


def _joined(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """Every occurrence of the pair, from the left, made one piece."""
    joined: list[str] = []
    index = 0
    while index < len(pieces):
        if tuple(pieces[index : index + 2]) == pair:
            joined.append("".join(pair))
            index += 2
        else:
            joined.append(pieces[index])
            index += 1
    return joined


@lru_cache(maxsize=1)
def _letters() -> dict[int, str]:
    """A printable character for each byte, those that are printable first (GPT-2's table)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    printable += range(ord("®"), ord("ÿ") + 1)
    rest = [byte for byte in range(256) if byte not in printable]
    shifted = {byte: chr(256 + index) for index, byte in enumerate(rest)}
    return {byte: chr(byte) for byte in printable} | shifted


def split_words(text: str) -> list[str]:
    """English contractions, runs of letters, single digits, runs of everything else."""
    words: list[str] = []
    index = 0
    while index < len(text):
        special = next((name for name in (START, END) if text.startswith(name, index)), None)
        contraction = _CONTRACTION.match(text, index)
        kind = _kind(text[index])
        end = index + 1
        if special:
            end = index + len(special)
        elif contraction:
            end = contraction.end()
        elif kind != "N":
            while end < len(text) and _kind(text[end]) == kind:
                end += 1
        if kind != " ":
            words.append(text[index:end])
        index = end
    return words


def _kind(character: str) -> str:
    """Space, L for letters, N for numerals, else a dot."""
    if character.isspace():
        return " "
    category = unicodedata.category(character)[0]
    return category if category in "LN" else "."


# What ftfy.fix_text does to text before CLIP reads it, as far as prompts need it.
_MOJIBAKE = re.compile("[\u00c2-\u00f4][\u0080-\u00bf\u0152-\u2122]{1,3}")
_ESCAPES = re.compile(r"\x1b\[(?:\d|;)*[a-zA-Z]")
_TYPOGRAPHY = str.maketrans(
    dict.fromkeys("\u02bc\u2018\u2019\u201a\u201b", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
    | dict.fromkeys("\u2028\u2029\u0085", "\n")
    | {"\u0132": "IJ", "\u0133": "ij", "\u0149": "'n", "\u3000": " "}
    | {"\u01f1": "DZ", "\u01f2": "Dz", "\u01f3": "dz", "\u01c4": "D\u017d", "\u01c5": "D\u017e"}
    | {"\u01c6": "d\u017e", "\u01c7": "LJ", "\u01c8": "Lj", "\u01c9": "lj", "\u01ca": "NJ"}
    | {"\u01cb": "Nj", "\u01cc": "nj", "\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl"}
    | {"\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "\u017ft", "\ufb06": "st"}
    | {chr(code): unicodedata.normalize("NFKC", chr(code)) for code in range(0xFF01, 0xFFF0)}
    | dict.fromkeys(
        map(
            chr,
            (
                *(*range(0x00, 0x09), 0x0B, *range(0x0E, 0x20), 0x7F),
                *(*range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFD)),
            ),
        )
    )
)


def plain(text: str) -> str:
    """Wrongly decoded letters repaired, typography and entities resolved, spaces single, lower
    case: what CLIP's tokens are made from."""
    if "<" not in text:
        text = html.unescape(text)
    text = _MOJIBAKE.sub(_redecoded, _ESCAPES.sub("", text))
    text = unicodedata.normalize("NFC", text.translate(_TYPOGRAPHY))
    text = html.unescape(html.unescape(text)).strip()
    return re.sub(r"\s+", " ", text).strip().lower()


def _redecoded(found: re.Match[str]) -> str:
    """UTF-8 that was read as Windows-1252 or Latin-1, read again; anything else stays."""
    try:
        encoded = [c.encode("latin-1" if ord(c) < 256 else "cp1252") for c in found.group()]
        return b"".join(encoded).decode("utf-8")
    except ValueError:
        return found.group()
