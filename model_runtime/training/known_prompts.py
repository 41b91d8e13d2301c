"""Captions -> the part of a weights folder by which it knows what it was trained on.

`python -m model_runtime.training.known_prompts DATA MODEL` makes it for a model that exists.
"""

import random
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model_runtime.familiarity import DISTINCT, PART, likeness, unit_rows
from model_runtime.networks import read_card
from model_runtime.torch_backend import TextEncoder
from model_runtime.training.export import write_part
from model_runtime.training.foreign import foreign_prompts
from model_runtime.training.layouts import DataError, read_captions
from model_runtime.training.paraphrase import mirror_caption, paraphrases
from model_runtime.training.user_prompts import user_prompts

Array = NDArray[np.floating]

STARTER_EXAMPLES = Path(__file__).with_name("starter_examples.toml")

BOUND = 0.25  # keeps 97 % of the prompts inside in familiarity_calibration.toml and prompts.toml
STRANGE_CAPTIONS = 0.05  # share of a model's own captions that may look strange to the others
FEWEST_CAPTIONS = 20  # below, their likeness to each other says nothing
SAID = 0.75  # cosine to a caption above which a foreign prompt is none
MOST_SENTENCES, MOST_KNOWN = 20_000, 5500  # looked at, kept
MOST_EXAMPLES, LONGEST_EXAMPLE = 40, 8  # words
REWORDINGS = 12


def read_split_captions(data: Path) -> list[str]:
    """Distinct captions of the training split. Raises DataError."""
    try:
        names = (data / "train.txt").read_text(encoding="utf-8").split()
    except OSError as error:
        raise DataError(f"Cannot read {data / 'train.txt'}: {error.strerror}.") from error
    files = [data / "texts" / f"{name}.txt" for name in names]
    texts = [caption.text for file in files if file.is_file() for caption in read_captions(file)]
    return list(dict.fromkeys(texts))


def add_known_prompts(
    folder: Path, captions: list[str], mirror: bool = True, examples: list[str] | None = None
) -> None:
    """Write the part and name it in the folder's card. `examples`: prompts that work, if known.

    The bound needs no prompts written by hand: a twentieth of the captions may be strange to the
    others, and it is never stricter than the starter's.
    """
    card = read_card(folder)
    encoder = TextEncoder.open(folder, card.parts["text"], torch.device("cpu"))

    def embed(texts: list[str]) -> Array:
        return unit_rows(encoder.embed_corpus(texts, encoder.width))

    own = _sample(captions)
    sentences = embed(_sample(_other_wordings(own, mirror), own))
    foreign = embed(foreign_prompts())
    foreign = foreign[(foreign @ sentences.T).max(axis=1) < SAID]
    known = sentences[_spread(sentences, MOST_KNOWN)]
    chosen = examples or short_examples(own, embed)
    matrices = {"known": known, "foreign": foreign, "examples": embed(chosen)}
    config = {"bound": _bound(embed(own), foreign), "examples": chosen}
    write_part(card, PART, matrices, config)


def short_examples(captions: list[str], embed: Callable[[list[str]], Array]) -> list[str]:
    """Short captions that differ from each other."""
    short = [text for text in captions if len(text.split()) <= LONGEST_EXAMPLE]
    short = short or sorted(captions, key=len)[:MOST_EXAMPLES]
    vectors = embed(short)
    rows = [0]
    for row in _spread(vectors, MOST_EXAMPLES)[1:]:
        if (vectors[rows] @ vectors[row]).max() < DISTINCT:
            rows.append(row)
    return [short[row] for row in rows]


def _other_wordings(captions: list[str], mirror: bool) -> list[str]:
    """The captions, their mirror images, what users would say for them, paraphrases; distinct."""
    sides = captions + ([mirror_caption(text) for text in captions] if mirror else [])
    asked = [prompt for text in sides for prompt in user_prompts(text)]
    others = [other for text in sides for other in paraphrases(text, REWORDINGS, seed=0)]
    return list(dict.fromkeys(sides + asked + others))


def _sample(texts: list[str], first: list[str] | None = None) -> list[str]:
    """At most MOST_SENTENCES of them, those of `first` before others."""
    rest = list(texts[len(first or []) :])
    room = MOST_SENTENCES - len(first or [])
    chance = random.Random(0)  # noqa: S311 - no secrets here
    return (first or []) + (rest if len(rest) <= room else chance.sample(rest, max(0, room)))


def _spread(vectors: Array, count: int) -> list[int]:
    """Rows such that every other is near one of them: each time the farthest (Gonzalez, 1985)."""
    rows, nearest = [0], vectors @ vectors[0]
    while len(rows) < min(count, len(vectors)):
        row = int(nearest.argmin())
        rows.append(row)
        nearest = np.maximum(nearest, vectors @ vectors[row])
    return rows


def _bound(captions: Array, foreign: Array) -> float:
    """Least likeness of a known prompt: the captions are judged by the other captions."""
    if len(captions) < FEWEST_CAPTIONS:
        return BOUND
    others = [
        likeness(captions[row : row + 1], np.delete(captions, row, axis=0), foreign)[0]
        for row in _spread(captions, 500)
    ]
    return round(min(BOUND, float(np.quantile(others, STRANGE_CAPTIONS))), 4)


if __name__ == "__main__":
    data, model = (Path(argument) for argument in sys.argv[1:3])
    ready = tomllib.loads(STARTER_EXAMPLES.read_text(encoding="utf-8"))["examples"]
    is_starter = read_card(model).name == "starter"
    add_known_prompts(model, read_split_captions(data), examples=ready if is_starter else None)
