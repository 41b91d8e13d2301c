"""Captions -> the part of a weights folder that tells a prompt's kind of action.

`python -m model_runtime.training.action_kinds DATA MODEL` makes it for a model that exists.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from model_runtime.action_kinds import PART, SENTENCE_SCALE
from model_runtime.familiarity import unit_rows
from model_runtime.networks import read_card
from model_runtime.tokenizer import NUM_CUES
from model_runtime.torch_backend import TextEncoder
from model_runtime.training.export import write_part
from model_runtime.training.known_prompts import read_split_captions
from model_runtime.training.paraphrase import mirror_caption, paraphrases
from model_runtime.training.user_prompts import kinds_of, read_kinds

Array = NDArray[np.floating]

REWORDINGS = 12  # of each caption
STEPS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 2500, 288, 3e-3, 1e-3
ASKED = 2 / 3  # of a batch: users' prompts; the rest are captions and paraphrases
NOISE = 0.02  # added to the unit sentence vectors, so that the layer leans on all of them


def add_action_kinds(folder: Path, captions: list[str], mirror: bool = True) -> None:
    """Write the part and name it in the folder's card. Captions of no kind that we know are a kind
    of their own, so that a prompt like them is not taken for another."""
    card = read_card(folder)
    encoder = TextEncoder.open(folder, card.parts["text"], torch.device("cpu"))
    sides = [mirror_caption(text) for text in captions] if mirror else []
    said = list(dict.fromkeys([*captions, *sides]))
    own = [kinds_of(text) for text in said]
    kinds = [name for name in read_kinds() if any(name in each for each in own)]
    members = np.array([[name in each for name in kinds] for each in own]).reshape(len(said), -1)
    others = ~members.any(axis=1)
    if others.any():
        members = np.concatenate([members, others[:, None]], axis=1)

    asked = [
        (text, row)
        for name, row in zip(kinds, np.eye(members.shape[1]), strict=False)  # not for the others
        for prompt in read_kinds()[name].prompts
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
    layer = _fit(vectors, goals, len(asked), encoder.width)
    tensors = {
        "captions": unit_rows(encoder.embed_corpus(said, encoder.width)),
        "members": members.astype(np.float32),
        "weights": layer.weight.detach().numpy(),
        "bias": layer.bias.detach().numpy(),
    }
    write_part(card, PART, tensors, {})


def _fit(vectors: Array, goals: Array, num_asked: int, width: int) -> torch.nn.Linear:
    """A linear layer from vectors (N, S + cues), users' prompts first, to goals (N, G)."""
    inputs, wanted = torch.tensor(vectors).float(), torch.tensor(goals).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = torch.nn.Linear(inputs.shape[1], wanted.shape[1])
        optimizer = torch.optim.AdamW(
            layer.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        for _ in range(STEPS):
            count = round(ASKED * BATCH) if num_asked else 0
            rows = torch.randint(num_asked, len(inputs), (BATCH - count,))
            if count:
                rows = torch.cat([torch.randint(num_asked, (count,)), rows])
            noisy = inputs[rows]
            noisy[:, :width] += SENTENCE_SCALE * NOISE * torch.randn(len(rows), width)
            loss = functional.cross_entropy(layer(noisy), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return layer


if __name__ == "__main__":
    data, model = (Path(argument) for argument in sys.argv[1:3])
    add_action_kinds(model, read_split_captions(data))
