"""Train the evaluator: motions and captions as vectors that are close where they belong together.

Guo et al. 2022 hold each text a margin away from one wrong motion. Here each text of a batch is
told from all its motions and each motion from all texts (symmetric InfoNCE), over the squared
distances that the metrics compare.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from model_runtime.evaluation.evaluator import (
    FRAMES_PER_MOVEMENT,
    TOWER,
    Evaluator,
    Reads,
    describe,
)
from model_runtime.evaluation.metrics import BATCH, r_precision
from model_runtime.torch_backend import TextEncoder
from model_runtime.training.checkpoint import save_atomically
from model_runtime.training.data import Motion
from model_runtime.training.layouts import MIN_FRAMES
from model_runtime.training.loop import Losses, Stage
from model_runtime.training.recipe import Recipe, RecipeError
from model_runtime.training.train_transformers import distinct_captions

Array = NDArray[np.floating]

VALIDATION_ROUNDS = 20  # shuffles, each with other captions: one batch of 32 says little


@dataclass(frozen=True)
class Ragged:
    """Sequences of vectors end to end, on one device."""

    rows: Tensor  # (sum of the lengths, D)
    starts: Tensor  # (n,)
    lengths: Tensor  # (n,)

    @classmethod
    def of(cls, sequences: Sequence[Array], device: torch.device) -> "Ragged":
        """sequences (L, D) each."""
        lengths = [len(sequence) for sequence in sequences]
        return cls(
            torch.from_numpy(np.concatenate(sequences)).to(device),
            torch.tensor(np.cumsum([0, *lengths[:-1]]), device=device),
            torch.tensor(lengths, device=device),
        )

    def take(self, starts: Tensor, lengths: Tensor) -> Tensor:
        """Stretches of `lengths` (B,) rows from `starts` on, zero beyond them: (B, longest, D)."""
        steps = torch.arange(int(lengths.max()), device=starts.device)
        rows = self.rows[(starts[:, None] + steps).clamp(max=len(self.rows) - 1)]
        return rows.float() * (steps < lengths[:, None]).unsqueeze(-1)


@dataclass(frozen=True)
class Pairs:
    """Motions with the captions of each."""

    motions: Ragged  # normed features
    captions: Tensor  # (M, most captions), see Captions.of
    weights: Tensor  # (M,)


class Captions:
    """The different captions of all motions, as words of the text tower."""

    def __init__(self, motions: list[Motion], encoder: TextEncoder, device: torch.device) -> None:
        texts = distinct_captions(motions)
        self.rows = {text: row for row, text in enumerate(texts)}
        words = [pieces.astype(np.float16) for pieces in encoder.words(texts)]
        self.words = Ragged.of(words, device)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """-> words (B, L, W), zero beyond their numbers, and these (B,)."""
        lengths = self.words.lengths[rows]
        return self.words.take(self.words.starts[rows], lengths), lengths

    def of(self, motions: list[Motion]) -> Tensor:
        """Rows of the captions of each, (M, most captions), filled up by repetition."""
        most = max(len(motion.captions) for motion in motions)
        rows = [[self.rows[m.captions[i % len(m.captions)]] for i in range(most)] for m in motions]
        return torch.tensor(rows, device=self.words.rows.device)


def _pairs(motions: list[Motion], captions: Captions, mean: Tensor, std: Tensor) -> Pairs:
    clips = [(m.features - mean.cpu().numpy()) / std.cpu().numpy() for m in motions]
    weights = torch.tensor([m.weight for m in motions], device=mean.device, dtype=torch.float32)
    return Pairs(Ragged.of(clips, mean.device), captions.of(motions), weights)


def evaluator_stage(
    recipe: Recipe,
    motions: list[Motion],
    validation: list[Motion],
    statistics: tuple[Tensor, Tensor],
    reader: tuple[TextEncoder, str],
) -> Stage:
    """statistics: mean (D,) and std (D,) on the device that is to train. reader: the text tower
    and the SHA-256 of its file. Raises RecipeError where the tower's words have another size."""
    mean, std = (values.float() for values in statistics)
    training, (encoder, tower_sha256) = recipe.evaluator_training, reader
    if recipe.evaluator.word_size != encoder.width:
        raise RecipeError(
            f"evaluator.word_size is {recipe.evaluator.word_size}; "
            f"the text tower gives {encoder.width} numbers for a word."
        )
    torch.manual_seed(training.seed)
    network = Evaluator(recipe.evaluator).to(mean.device)
    captions = Captions(motions + validation, encoder, mean.device)
    pairs = _pairs(motions, captions, mean, std)
    held_out = _pairs(validation, captions, mean, std)

    def loss(generator: torch.Generator, _step: int) -> Losses:
        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=generator.device)

        count = training.batch_size
        chosen = torch.multinomial(pairs.weights, count, True, generator=generator)
        share = torch.where(uniform(count) < training.crop_chance, 0.6 + 0.4 * uniform(count), 1.0)
        starts, lengths = _cut(pairs.motions, chosen, share, uniform(count))
        motion = network.embed_motions(pairs.motions.take(starts, lengths), lengths)
        own = pairs.captions[chosen]  # (B, most)
        rows = own.gather(1, (uniform(count, 1) * own.shape[1]).long()).squeeze(1)
        words, num_words = captions.take(rows)
        words = words * (uniform(*words.shape[:2], 1) >= training.word_drop)
        text = _read(network, words, num_words)
        fits = (own[None] == rows[:, None, None]).any(dim=-1)  # (B, B)
        return {"total": contrast(text.float(), motion.float(), fits)}

    @torch.no_grad()
    def validate(averaged: nn.Module) -> float:
        assert isinstance(averaged, Evaluator)
        lengths = _whole(held_out.motions.lengths)
        clips = held_out.motions.take(held_out.motions.starts, lengths)
        motion = averaged.embed_motions(clips, lengths)
        asked, which = held_out.captions.unique(return_inverse=True)
        text = _read(averaged, *captions.take(asked))[which]
        return mistaken_share(text.cpu().numpy(), motion.cpu().numpy())

    def save(averaged: nn.Module, file: Path) -> None:
        own_statistics = {"mean": statistics[0], "std": statistics[1]}
        about = describe(recipe.evaluator, Reads(TOWER, tower_sha256))
        save_atomically(averaged.state_dict() | own_statistics, file, about)

    return Stage("evaluator", network, loss, validate, save=save)


def _whole(lengths: Tensor) -> Tensor:
    """Without the frames that fill no movement."""
    return lengths // FRAMES_PER_MOVEMENT * FRAMES_PER_MOVEMENT


def _cut(motions: Ragged, chosen: Tensor, share: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Where the `share` (B,) of each chosen motion begins, and its frames: at least two seconds,
    in whole movements, somewhere (`place` in [0, 1)) in the motion."""
    full = motions.lengths[chosen]
    part = (full * share).long().clamp(min=MIN_FRAMES)
    lengths = _whole(torch.minimum(full, part))
    return motions.starts[chosen] + ((full - lengths + 1) * place).long(), lengths


def _read(network: Evaluator, words: Tensor, lengths: Tensor) -> Tensor:
    """words (B, L, W) of our own tower, which have no roles -> (B, size)."""
    roles = words.new_zeros(*words.shape[:2], network.config.role_size)
    return network.embed_texts(words, roles, lengths)


def contrast(text: Tensor, motion: Tensor, fits: Tensor) -> Tensor:
    """Symmetric InfoNCE of pairs (B, E), (B, E). `fits` (B, B): text i describes motion j, so that
    but for i = j the two are neither pulled together nor pushed apart."""
    nearness = -torch.cdist(text, motion).square()
    own = torch.eye(len(text), dtype=torch.bool, device=text.device)
    nearness = nearness.masked_fill(fits & ~own, -math.inf)
    goal = torch.arange(len(text), device=text.device)
    to_motion = functional.cross_entropy(nearness, goal)
    return 0.5 * (to_motion + functional.cross_entropy(nearness.T, goal))


def mistaken_share(text: Array, motion: Array) -> float:
    """1 less the mean of R-precision top 1 to 3: text (n, C, E) of C captions, motion (n, E)."""
    scores = []
    for number in range(VALIDATION_ROUNDS):
        rng = np.random.default_rng(number)
        order = rng.permutation(len(motion))
        caption = rng.integers(text.shape[1], size=len(motion))
        asked = text[order, caption]
        scores.append(r_precision(asked, motion[order], min(BATCH, len(motion))).mean())
    return 1.0 - float(np.mean(scores))
