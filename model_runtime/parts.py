"""Prompts of several actions, one after the other: each leads its own stretch of the clip.

A sentence vector hardly says what comes second, and captions of one action after another are rare
in small data sets. So "a person walks forward, then sits down" is read as two prompts. All tokens
are sampled together; the logits of a token come from the prompt of its stretch, which sees no
further than a little into its neighbours, and near a border from both.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model_runtime.networks import Networks
from model_runtime.tokenizer import OWN, SEATS

Array = NDArray[np.floating]
Tokens = NDArray[np.int64]

MOST_PARTS = 4
OVERLAP = 3  # tokens, 0.6 s, that a stretch sees of its neighbours, and half of every transition
SHORTEST = 6  # tokens of a stretch; a shorter clip is led by all of its prompts alike

_THEN = re.compile(
    r"\s*(?:[,;.]\s*|\s)(?:(?:and|but)\s+)?"
    r"(?:then|next(?! to\b)|afterwards?|after (?:that|this|which)|finally|followed by)\b[,:]?\s+",
    re.IGNORECASE,
)
# "He walks to the door. He sits down." and "Walk. Sit down." but not "A tired walk. He is old."
_SENTENCE = re.compile(
    r"\s*[.!;]\s+(?=(?:he|she|they)\s+(?!is\b|was\b|has\b|had\b|looks\b|feels\b|seems\b)"
    r"\w+s\b|(?:walk|run|jog|sit|stand|get|turn|jump|hop|kick|punch|squat|crouch|bend|wave|dance"
    r"|raise|reach|step|stop)\b)",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"\s*,?\s+before\s+(?=\w+ing\b)|\s*,\s*before\s+|\s+before\s+(?=he|she|they|it)"
)
_AFTER = re.compile(
    r"^(?:after|once(?=\s+(?:he|she|they)\b))\s+(?:(?P<first>[^,]+),\s*(?P<second>.+)"
    # "after climbing the stairs the landlady carries on"
    r"|(?P<doing>\w+ing\b.*?)\s+(?P<rest>(?:he|she|they|(?:the|an?)\s+\w+)\s+\w+s\b.+))$"
)
# "gets up and walks off", "jogs along, stops and stands still"; nobody does these two at once
_LEAVES = re.compile(
    r"(?<!stops)\s*,?\s+and\s+(?=(?:"
    r"(?:walks|strolls|strides|marches|jogs|runs|sprints|dashes|storms|heads|wanders|carries|goes)"
    r"\s+(?:off|away|out|on|along)|leaves|stops|freezes|(?:stands|holds|keeps)\s+(?:very\s+)?still)"
    r"\b)",
    re.IGNORECASE,
)
# "walks over to the bench and sits down" is two actions; captions that say both have a single step
_GOES = (
    r"\b(?:(?:walk|stroll|wander|shuffl|strid|pac|limp|rush|cross)(?:e?s|ing|e)?|heads|returns"
    r"|runs?|running|jogs?|jogging|hurr(?:y|ies|ying)|comes?|goes|(?<!\w )go|enters?)\b"
)
_SITS = (
    r"(?:sit(?:s|ting)?\b|(?:plop|plonk|flop|slump|lower)s?\b"
    rf"|(?:tak(?:es?|ing)|ha(?:s|ve)|grabs?) {OWN} seat\b)"
)
_GOES_AND_SITS = re.compile(rf"({_GOES}[^,;.]*?)\s*,?\s+and\s+(?={_SITS})", re.IGNORECASE)
# "walks up to the door and knocks", not "walks to the left and right"
_GOES_THERE_AND = re.compile(
    rf"({_GOES}(?:\s+(?:over|up|back|across|straight|slowly|quickly))*\s+(?:to|towards?|into)\s+"
    rf"{OWN}\s+(?!left\b|right\b)[^,;.]*?)\s*,?\s+and\s+(?=\w+[^s\W]s\b)",
    re.IGNORECASE,
)
_RISES_AND = re.compile(
    r"(\b(?:(?:stands?|gets?) (?:back )?up|rises?)\b[^,;.]*?)\s+and\s+(?!stands\b)(?=\w+[^s\W]s\b)",
    re.IGNORECASE,
)
# "walks forward, stops, and waves": verbs in a row, not "marches ahead, arms swinging"
_ACTS = (
    r"(?:walk|run|jog|sprint|jump|leap|hop|sit|stand|stop|turn|spin|wave|kick|bend|squat|dance|clap|bow"
    r"|pick|throw|drink|climb|raise|step|kneel|lift|look|get|rise|duck|point|swing|bounce)s\b"
    r"|(?:punch|crouch|stretch|reach)es\b"
)
_ROW = re.compile(rf"\b(?:{_ACTS})[^,;.]*,\s+(?:and\s+)?(?:{_ACTS})", re.IGNORECASE)
_IN_ROW = re.compile(rf"\s*(?:,\s+(?:and\s+)?|\s+and\s+)(?={_ACTS})", re.IGNORECASE)
_SITTING = re.compile(rf"(?:(?:he|she|they|(?:the|an?) \w+)\s+)?{_SITS}", re.IGNORECASE)
_BARE_SIT = re.compile(r"\b(sit(?:s|ting)?)(?= on\b| in\b|$)", re.IGNORECASE)
_SITS_DOWN = re.compile(r"\b(sit(?:s|ting)? down)(?: (?:on|in) it)?$", re.IGNORECASE)
_TO_SEAT = re.compile(
    r"(?:\s+(?:over|up|back|across|straight))?\s+(?:to|towards?)\s+"
    rf"(?P<seat>{OWN} (?:\w+ )?{SEATS})\b.*$",
    re.IGNORECASE,
)
_SOMEHOW = re.compile(
    r"\b(?:comes?|goes|(?<!\w )go|heads|returns|enters?)(?: (?:in|over|up|back|across))?$",
    re.IGNORECASE,
)
_JUST_GOES = re.compile(rf"{_GOES}$", re.IGNORECASE)
_OPENING = re.compile(r"^(?:first|at first|to begin with),?\s+", re.IGNORECASE)
_SUBJECT = re.compile(r"^(?:a|an|the|he|she|they|it|someone|somebody)\b", re.IGNORECASE)
_THIRD_PERSON = re.compile(r"^\w+[^s\W]s\b")
_WHERE = re.compile(
    r"(?:forwards?|backwards?|sideways|(?:to the )?(?:left|right)|faster|slower)(?: again)?",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"^\w+(?=\s+(?:slowly |quickly )?(?:forward|backward|sideways|left|right|to the))"  # "run left"
    r"|\b(?!\w*wards\b)(?<!\bthe )(?<!\ba )(?<!\ban )\w+[^s\W]s\b",  # "the man walks"
    re.IGNORECASE,
)


def split_prompt(prompt: str) -> list[str]:
    """The actions of a prompt in the order in which they happen, at most MOST_PARTS.

    "walks, then sits", "sits before standing up", "after a jump, he walks", "walks to a chair and
    sits", "runs, stops and waves". What is joined by "and" alone otherwise may happen at once and
    stays together.
    """
    text = _OPENING.sub("", " ".join(prompt.strip().split()))
    if _ROW.search(text):
        text = _IN_ROW.sub(", then ", text)
    for one_first in (_GOES_AND_SITS, _GOES_THERE_AND, _RISES_AND):
        text = one_first.sub(r"\1, then ", text)
    if turned := _AFTER.match(text[:1].lower() + text[1:]):
        first, second = turned["first"] or turned["doing"], turned["second"] or turned["rest"]
        text = f"{first}, then {second}"
    sentences = [piece for half in _BEFORE.split(text) for piece in _SENTENCE.split(half)]
    thens = [piece for sentence in sentences for piece in _THEN.split(sentence)]
    pieces = [piece for then in thens for piece in _LEAVES.split(then)]
    parts = [part for piece in pieces if (part := piece.strip(" ,.;"))]
    if not 1 < len(parts) <= MOST_PARTS:
        return [prompt]
    for index, after in enumerate(parts[1:]):
        if _SITTING.match(after) and not _SITTING.match(parts[index]):
            parts[index : index + 2] = _way_and_seat(parts[index], after)
    return list(accumulate(parts, _completed))


def joined_prompt(parts: Sequence[str]) -> str:
    """A prompt that `split_prompt` takes apart into these."""
    return ", then ".join(parts)


def _way_and_seat(going: str, sitting: str) -> tuple[str, str]:
    """Who goes somewhere and sits down there: the way without the seat, as "walks to a chair" alone
    would be heard as sitting down, too. A stool goes to the sitting: it may be a high one."""
    way = _SOMEHOW.sub("walks", _TO_SEAT.sub("", going))
    sits = _BARE_SIT.sub(r"\1 down", sitting)
    found = _TO_SEAT.search(going)
    if found and "stool" in found["seat"]:
        sits = _SITS_DOWN.sub(rf"\1 on {found['seat']}", sits)
    return (f"{way} forward" if _JUST_GOES.search(way) else way), sits


def _completed(before: str, part: str) -> str:
    """What a prompt says once and captions always: "walks left" and "right again" -> "a person
    walks right again", and "sits down" -> "a person sits down"."""
    if _WHERE.fullmatch(part) and (verb := _VERB.search(before)):
        part = f"{verb[0].lower()} {part}"
    has_none = _THIRD_PERSON.match(part) and not _SUBJECT.match(part)
    return f"a person {part}" if has_none else part


@dataclass(frozen=True)
class Stretch:
    """Tokens `start` to `stop - 1`, which a part of the prompt leads, counted from 0."""

    part: int
    start: int
    stop: int
    weights: Array  # (stop - start,), together 1 with those of the neighbours

    @property
    def tokens(self) -> slice:
        return slice(self.start, self.stop)


def stretches(
    num_tokens: int, shares: Sequence[float] | Array, asked: slice | None = None
) -> list[Stretch]:
    """Where each part leads. shares (P,) of the tokens that are `asked` for, all by default, in
    order; the first and the last part lead what is before and after them, too."""
    asked = asked or slice(0, num_tokens)
    num_asked = asked.stop - asked.start
    borders = np.cumsum(shares) / np.sum(shares) * num_asked
    shortest = min(SHORTEST, num_asked / len(borders))
    last = num_asked - shortest * np.arange(len(borders))[::-1]
    borders = np.minimum(np.maximum.accumulate(np.maximum(borders, shortest)), last)
    borders = borders + asked.start
    position = np.arange(num_tokens) + 0.5
    before = np.concatenate([[-np.inf], borders[:-1]])
    after = np.concatenate([borders[:-1], [np.inf]])
    fades = [
        np.clip(0.5 + np.minimum(position - first, end - position) / (2.0 * OVERLAP), 0.0, 1.0)
        for first, end in zip(before, after, strict=True)
    ]
    total = np.sum(fades, axis=0)
    found = []
    for part, fade in enumerate(fades):
        led = np.flatnonzero(fade > 0.0)
        seen = slice(int(led[0]), int(led[-1]) + 1)
        found.append(Stretch(part, seen.start, seen.stop, (fade / total)[seen]))
    return found


def seen_from(window: slice, found: Sequence[Stretch]) -> list[Stretch]:
    """The stretches within a window of tokens, counted from its first one."""
    cut = []
    for each in found:
        start, stop = max(each.start, window.start), min(each.stop, window.stop)
        if start < stop:
            weights = each.weights[start - each.start : stop - each.start]
            own = replace(each, start=start - window.start, stop=stop - window.start)
            cut.append(replace(own, weights=weights))
    return cut


def part_shares(networks: Networks, text: Array) -> Array:
    """How long each part takes, from the length estimator; equal without one. (P, E) -> (P,)."""
    if not networks.configs.length:
        return np.full(len(text), 1.0 / len(text))
    logits = networks.length_logits(text)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    lengths = (powers * np.arange(powers.shape[-1])).sum(axis=-1) / powers.sum(axis=-1)
    return lengths / lengths.sum()


@dataclass(frozen=True)
class Led:
    """Texts (B, P, E) of P actions, and where each of them leads its clip."""

    text: Array
    clips: Sequence[list[Stretch]]


class Predicts(Protocol):
    def __call__(self, tokens: Tokens, text: Array, valid: NDArray[np.bool_]) -> Array:
        """tokens (B, N) or (B, N, Q), text (B, E), valid (B, N) -> logits (B, N, K)."""
        ...


def predict_by_parts(predict: Predicts, tokens: Tokens, led: Led) -> Array:
    """tokens (B, N) or (B, N, Q) -> logits (B, N, K); zeros beyond a clip's end."""
    rows = []
    for clip, own in enumerate(led.clips):
        parts = [
            predict(
                tokens[clip : clip + 1, each.tokens],
                text=led.text[clip : clip + 1, each.part],
                valid=np.ones((1, each.stop - each.start), dtype=bool),
            )[0]
            for each in own
        ]
        row = np.zeros((tokens.shape[1], parts[0].shape[-1]), dtype=np.float32)
        for each, logits in zip(own, parts, strict=True):
            row[each.tokens] += each.weights[:, None].astype(np.float32) * logits
        rows.append(row)
    return np.stack(rows)
