"""Clips joined to longer and to two-part examples.

The data has quick walks of 2 to 3 s only and almost no clip of one action after another, so that a
model learns the length instead of the words, and never what comes second. Joined clips say both.
"""

import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model_runtime.features import COLUMNS
from model_runtime.training.layouts import MIN_FRAMES
from model_runtime.training.paraphrase import third_person
from momask_blender.contract.skeleton import MAX_FRAMES, NUM_JOINTS

Array = NDArray[np.floating]

BLEND = 10  # frames in which one clip turns into the next,
END = 28  # somewhere in the last so many of the one and the first so many of the other
PROLONGED_GAP = 0.10  # metres that joints may be apart where a clip is joined to its like,
TWO_PART_GAP = 0.22  # and to another action
SETTLED_GAP = 0.15  # and to standing or sitting still
MOST_PART = 110  # frames of each of two parts
COUNTED = re.compile(r"\b(one|once|twice|two|three|single|big|first|then|briefly|again)\b")
OVER_SOON = re.compile(
    r"\b(?:jumps (?:straight|forward|and)|(?:stands|gets) up|sits down|kicks a)\b"
)
STILL = re.compile(r"\b(?:stands? still|sits? on)\b")
WORDINGS = ("{first}, then {second}", "{first} and then {second}", "{first}, after that {second}")


@dataclass(frozen=True)
class Example:
    """A clip as features (T, 263) with its captions; examples of one `kind` show one action."""

    features: Array
    captions: tuple[str, ...]
    kind: str
    weight: float  # how often it is drawn to be joined to others


@dataclass(frozen=True)
class Seam:
    """The frames where one clip is left and the next is entered, and how far apart they are."""

    leave: int
    enter: int
    gap: float  # metres


def prolonged(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """Clips that go on as their like, up to some length below the longest; at most `count`."""
    chance = random.Random(f"prolonged {seed}")  # noqa: S311 - no secrets here
    alike = _by_kind([each for each in examples if not COUNTED.search(" ".join(each.captions))])
    made = []
    for first in _drawn([each for kind in alike.values() for each in kind], count, chance):
        target = chance.randint(min(len(first.features) + MIN_FRAMES // 2, MAX_FRAMES), MAX_FRAMES)
        grown = first.features
        while len(grown) < target:
            following = chance.choice(alike[first.kind]).features
            seam = find_seam(grown, following)
            if seam.gap > PROLONGED_GAP:
                break
            grown = joined(grown, following, seam)  # longer: clips are longer than 2 END - BLEND
        if len(grown) > len(first.features):
            made.append(replace(first, features=grown[:target].astype(np.float32)))
    return made


def settled(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """Actions that are over soon, and then standing or sitting still: what a person does who has
    jumped and has time left. At most `count`."""
    chance = random.Random(f"settled {seed}")  # noqa: S311 - no secrets here
    still = [each for each in examples if STILL.search(each.captions[0])]
    over_soon = [each for each in examples if _is_over_soon(each)]
    made = []
    if not still:
        return made
    for first in _drawn(over_soon, count, chance):
        following = chance.choice(still).features
        seam = find_seam(first.features, following)
        whole = joined(first.features, following, seam)
        if seam.gap <= SETTLED_GAP and len(whole) > len(first.features):
            most = chance.randint(len(first.features), MAX_FRAMES)
            made.append(replace(first, features=whole[:most]))
    return made


def two_part(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """One action and then another, where they fit together; at most `count`."""
    chance = random.Random(f"two parts {seed}")  # noqa: S311 - no secrets here
    single = [each for each in examples if _is_one_action(each)]
    made = []
    for before, after in zip(*(_drawn(single, count, chance) for _ in range(2)), strict=True):
        first, second = before.features[-MOST_PART:], after.features[:MOST_PART]
        seam = find_seam(first, second)
        whole = joined(first, second, seam)
        if before.kind == after.kind or seam.gap > TWO_PART_GAP:
            continue
        if not 2 * MIN_FRAMES <= len(whole) <= MAX_FRAMES:
            continue
        captions = _two_part_captions(before.captions, after.captions, chance)
        made.append(Example(whole, captions, f"{before.kind} > {after.kind}", before.weight))
    return made


def find_seam(first: Array, second: Array) -> Seam:
    """The most alike pair of a frame of the end of `first` and one of the beginning of `second`.

    Features (T, 263) and (U, 263) of at least MIN_FRAMES. At most END frames of either are lost, so
    that what was joined still shows both.
    """
    leaves = np.arange(len(first) - END, len(first) - BLEND + 1)
    enters = np.arange(END - BLEND + 1)
    apart = _poses(first)[leaves][:, None] - _poses(second)[enters][None]
    gaps = np.linalg.norm(apart, axis=-1).mean(axis=-1)
    leave, enter = np.unravel_index(gaps.argmin(), gaps.shape)
    return Seam(int(leaves[leave]), int(enters[enter]), float(gaps.min()))


def joined(first: Array, second: Array, seam: Seam) -> Array:
    """`first` up to the seam, BLEND frames of both, the rest of `second`.

    Rows of features are relative to the body, so a weighted mean of near rows is a row between.
    """
    share = np.linspace(0.0, 1.0, BLEND + 2)[1:-1, None]
    leaving = first[seam.leave : seam.leave + BLEND]
    entering = second[seam.enter : seam.enter + BLEND]
    between = (1.0 - share) * leaving + share * entering
    parts = [first[: seam.leave], between, second[seam.enter + BLEND :]]
    return np.concatenate(parts).astype(np.float32)


def _poses(features: Array) -> Array:
    """Joints, and their way in the next four frames if they go on: (T, 263) -> (T, 44, 3)."""
    others = features[:, COLUMNS["positions"]].reshape(-1, NUM_JOINTS - 1, 3)
    root = np.zeros((len(features), 1, 3))
    root[:, 0, 1] = features[:, COLUMNS["root_height"]][:, 0]
    joints = np.concatenate([root, others], axis=1)
    speeds = features[:, COLUMNS["velocities"]].reshape(-1, NUM_JOINTS, 3)
    return np.concatenate([joints, 4.0 * speeds], axis=1)


def _by_kind(examples: Sequence[Example]) -> dict[str, list[Example]]:
    kinds: dict[str, list[Example]] = defaultdict(list)
    for each in examples:
        kinds[each.kind].append(each)
    return kinds


def _drawn(examples: list[Example], count: int, chance: random.Random) -> list[Example]:
    weights = [each.weight for each in examples]
    return chance.choices(examples, weights, k=count) if examples else []


def _is_one_action(example: Example) -> bool:
    return not any(
        re.search(r"\band\b|,|\bthen\b|\bwhile\b", text) for text in example.captions[:1]
    )


def _is_over_soon(example: Example) -> bool:
    text = example.captions[0]
    return bool(OVER_SOON.search(text)) and not STILL.search(text)


def _two_part_captions(
    before: Sequence[str], after: Sequence[str], chance: random.Random
) -> tuple[str, ...]:
    """A few ways to say both, one after the other; the subject is said once."""
    pairs = [(chance.choice(before), chance.choice(after)) for _ in WORDINGS]
    return tuple(
        words.format(first=first, second=third_person(second))
        for words, (first, second) in zip(WORDINGS, pairs, strict=True)
    )
