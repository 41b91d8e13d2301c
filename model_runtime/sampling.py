"""The samplers: masked generation and residual layers (paper, sections 3.2 to 3.4).

NumPy only. A sampler is given functions from tokens to logits and knows no network. Noise comes
in from outside, one source per clip, drawn in shapes of that clip's own length: the same seed
gives the same tokens alone or in any batch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Tokens = NDArray[np.int64]

MASK = -2  # a token to be predicted
ABSENT = -1  # a residual layer that is not there, and everything beyond a clip's end


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Settings of one generation. Raises ValueError that states the limit."""

    steps: int = 10  # paper, figure 7; the released command line uses 18
    guidance_scale: float = 4.0
    residual_guidance_scale: float = 5.0
    temperature: float = 1.0
    kept_share: float = 0.1  # of the vocabulary: top-k, 52 of 512 codes
    method: Literal["categorical", "gumbel", "argmax"] = "categorical"  # for the base layer

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 100:
            raise ValueError(f"steps must be 1 to 100, got {self.steps}")
        if not 0.0 < self.kept_share <= 1.0:
            raise ValueError(f"kept_share must be above 0 and at most 1, got {self.kept_share}")
        if not (math.isfinite(self.temperature) and self.temperature > 0.0):
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        for name in ("guidance_scale", "residual_guidance_scale"):
            scale = getattr(self, name)
            if not (math.isfinite(scale) and 0.0 <= scale <= 20.0):
                raise ValueError(f"{name} must be 0 to 20, got {scale}")
        if self.method not in ("categorical", "gumbel", "argmax"):
            raise ValueError(f"method must be categorical, gumbel or argmax, got {self.method}")


DRAFT_STEPS = 8  # with these no measure of the starter's motions became worse: docs/performance.md


def for_drafts(usual: Sampling) -> Sampling:
    """In fewer passes: the detail is not guided, which halves its rows."""
    steps = min(usual.steps, DRAFT_STEPS)
    scale = min(usual.residual_guidance_scale, 1.0)
    return replace(usual, steps=steps, residual_guidance_scale=scale)


class Noise(Protocol):
    """Random numbers for one clip. Both methods return float32 arrays of `shape`."""

    def uniform(self, shape: tuple[int, ...]) -> Array:
        """In [0, 1)."""
        ...

    def exponential(self, shape: tuple[int, ...]) -> Array:
        """With mean 1."""
        ...


class SeededNoise:
    """Noise from one seed: the same on every device and backend."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def uniform(self, shape: tuple[int, ...]) -> Array:
        return self._generator.random(shape, dtype=np.float32)

    def exponential(self, shape: tuple[int, ...]) -> Array:
        return self._generator.standard_exponential(shape, dtype=np.float32)


def cosine_mask_ratios(steps: int) -> Array:
    """Share of tokens masked at each step, 1 first (section 3.2). -> (steps,) float32.

    In float32 and rounded as in the release: at 10 steps the seventh ratio is just below a half, in
    float64 it is just above, and of 49 tokens one more would be masked. The products are formed in
    float64 and rounded once, which is what a fused multiply-add gives; so is the cosine, because
    float32 cosines differ between processors.
    """
    if steps == 1:
        return np.ones(1, dtype=np.float32)
    index = np.arange(steps)
    step = float(np.float32(1.0) / np.float32(steps - 1))
    from_end = 1.0 - step * (steps - 1 - index)
    progress = np.where(index < steps // 2, index * step, from_end).astype(np.float32)
    angle = progress * np.float32(math.pi) * np.float32(0.5)
    return np.cos(angle.astype(np.float64)).astype(np.float32)


def guide(conditional: Array, unconditional: Array, scale: float) -> Array:
    """Classifier-free guidance as released; the paper's s is `scale - 1` (section 3.4)."""
    return unconditional + (conditional - unconditional) * np.float32(scale)


def fill_masked(
    predict: Callable[[Tokens], Array],
    tokens: Tokens,
    valid: NDArray[np.bool_],
    sampling: Sampling,
    noises: Sequence[Noise],
) -> Tokens:
    """Predict every MASK token in a few steps, the surest first; the other tokens stay.

    predict: tokens (B, N) with MASK -> logits (B, N, K). tokens (B, N), valid (B, N) False beyond a
    clip's end -> (B, N), ABSENT where not valid. Generating is filling an empty clip.

    Every clip goes through all steps, also one without MASK: how much noise a clip takes must not
    depend on the clips beside it.
    """
    unknown = (tokens == MASK) & valid
    num_unknown = unknown.sum(axis=1, keepdims=True)
    tokens = np.where(valid, tokens, ABSENT)
    confidence = np.where(unknown, np.float32(0.0), np.float32(np.inf))  # inf: never masked again
    for ratio in cosine_mask_ratios(sampling.steps):
        count = np.maximum(np.rint(ratio * num_unknown.astype(np.float32)), 1)
        masked = unknown & (_ranks(confidence) < count)
        logits = predict(np.where(masked, MASK, tokens))
        guess = _draw_clips(logits, valid, sampling.method, sampling, noises)
        chosen = np.take_along_axis(_softmax(logits), guess[..., None], axis=-1)[..., 0]
        tokens = np.where(masked, guess, tokens)
        confidence = np.where(masked, chosen, np.float32(np.inf))
    return tokens


def add_residual_layers(
    predict_layer: Callable[[Tokens, int], Array],
    tokens: Tokens,
    valid: NDArray[np.bool_],
    sampling: Sampling,
    noises: Sequence[Noise],
) -> Tokens:
    """Sample layer after layer, all positions of a layer at once (section 3.3).

    predict_layer: tokens (B, N, Q), q -> logits (B, N, K + 1); its last class means that the layer
    is ABSENT. tokens (B, N, Q) with a filled base layer and MASK for what is to be sampled, others
    stay; valid (B, N) -> (B, N, Q), ABSENT where not valid.
    """
    unknown = tokens == MASK
    tokens = np.where(valid[..., None], tokens, ABSENT)
    method = "argmax" if sampling.method == "argmax" else "gumbel"
    for q in range(1, tokens.shape[-1]):
        logits = predict_layer(tokens, q)
        guess = _draw_clips(logits, valid, method, sampling, noises)
        present = valid & (guess < logits.shape[-1] - 1)
        sampled = np.where(present, guess, ABSENT)
        tokens[..., q] = np.where(unknown[..., q], sampled, tokens[..., q])
    return tokens


def with_unknown_layers(base: Tokens, num_quantizers: int) -> Tokens:
    """Base layer (B, N) -> (B, N, Q): what `add_residual_layers` makes whole clips from."""
    tokens = np.full((*base.shape, num_quantizers), MASK, dtype=np.int64)
    tokens[..., 0] = base
    return tokens


def sample_length(logits: Array, noises: Sequence[Noise]) -> Tokens:
    """Number of tokens for each text, drawn from the length estimator. (B, L) -> (B,)."""
    weights = _softmax(logits)
    draws = [_categorical(row, noise) for row, noise in zip(weights, noises, strict=True)]
    return np.array(draws, dtype=np.int64)


def _draw_clips(
    logits: Array,
    valid: NDArray[np.bool_],
    method: str,
    sampling: Sampling,
    noises: Sequence[Noise],
) -> Tokens:
    """One token per position, each clip from its own noise. logits (B, N, K) -> (B, N)."""
    drawn = np.zeros(logits.shape[:2], dtype=np.int64)
    for clip, noise in enumerate(noises):
        length = int(valid[clip].sum())
        scores = _keep_best(logits[clip, :length], sampling.kept_share)
        drawn[clip, :length] = _draw(scores / np.float32(sampling.temperature), method, noise)
    return drawn


def _draw(scores: Array, method: str, noise: Noise) -> Tokens:
    """scores (N, K), -inf where not allowed -> (N,)."""
    if method == "argmax":
        return scores.argmax(axis=-1)
    if method == "gumbel":
        return (scores + _gumbel(noise.uniform(scores.shape))).argmax(axis=-1)
    return _categorical(_softmax(scores), noise)


def _categorical(weights: Array, noise: Noise) -> Tokens:
    """Draw by weights (..., K): the smallest of exponential arrival times -> (...)."""
    return (weights / np.maximum(noise.exponential(weights.shape), 1e-20)).argmax(axis=-1)


def _gumbel(uniform: Array) -> Array:
    """Gumbel noise; the logarithms' arguments are kept off zero at 1e-20, as released."""
    tiny = np.float32(1e-20)
    return -np.log(np.maximum(-np.log(np.maximum(uniform, tiny)), tiny))


def _keep_best(logits: Array, share: float) -> Array:
    """All but the best share of the vocabulary becomes -inf. (N, K) -> (N, K)."""
    vocabulary = logits.shape[-1]
    count = math.ceil(round(share * vocabulary, 6))  # 0.1 is no binary fraction
    best = np.argpartition(-logits, count - 1, axis=-1)[..., :count]
    kept = np.full_like(logits, -np.inf)
    np.put_along_axis(kept, best, np.take_along_axis(logits, best, axis=-1), axis=-1)
    return kept


def _softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _ranks(confidence: Array) -> Tokens:
    """Place of each position in its clip, least sure first. (B, N) -> (B, N)."""
    order = confidence.argsort(axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None], axis=1)
    return ranks
