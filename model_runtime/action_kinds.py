"""What kind of action a prompt asks for, told beside its sentence.

Networks that saw few captions have learned little between them, and take the scenery of a prompt
("the builder knocks back a mug of tea on his break") for the action. A linear layer over the
sentence vector, trained on thousands of prompts by kinds of action, does better. So the networks
are told how likely a prompt is of each kind, after its sentence and cue words; and of a prompt that
is like no caption they hear the sentence less.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_runtime.familiarity import unit_rows
from model_runtime.nets.configs import SentenceTowerConfig, build_config
from model_runtime.tokenizer import NUM_CUES
from model_runtime.weights_folder import ModelCard, WeightsError, differences, read_tensors

Array = NDArray[np.floating]

PART = "action_kinds"  # of a weights folder
SENTENCE_SCALE = 8.0  # of the unit sentence vector beside cues of 0 and 1, where kinds are told
ALIKE = 0.8  # cosine to a caption from which on a prompt's sentence is heard as it is said; below,
OFF_FLOOR = 0.1  # likelihood of kinds off the floor from which on motions may stay in the air
SOFTLY = 0.4  # so much of it. Both were chosen on prompts: docs/starter-model.md


def num_kinds(card: ModelCard) -> int:
    """How many kinds a model's networks can hear, 0 where its card does not say. Raises
    WeightsError."""
    count = card.parts[PART].config.get("num_kinds", 0) if card.has(PART) else 0
    if not isinstance(count, int) or count < 0:
        raise WeightsError(
            f"The entry '{PART}' in the card of {card.folder} is damaged. Fetch the model again."
        )
    return count


@dataclass(frozen=True)
class ActionKinds:
    """G kinds, and the C captions (unit vectors) of which the networks have learned them."""

    captions: Array  # (C, S)
    weights: Array  # (G, S + NUM_CUES)
    bias: Array  # (G,)
    off_floor: NDArray[np.bool_]  # (G,) where clips have nothing on the floor for long: ladders

    @classmethod
    def read(cls, card: ModelCard) -> "ActionKinds | None":
        """None for a model whose networks hear no kinds. Raises WeightsError for a damaged
        file."""
        if not (num_kinds(card) and card.has("text")):
            return None
        tensors = read_tensors(card.folder, card.parts[PART])
        size = build_config(SentenceTowerConfig, card.parts["text"].config).width
        expected = {
            "captions": (len(tensors.get("captions", ())), size),
            "weights": (num_kinds(card), size + NUM_CUES),
            "bias": (num_kinds(card),),
            "off_floor": (num_kinds(card),),
        }
        file = card.folder / card.parts[PART].file
        if wrong := differences(expected, {name: each.shape for name, each in tensors.items()}):
            raise WeightsError(f"{file} does not fit its model: {wrong}.")
        whole = all(np.isfinite(each).all() for each in tensors.values())
        if not (len(tensors["captions"]) and whole):
            raise WeightsError(f"{file} holds no usable kinds. Fetch or copy it again.")
        off_floor = tensors["off_floor"] > 0.5
        return cls(unit_rows(tensors["captions"]), tensors["weights"], tensors["bias"], off_floor)

    def shares(self, vector: Array) -> Array:
        """How likely a prompt (S + cue words,) is of each kind, together 1. -> (G,)."""
        size = self.captions.shape[1]
        told = np.concatenate([SENTENCE_SCALE * unit_rows(vector[:size]), vector[size:]])
        logits = self.weights @ told + self.bias
        powers = np.exp(logits - logits.max())
        return powers / powers.sum()

    def heard(self, vector: Array) -> Array:
        """A prompt (S + cue words,) as the networks had better hear it: (S + cue words + G,)."""
        size = self.captions.shape[1]
        is_alike = (self.captions @ unit_rows(vector[:size])).max() >= ALIKE
        sentence = vector[:size] * (1.0 if is_alike else SOFTLY)
        return np.concatenate([sentence, vector[size:], self.shares(vector)])

    def stay_on_floor(self, texts: Array) -> bool:
        """Whether none of the texts as heard, (E,) or (P, E), is likely of a kind off the floor.
        One without words may be anything."""
        shares = np.atleast_2d(texts)[:, -len(self.bias) :]
        return bool((shares[:, ~self.off_floor].sum(axis=1) > 1.0 - OFF_FLOOR).all())
