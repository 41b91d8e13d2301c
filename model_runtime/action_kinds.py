"""What kind of action a prompt asks for, and captions that say it as the networks heard it.

Networks that saw few captions have learned little between them, and take the scenery of a prompt
("the builder knocks back a mug of tea on his break") for the action. A linear layer over the
sentence vector, trained on thousands of prompts by kinds of action, does better. So the networks
are told how likely a prompt is of each kind, beside its sentence and cue words; and a prompt that
is like no caption is heard nearer to captions of its kind.
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
NEAR = 0.95  # cosine to a caption from which on a prompt is heard as it is said; below,
STEEPNESS = 2.0  # it is moved by so much of the difference,
MOST_MOVED = 0.6  # at most by this share, and by less where its kind is not sure
SHARPNESS = 20.0  # of the softmax over cosines that weighs the captions of a kind
UNLIKELY = 0.02  # kinds below are not listened to


def num_kinds(card: ModelCard) -> int:
    """How many kinds a model's networks can hear, 0 where its card does not say."""
    return card.parts[PART].config.get("num_kinds", 0) if card.has(PART) else 0


@dataclass(frozen=True)
class ActionKinds:
    """G kinds, C unit caption vectors (C, S) and which kinds each says, members (C, G)."""

    captions: Array
    members: NDArray[np.bool_]
    weights: Array  # (G, S + NUM_CUES)
    bias: Array  # (G,)

    @classmethod
    def read(cls, card: ModelCard) -> "ActionKinds | None":
        """None for a model that has none or reads no text. Raises WeightsError for a damaged
        file."""
        if not (card.has(PART) and card.has("text")):
            return None
        tensors = read_tensors(card.folder, card.parts[PART])
        size = build_config(SentenceTowerConfig, card.parts["text"].config).width
        count, kinds = len(tensors.get("captions", ())), len(tensors.get("bias", ()))
        expected = {
            "captions": (count, size),
            "members": (count, kinds),
            "weights": (kinds, size + NUM_CUES),
            "bias": (num_kinds(card) or kinds,),
        }
        file = card.folder / card.parts[PART].file
        if wrong := differences(expected, {name: each.shape for name, each in tensors.items()}):
            raise WeightsError(f"{file} does not fit its model: {wrong}.")
        members = tensors["members"] > 0.5
        whole = all(np.isfinite(each).all() for each in tensors.values())
        if not (members.any() and whole):
            raise WeightsError(f"{file} holds no usable kinds. Fetch or copy it again.")
        return cls(unit_rows(tensors["captions"]), members, tensors["weights"], tensors["bias"])

    def shares(self, vector: Array) -> Array:
        """How likely a prompt (S + cue words,) is of each kind, together 1. -> (G,)."""
        size = self.captions.shape[1]
        told = np.zeros(size + NUM_CUES)
        told[: len(vector)] = vector[: len(told)]
        told[:size] = SENTENCE_SCALE * unit_rows(told[:size])
        logits = self.weights @ told + self.bias
        powers = np.exp(logits - logits.max())
        return powers / powers.sum()

    def nearer(self, vector: Array) -> Array:
        """As a model had better hear it: vector (S + others,), its sentence moved towards captions
        of its kind. The constants are docs/starter-model.md's."""
        sentence, others = np.split(vector, [self.captions.shape[1]])
        said = unit_rows(sentence)
        cosines = self.captions @ said
        shares = self.shares(vector)
        moved_by = np.clip(STEEPNESS * (NEAR - cosines.max()), 0.0, MOST_MOVED) * shares.max()
        moved = unit_rows((1.0 - moved_by) * said + moved_by * self._likes(cosines, shares))
        return np.concatenate([np.linalg.norm(sentence) * moved, others]).astype(np.float32)

    def _likes(self, cosines: Array, shares: Array) -> Array:
        """Unit mean of the captions of the likely kinds, those most like the prompt foremost."""
        weights = np.zeros(len(cosines))
        for kind in np.flatnonzero((shares > UNLIKELY) & self.members.any(axis=0)):
            own = self.members[:, kind]
            powers = np.exp(SHARPNESS * (cosines[own] - cosines[own].max()))
            weights[own] += shares[kind] * powers / powers.sum()
        return unit_rows(weights @ self.captions)
