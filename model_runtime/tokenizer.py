"""Words into word pieces, as BERT's uncased models read them, and the cue words of a prompt.

The shipped vocabulary is ASCII, so typography that BERT has pieces for is written in ASCII first.
"""

import re
import unicodedata
from collections.abc import Mapping
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


class Reworded:
    """Prompts in the words of a model's captions, where it knows what people say by another name:
    {"chair": "low stool"}. Whole words in any case, the longest entries first."""

    def __init__(self, read_as: Mapping[str, str]) -> None:
        self._read_as = {said.lower(): heard for said, heard in read_as.items()}
        said = map(re.escape, sorted(self._read_as, key=len, reverse=True))
        self._said = re.compile(rf"\b(?:{'|'.join(said)})\b", re.IGNORECASE) if read_as else None

    def __call__(self, prompt: str) -> str:
        if self._said is None:
            return prompt
        return self._said.sub(lambda found: self._read_as[found[0].lower()], prompt)


# Sentence vectors hardly tell some captions apart: those of a caption and its mirror image have a
# cosine of 0.99, "sits on" and "sits down on a stool" too, "walks" and "walks quickly" 0.91. What
# tells such captions apart is told to the networks separately. The patterns read split words:
# "left-handed" is "left - handed" there. Cues are only ever added at the end: a model hears as many
# as its text size has room for, so that one trained when there were four still works.
_COUNTER = r"(?:counter|anti)(?: - | )?"
_PARTS = r"(?:s|wards?|most|side|arm|leg|(?:hand|foot)(?:ed|er)?)?"
OWN = r"(?:the|an?|his|her|their|my|your|its|that|one)"
SEATS = r"(?:\w+ )?(?:stool|chair|armchair|seat|sofa|couch|bench|bed|recliner|pew|throne)"
_CUES = {
    "left": rf"left{_PARTS}",
    "right": rf"right{_PARTS}",
    "clockwise": r"clockwise|cw",
    "counterclockwise": rf"{_COUNTER}clockwise|ccw",
    "fast": r"fast|faster|quicker|(?:quick|brisk|rapid|swift|hurried|hasti|speedi)(?:ly)?"
    r"|(?<!no )(?<!without )(?:hurry|rush)|hurries|hurrying|rush(?:es|ing)"
    r"|(?:at|full|top) speed|in haste|speedy|flat out|like (?:mad|crazy)|power walk(?:s|ing)?",
    "slow": r"slower|(?:slow|unhurried|leisure|sluggish|gradual)(?:ly)?|(?:without|in no) hurry"
    r"|snail|no rush|(?:trudg|plod|dawdl)\w*"
    r"|(?:drag|takes?|taking)\w* (?:his|her|their) (?:feet|time)",
    "in place": rf"(?:in|on) (?:{OWN} )?(?:same )?(?:place|spot)|in one place|treadmill|stationary"
    r"|without (?:moving|going|getting|leaving|advancing|travell?ing)|(?:going|getting) nowhere"
    r"|(?:not|never) (?:moving|going|getting) (?:forward|anywhere|away)",
    "seated": r"(?:sits?|sat|sitting) (?:on(?! it)|in|at|still|around|quietly|there|by)|seated"
    r"|(?:is|stays?|remains?|keeps?) sitting(?! down)|(?:lounge|lounging|slouch|perched)\w*",
    "sits down": r"(?:sits?|sitting) (?:back )?down|sits? on it"
    r"|(?:takes?|taking|have|has|having|grabs?) (?:a|his|her|their|my) (?:seat|pew)"
    r"|(?:lower|plonk|plop|flop|sink|settl|collaps|drop|slump|eas|park|perch)\w*"
    rf" (?:\w+ ){{0,3}}(?:down|in|on|into|onto) (?:on |in )?{OWN} {SEATS}",
    "gets up": r"(?:stands?|standing|gets?|getting|comes?) (?:back )?up|(?:rises?|arises?|rising)"
    rf"|(?:gets?|getting) to {OWN} feet|leav(?:es?|ing) {OWN} {SEATS}"
    rf"|(?:get|ris|stand|climb|push|heav|spring|jump|leap)\w* (?:\w+ ){{0,2}}(?:off|out of|from)"
    rf" {OWN} {SEATS}",
}
# "right" that names no side: "right now", "all right", "right behind"; but not "turn right after".
_MERELY = re.compile(
    r"\ball right\b|(?<!\bthe )(?<!turn )(?<!turns )(?<!turning )(?<!\bto )(?<!\band )(?<!\bor )"
    r"\bright (?=(?:away|now|behind|down|up|here|there|off|under|above|beside|next|through|before"
    r"|after|out|beneath|along)\b)"
)
_PATTERNS = {cue: re.compile(rf"\b(?:{pattern})\b") for cue, pattern in _CUES.items()}
NUM_CUES = len(_CUES)


def cue_words(text: str) -> tuple[float, ...]:
    """1 for each of left, right, clockwise, counterclockwise, fast, slow, in place, seated, sits
    down, gets up that the text says, else 0."""
    words = _MERELY.sub(" ", " ".join(split_words(text)))
    turns = _PATTERNS["counterclockwise"].sub(" ", words)  # what is left may still say clockwise
    return tuple(
        float(bool(pattern.search(turns if cue == "clockwise" else words)))
        for cue, pattern in _PATTERNS.items()
    )
