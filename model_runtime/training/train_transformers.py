"""Train the masked transformer, the residual transformer and the length estimator.

Paper, sections 3.2 and 3.3; the masking details are those of MoMask's training code.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model_runtime.features import COLUMNS
from model_runtime.nets.rvq import Rvq
from model_runtime.nets.transformer import LengthEstimator, MaskedTransformer, ResidualTransformer
from model_runtime.training.data import Motion
from model_runtime.training.layouts import Clip
from model_runtime.training.loop import Losses, Stage
from model_runtime.training.recipe import LengthTraining, Recipe, TransformerTraining
from momask_blender.contract.skeleton import FPS, FRAMES_PER_TOKEN, MAX_FRAMES, NUM_JOINTS

MAX_TOKENS = MAX_FRAMES // FRAMES_PER_TOKEN
MIN_TOKENS = 10  # two seconds
AROUND = 3  # tokens before and after the liveliest moment that a part of a clip has, too
SHORTEST_PART = 0.6  # of a clip of several actions; of one action it is the recipe's
IGNORED = -100  # cross_entropy's own ignore_index
SENTENCE = 384  # columns of the text vector that noise may touch; cue words and kinds follow


@dataclass
class Corpus:
    """Tokenised motions with the text vectors of their captions, all on one device."""

    tokens: Tensor  # (M, MAX_TOKENS, Q) int64, zero beyond the length
    lengths: Tensor  # (M,) in tokens
    liveliest: Tensor  # (M,) where a clip moves most, in tokens
    is_one_action: Tensor  # (M,)
    texts: Tensor  # (V, E), one row for each different caption
    captions: Tensor  # (M, most captions) rows of `texts`, filled up by repetition
    weights: Tensor  # (M,)


def distinct_captions(motions: Sequence[Motion | Clip]) -> list[str]:
    return sorted({caption for motion in motions for caption in motion.captions})


@torch.no_grad()
def tokenize(
    motions: list[Motion], network: Rvq, statistics: tuple[Tensor, Tensor], texts: dict[str, Tensor]
) -> Corpus:
    """Each motion at the four ways its frames can fall into tokens of four.

    `texts` holds a text vector (E,) per caption.
    """
    mean, std = (values.float() for values in statistics)
    device = mean.device
    names = sorted(texts)
    rows = {name: row for row, name in enumerate(names)}
    most = max(len(motion.captions) for motion in motions)
    tokens, lengths, liveliest, is_one_action, captions, weights = [], [], [], [], [], []
    for motion in motions:
        normed = (torch.from_numpy(motion.features).to(device) - mean) / std
        moment = liveliest_frame(motion.features)
        chosen = [rows[motion.captions[i % len(motion.captions)]] for i in range(most)]
        for offset in range(FRAMES_PER_TOKEN):
            usable = (len(normed) - offset) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN
            coded = network.encode(normed[None, offset : offset + usable])[0]
            tokens.append(functional.pad(coded, (0, 0, 0, MAX_TOKENS - len(coded))))
            lengths.append(len(coded))
            liveliest.append((moment - offset) // FRAMES_PER_TOKEN)
            is_one_action.append(motion.is_one_action)
            captions.append(chosen)
            weights.append(motion.weight)
    return Corpus(
        torch.stack(tokens),
        torch.tensor(lengths, device=device),
        torch.tensor(liveliest, device=device),
        torch.tensor(is_one_action, device=device),
        torch.stack([texts[name] for name in names]).to(device),
        torch.tensor(captions, device=device),
        torch.tensor(weights, device=device, dtype=torch.float32),
    )


def liveliest_frame(features: np.ndarray) -> int:
    """In the middle of the second in which joints move most beside the pelvis: a kick, not the
    steps to the ball. features (T, 263)."""
    speeds = features[:, COLUMNS["velocities"]].reshape(len(features), NUM_JOINTS, 3)
    moving = np.linalg.norm(speeds - speeds[:, :1], axis=-1).mean(axis=-1)
    return int(np.convolve(moving, np.ones(FPS), mode="same").argmax())


@dataclass
class Batch:
    tokens: Tensor  # (B, N, Q)
    valid: Tensor  # (B, N)
    text: Tensor  # (B, E)
    lengths: Tensor  # (B,)


def draw_batch(
    corpus: Corpus, training: TransformerTraining | LengthTraining, generator: torch.Generator
) -> Batch:
    """A weighted random batch: random caption, noisy vector, sometimes a part of the clip."""
    count = training.batch_size

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator, device=generator.device)

    chosen = torch.multinomial(corpus.weights, count, True, generator=generator)
    length = full = corpus.lengths[chosen]
    if isinstance(training, TransformerTraining):
        shortest = torch.where(corpus.is_one_action[chosen], training.shortest_part, SHORTEST_PART)
        part = (full * (shortest + (1.0 - shortest) * uniform())).long().clamp(min=MIN_TOKENS)
        length = torch.where(uniform() < training.crop_chance, part.minimum(full), full)
    moment, room = corpus.liveliest[chosen], full - length
    earliest = (moment + AROUND - length).clamp(min=0).minimum(room)
    latest = (moment - AROUND).minimum(room).maximum(earliest)
    first = earliest + ((latest - earliest + 1) * uniform()).long()
    position = torch.arange(MAX_TOKENS, device=chosen.device)
    source = (first[:, None] + position).clamp(max=MAX_TOKENS - 1)
    tokens = corpus.tokens[chosen].gather(
        1, source[..., None].expand(-1, -1, corpus.tokens.shape[-1])
    )
    caption = (uniform() * corpus.captions.shape[1]).long()
    text = corpus.texts[corpus.captions[chosen, caption]]
    blur = torch.randn(text.shape, generator=generator, device=text.device) * training.text_noise
    blur[:, SENTENCE:] = 0.0
    return Batch(tokens, position < length[:, None], text + blur, length)


def _drop_condition(
    text: Tensor, training: TransformerTraining, generator: torch.Generator
) -> Tensor:
    """Texts (B, E), some left out, of some others the sentence alone."""

    def kept(chance: float) -> Tensor:
        return torch.rand(len(text), 1, generator=generator, device=text.device) >= chance

    heard = text * kept(training.condition_drop)
    heard[:, :SENTENCE] *= kept(training.sentence_drop)
    return heard


def _masked_positions(valid: Tensor, ratio: Tensor, generator: torch.Generator) -> Tensor:
    """Random valid positions, round(ratio * length) of them and at least one. (B, N) bool."""
    scores = torch.rand(valid.shape, generator=generator, device=valid.device)
    ranks = scores.masked_fill(~valid, 2.0).argsort(dim=1).argsort(dim=1)
    count = (ratio * valid.sum(dim=1)).round().clamp(min=1)
    return (ranks < count[:, None]) & valid


def _show(
    network: MaskedTransformer,
    tokens: Tensor,
    masked: Tensor,
    random_share: float,
    generator: torch.Generator,
) -> Tensor:
    """What the network sees in place of masked tokens: a share random, 88 % of the rest MASK
    (MoMask's replace-and-remask, paper section 3.2), the others unchanged."""
    chance = torch.rand(tokens.shape, generator=generator, device=tokens.device)
    codes = torch.randint(
        network.config.num_codes, tokens.shape, generator=generator, device=tokens.device
    )
    shown = torch.where(masked & (chance < random_share), codes, tokens)
    hidden = masked & (chance >= random_share) & (chance < random_share + 0.88 * (1 - random_share))
    return shown.masked_fill(hidden, network.mask)


def base_stage(recipe: Recipe, corpus: Corpus, validation: Corpus) -> Stage:
    training = recipe.base_training
    torch.manual_seed(training.seed)
    network = MaskedTransformer(recipe.base).to(corpus.tokens.device)

    def loss(generator: torch.Generator, _step: int) -> Losses:
        batch = draw_batch(corpus, training, generator)
        draw = torch.rand(training.batch_size, generator=generator, device=batch.text.device)
        masked = _masked_positions(batch.valid, torch.cos(draw * math.pi / 2), generator)
        base = batch.tokens[..., 0]
        shown = _show(network, base, masked, training.random_token, generator)
        shown = shown.masked_fill(~batch.valid, network.pad)
        text = _drop_condition(batch.text, training, generator)
        logits = network(shown, text, batch.valid)
        return {"total": _cross_entropy(logits, base, masked, training.label_smoothing)}

    @torch.no_grad()
    def validate(averaged: nn.Module) -> float:
        """Cross-entropy over fixed masks at four ratios."""
        total = 0.0
        base = validation.tokens[..., 0]
        valid = torch.arange(MAX_TOKENS, device=base.device) < validation.lengths[:, None]
        text = validation.texts[validation.captions[:, 0]]
        for index, ratio in enumerate((0.25, 0.5, 0.75, 1.0)):
            generator = torch.Generator(base.device).manual_seed(index)
            ratios = torch.full((len(base),), ratio, device=base.device)
            masked = _masked_positions(valid, ratios, generator)
            shown = base.masked_fill(masked, network.mask).masked_fill(~valid, network.pad)
            total += _cross_entropy(averaged(shown, text, valid), base, masked, 0.0).item()
        return total / 4

    return Stage("base", network, loss, validate)


def residual_stage(recipe: Recipe, corpus: Corpus, validation: Corpus) -> Stage:
    training = recipe.residual_training
    torch.manual_seed(training.seed)
    network = ResidualTransformer(recipe.residual).to(corpus.tokens.device)
    num_layers = recipe.residual.num_quantizers

    def loss(generator: torch.Generator, _step: int) -> Losses:
        batch = draw_batch(corpus, training, generator)
        draw = torch.rand(training.batch_size, generator=generator, device=batch.text.device)
        # Lower layers carry more of the motion and are drawn more often (MoMask's schedule).
        q = ((1 - torch.cos(draw * math.pi / 2)) * (num_layers - 2)).round().long() + 1
        text = _drop_condition(batch.text, training, generator)
        return {"total": _layer_loss(network, batch, q, text, training.label_smoothing)}

    @torch.no_grad()
    def validate(averaged: nn.Module) -> float:
        assert isinstance(averaged, ResidualTransformer)
        total = 0.0
        valid = torch.arange(MAX_TOKENS, device=corpus.tokens.device) < validation.lengths[:, None]
        text = validation.texts[validation.captions[:, 0]]
        batch = Batch(validation.tokens, valid, text, validation.lengths)
        for layer in range(1, num_layers):
            q = torch.full((len(text),), layer, device=text.device)
            total += _layer_loss(averaged, batch, q, text, 0.0).item()
        return total / (num_layers - 1)

    return Stage("residual", network, loss, validate)


def _layer_loss(
    network: ResidualTransformer, batch: Batch, q: Tensor, text: Tensor, smoothing: float
) -> Tensor:
    tokens = batch.tokens.masked_fill(~batch.valid.unsqueeze(-1), network.pad)
    logits = network(tokens, q, text, batch.valid)
    goal = tokens.gather(2, q[:, None, None].expand(-1, tokens.shape[1], 1)).squeeze(-1)
    return _cross_entropy(logits, goal, batch.valid, smoothing)


def _cross_entropy(logits: Tensor, goal: Tensor, counted: Tensor, smoothing: float) -> Tensor:
    """Mean over `counted` positions. logits (B, N, K), goal and counted (B, N)."""
    return functional.cross_entropy(
        logits.transpose(1, 2),
        goal.masked_fill(~counted, IGNORED),
        ignore_index=IGNORED,
        label_smoothing=smoothing,
    )


def length_stage(recipe: Recipe, corpus: Corpus, validation: Corpus) -> Stage:
    training = recipe.length_training
    torch.manual_seed(training.seed)
    network = LengthEstimator(recipe.length).to(corpus.tokens.device)

    def loss(generator: torch.Generator, _step: int) -> Losses:
        batch = draw_batch(corpus, training, generator)
        return {"total": functional.cross_entropy(network(batch.text), batch.lengths)}

    @torch.no_grad()
    def validate(averaged: nn.Module) -> float:
        text = validation.texts[validation.captions[:, 0]]
        return functional.cross_entropy(averaged(text), validation.lengths).item()

    return Stage("length", network, loss, validate)


def text_vectors(embedded: np.ndarray, captions: list[str]) -> dict[str, Tensor]:
    """embedded (V, E) -> one vector per caption, as `tokenize` takes them."""
    return dict(zip(captions, torch.from_numpy(embedded), strict=True))
