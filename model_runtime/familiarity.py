"""How far a prompt lies from what a model was trained on, and which prompts near it work.

A prompt's sentence vector is weighed between two sets of vectors: the model's own captions and
common prompts that these do not say. Length and register lie near both sides alike and cancel out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_runtime.nets.configs import SentenceTowerConfig, build_config
from model_runtime.weights_folder import ModelCard, WeightsError, differences, read_tensors

Array = NDArray[np.floating]

PART = "known_prompts"  # of a weights folder
FOREIGN_WEIGHT = 0.6  # of the likeness to foreign prompts; chosen on familiarity_calibration.toml
SOFTNESS = 0.05  # likeness over which `share` goes from 0.5 to 0.73
MOST_NEAREST = 3
DISTINCT = 0.8  # cosine above which two examples say the same


@dataclass(frozen=True)
class Familiarity:
    """`share` is 0 to 1, 0.5 and more where known; `nearest` are prompts that work."""

    share: float
    is_known: bool
    nearest: tuple[str, ...]


@dataclass(frozen=True)
class KnownPrompts:
    """Unit sentence vectors (K, S), (F, S) and (X, S), the examples' texts, the least likeness."""

    known: Array
    foreign: Array
    example_vectors: Array
    examples: tuple[str, ...]
    bound: float

    @classmethod
    def read(cls, card: ModelCard) -> "KnownPrompts | None":
        """None for a model that has none or reads no text. Raises WeightsError for a damaged
        file."""
        if not (card.has(PART) and card.has("text")):
            return None
        part = card.parts[PART]
        file = card.folder / part.file
        tensors = read_tensors(card.folder, part)
        examples, bound = _read_config(card, part.config)
        size = build_config(SentenceTowerConfig, card.parts["text"].config).width
        expected = {
            name: (len(tensors[name]) if name in tensors else 0, size)
            for name in ("known", "foreign")
        } | {"examples": (len(examples), size)}
        if wrong := differences(expected, {name: each.shape for name, each in tensors.items()}):
            raise WeightsError(f"{file} does not fit its model: {wrong}.")
        if not len(tensors["known"]) or not all(
            np.isfinite(each).all() for each in tensors.values()
        ):
            raise WeightsError(f"{file} holds no usable vectors. Fetch or copy it again.")
        return cls(
            unit_rows(tensors["known"]),
            unit_rows(tensors["foreign"]),
            unit_rows(tensors["examples"]),
            examples,
            bound,
        )

    def judge(self, vector: Array) -> Familiarity:
        """vector (S + cue words and kinds,), of which the sentence alone counts."""
        sentence = unit_rows(vector[None, : self.known.shape[1]])
        margin = float(likeness(sentence, self.known, self.foreign)[0]) - self.bound
        share = float(1.0 / (1.0 + np.exp(-margin / SOFTNESS)))
        return Familiarity(share, margin >= 0.0, self._nearest(sentence[0]))

    def _nearest(self, sentence: Array) -> tuple[str, ...]:
        """Examples by falling cosine, without those that say the same as one before."""
        chosen: list[int] = []
        for index in np.argsort(-(self.example_vectors @ sentence), kind="stable"):
            others = self.example_vectors[chosen] @ self.example_vectors[index]
            if len(chosen) < MOST_NEAREST and (others < DISTINCT).all():
                chosen.append(int(index))
        return tuple(self.examples[index] for index in chosen)


def likeness(sentences: Array, known: Array, foreign: Array) -> Array:
    """Greatest cosine to a known prompt less a part of that to a foreign one. (B, S) -> (B,)."""
    to_foreign = (sentences @ foreign.T).max(axis=1, initial=0.0)
    return (sentences @ known.T).max(axis=1) - FOREIGN_WEIGHT * to_foreign


def unit_rows(rows: Array) -> Array:
    """Rows of length 1; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(lengths > 0.0, lengths, 1.0)


def _read_config(card: ModelCard, config: dict[str, Any]) -> tuple[tuple[str, ...], float]:
    try:
        return tuple(str(text) for text in config["examples"]), float(config["bound"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"The entry '{PART}' in the card of {card.folder} is damaged. Fetch the model again."
        ) from error
