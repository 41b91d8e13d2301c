"""The published metrics of text-to-motion, from embeddings of a learned evaluator (NumPy only).

Definitions: Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", and MoMask's
release. Embeddings are (n, E); rows of `text` and `motion` belong together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Pairs = tuple[NDArray[np.integer], NDArray[np.integer]]  # rows of the first and of the second

BATCH = 32  # R-precision: the right one among 31 others of its batch
TOP = 3
DIVERSITY_PAIRS = (300, 100)  # the second where there are no more than 300 motions
MULTIMODALITY_PAIRS = 10  # of the 30 motions per text
CONFIDENCE = 1.96  # standard errors: 95 %


@dataclass(frozen=True)
class Interval:
    """A mean with the half width of its 95 % confidence interval; 0 for a single value."""

    mean: float
    half_width: float = 0.0


def interval(values: Sequence[float] | Array) -> Interval:
    """Mean over repeats +- 1.96 std / sqrt(n), std over n as in the release."""
    array = np.asarray(values, dtype=float)
    return Interval(float(array.mean()), float(CONFIDENCE * array.std() / np.sqrt(array.size)))


def fid(first: Array, second: Array) -> float:
    """Fréchet distance of the Gaussians through two sets, (n, E) and (m, E), n and m at least 2.

    |m1 - m2|^2 + tr(C1 + C2 - 2 sqrt(C1 C2)).
    """
    if min(len(first), len(second)) < 2:
        raise ValueError("FID needs at least 2 motions on each side.")
    mean_step = first.mean(axis=0, dtype=float) - second.mean(axis=0, dtype=float)
    ours, theirs = np.atleast_2d(np.cov(first, rowvar=False), np.cov(second, rowvar=False))
    spread = np.trace(ours) + np.trace(theirs) - 2.0 * _trace_of_root(ours, theirs)
    return max(0.0, float(mean_step @ mean_step + spread))  # rounding goes below


def _trace_of_root(first: Array, second: Array) -> float:
    """tr(sqrt(A B)) of two covariances (E, E).

    A B has the eigenvalues of sqrt(A) B sqrt(A), which is symmetric, so that they are real and, up
    to rounding, not negative.
    """
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return float(np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0.0)).sum())


def distances(first: Array, second: Array) -> Array:
    """Euclidean distance of every row (n, E) to every row (m, E) -> (n, m)."""
    return np.linalg.norm(first[:, None].astype(float) - second[None], axis=-1)


def r_precision(text: Array, motion: Array, batch: int = BATCH) -> Array:
    """Share of texts whose motion is among the nearest 1, 2, 3 of its batch -> (3,).

    Rows beyond the last full batch are left out, as the release's loader does.
    """
    num_batches = len(text) // batch
    if num_batches == 0:
        raise ValueError(f"R-precision needs at least {batch} motions, got {len(text)}.")
    hits = np.zeros(TOP)
    for start in range(0, num_batches * batch, batch):
        rows = slice(start, start + batch)
        apart = distances(text[rows], motion[rows])
        nearer = (apart < np.diagonal(apart)[:, None]).sum(axis=1)  # than the right one
        hits += [(nearer < place).sum() for place in range(1, TOP + 1)]
    return hits / (num_batches * batch)


def multimodal_distance(text: Array, motion: Array) -> float:
    """Mean Euclidean distance of each text to its own motion."""
    return float(np.linalg.norm(text.astype(float) - motion, axis=-1).mean())


def draw_pairs(rng: np.random.Generator, num_rows: int, num_pairs: int) -> Pairs:
    """Two draws of rows without repetition, as in the release; a pair may be one row twice."""
    if num_pairs > num_rows:
        raise ValueError(f"Cannot draw {num_pairs} pairs from {num_rows} motions.")
    first, second = (rng.choice(num_rows, num_pairs, replace=False) for _ in range(2))
    return first, second


def num_diversity_pairs(num_rows: int) -> int:
    """300, or 100 of at most 300 motions as in the release; all of fewer than 100."""
    most, fewer = DIVERSITY_PAIRS
    return most if num_rows > most else min(fewer, num_rows)


def diversity(motion: Array, pairs: Pairs) -> float:
    """Mean distance over pairs of rows of (n, E)."""
    return multimodal_distance(motion[pairs[0]], motion[pairs[1]])


def multimodality(motion: Array, pairs: Pairs) -> float:
    """Mean distance over pairs of motions of one text: (texts, motions, E)."""
    apart = motion[:, pairs[0]].astype(float) - motion[:, pairs[1]]
    return float(np.linalg.norm(apart, axis=-1).mean())


def mpjpe(predicted: Array, truth: Array) -> Array:
    """Mean joint distance after both roots were put at the origin. (..., J, 3) -> (...)."""
    apart = (predicted - predicted[..., :1, :]) - (truth - truth[..., :1, :])
    return np.linalg.norm(apart, axis=-1).mean(axis=-1)
