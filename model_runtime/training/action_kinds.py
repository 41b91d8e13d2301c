"""Captions -> the part of a weights folder that tells a prompt's kind of action."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from model_runtime.action_kinds import PART, SENTENCE_SCALE, ActionKinds
from model_runtime.familiarity import unit_rows
from model_runtime.networks import read_card
from model_runtime.tokenizer import NUM_CUES
from model_runtime.torch_backend import TextEncoder
from model_runtime.training.checkpoint import load_weights, save_atomically
from model_runtime.training.export import write_part
from model_runtime.training.paraphrase import mirror_caption, paraphrases
from model_runtime.training.user_prompts import kinds_of, read_kinds

Array = NDArray[np.floating]
Tensors = dict[str, Array]

NUM_KINDS = len(read_kinds()) + 1  # the last for captions of no kind that we know
REWORDINGS = 12  # of each caption
STEPS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 2500, 288, 3e-3, 1e-3
ASKED = 2 / 3  # of a batch: users' prompts; the rest are captions and paraphrases
NOISE = 0.02  # added to the unit sentence vectors, so that the layer leans on all of them
FOLDS = 5


def fit_action_kinds(
    encoder: TextEncoder, captions: list[str], mirror: bool, learned: Array | None = None
) -> Tensors:
    """What ActionKinds holds, and beside it the layers of which its own is the mean: each was
    fitted without a fifth of users' prompts, see `told_kinds`. `learned`: caption vectors (C, S) of
    a model that training goes on from."""
    sides = [mirror_caption(text) for text in captions] if mirror else []
    said = list(dict.fromkeys([*captions, *sides]))
    members = np.array([_members(text) for text in said])
    asked = [
        (text, row)
        for prompts, row in zip(read_kinds().values(), np.eye(NUM_KINDS), strict=False)
        for prompt in prompts.prompts
        for text in dict.fromkeys([prompt, mirror_caption(prompt)])
    ]
    reworded = [
        (text, row / row.sum())
        for caption, row in zip(said, members.astype(float), strict=True)
        for text in (caption, caption, caption, *paraphrases(caption, REWORDINGS, seed=0))
    ]
    vectors = encoder.embed_corpus([text for text, _ in asked + reworded], encoder.width + NUM_CUES)
    vectors[:, : encoder.width] = SENTENCE_SCALE * unit_rows(vectors[:, : encoder.width])
    goals = np.array([row for _, row in asked + reworded])
    folds = np.array([fold_of(text) for text, _ in asked] + [-1] * len(reworded))
    layers = []
    for fold in range(FOLDS):
        seen = folds != fold
        num_asked = int(seen[: len(asked)].sum())
        layers.append(_fit(vectors[seen], goals[seen], num_asked, encoder.width))
    weights = np.stack([layer.weight.detach().numpy() for layer in layers])
    bias = np.stack([layer.bias.detach().numpy() for layer in layers])
    known = unit_rows(encoder.embed_corpus(said, encoder.width))
    return {
        "captions": known if learned is None else np.concatenate([learned, known]),
        "weights": weights.mean(axis=0),
        "bias": bias.mean(axis=0),
        "off_floor": np.array([*(kind.off_floor for kind in read_kinds().values()), True], float),
        "fold_weights": weights,
        "fold_bias": bias,
    }


def _members(caption: str) -> list[bool]:
    """Of which kinds a caption is, (NUM_KINDS,)."""
    own = kinds_of(caption)
    named = [name in own for name in read_kinds()]
    return [*named, not any(named)]


def fold_of(prompt: str) -> int:
    """A prompt and its mirror image are left out together."""
    first = min(prompt, mirror_caption(prompt))
    return zlib.crc32(first.encode()) % FOLDS


def told_kinds(tensors: Tensors, texts: list[str], vectors: Array) -> Array:
    """Shares of the kinds (V, NUM_KINDS) for texts of a corpus and their vectors (V, S + cues), as
    networks had better learn them: users' prompts as layers tell them that have not seen these,
    since that is how well new prompts will be told."""
    asked = {prompt for kind in read_kinds().values() for prompt in kind.prompts}
    asked |= {mirror_caption(prompt) for prompt in asked}
    captions, off_floor = tensors["captions"], tensors["off_floor"] > 0.5
    whole = ActionKinds(captions, tensors["weights"], tensors["bias"], off_floor)
    folds = [
        ActionKinds(captions, weights, bias, off_floor)
        for weights, bias in zip(tensors["fold_weights"], tensors["fold_bias"], strict=True)
    ]
    return np.stack(
        [
            (folds[fold_of(text)] if text in asked else whole).shares(vector)
            for text, vector in zip(texts, vectors, strict=True)
        ]
    ).astype(np.float32)


def read_action_kinds(folder: Path, fit: Callable[[], Tensors]) -> Tensors:
    """Of a training folder: fitted when first asked for, so that all its stages hear the same.
    Raises CheckpointError."""
    file = folder / f"{PART}.safetensors"
    if not file.is_file():
        save_atomically({name: torch.from_numpy(each) for name, each in fit().items()}, file)
    return {name: each.numpy() for name, each in load_weights(file).items()}


def add_action_kinds(folder: Path, tensors: Tensors) -> None:
    """Write the part and name it in the folder's card."""
    kept = {name: each for name, each in tensors.items() if not name.startswith("fold_")}
    write_part(read_card(folder), PART, kept, {"num_kinds": len(kept["bias"])})


def _fit(vectors: Array, goals: Array, num_asked: int, width: int) -> torch.nn.Linear:
    """A linear layer from vectors (N, S + cues), users' prompts first, to goals (N, G)."""
    inputs, wanted = torch.tensor(vectors).float(), torch.tensor(goals).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = torch.nn.Linear(inputs.shape[1], wanted.shape[1])
        optimizer = torch.optim.AdamW(
            layer.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        count = round(ASKED * BATCH)
        for _ in range(STEPS):
            asked = torch.randint(num_asked, (count,))
            rows = torch.cat([asked, torch.randint(num_asked, len(inputs), (BATCH - count,))])
            noisy = inputs[rows]
            noisy[:, :width] += SENTENCE_SCALE * NOISE * torch.randn(len(rows), width)
            loss = functional.cross_entropy(layer(noisy), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return layer
