"""Tokens for the gaps of a motion: kept ones stay, the others are sampled between them.

Paper, sections 3.4 and 4.3. What is longer than the transformers see is filled window by window.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model_runtime.networks import Networks
from model_runtime.parts import Led, part_shares, seen_from, stretches
from model_runtime.pipeline import Report, sample_tokens
from model_runtime.sampling import MASK, Sampling, SeededNoise
from momask_blender.contract.seams import find_gaps
from momask_blender.contract.skeleton import FRAMES_PER_TOKEN, MAX_FRAMES, tokens_for

Array = NDArray[np.floating]
Kept = NDArray[np.bool_]
Tokens = NDArray[np.int64]

LONGEST = MAX_FRAMES // FRAMES_PER_TOKEN  # tokens that the transformers see at once
CONTEXT = 6  # tokens, 1.2 s: before a window's gap, and at its end, to be made again by the next


@dataclass(frozen=True)
class Window:
    """Tokens `start` to `stop - 1` are sampled together; those before `settled` are final."""

    start: int
    stop: int
    settled: int

    @property
    def tokens(self) -> slice:
        return slice(self.start, self.stop)


def unknown_tokens(is_kept: Kept) -> NDArray[np.bool_]:
    """Which tokens are sampled: those without a kept frame. is_kept (T,) -> (N,).

    Tokens that a gap covers in part stay as encoded with an interpolated gap: on training clips
    fills were 3 to 6 % nearer to what was recorded than with these tokens sampled, too. Of a gap
    that covers no token alone, the one that it covers most is sampled.
    """
    num_tokens = tokens_for(len(is_kept))
    padding = num_tokens * FRAMES_PER_TOKEN - len(is_kept)
    padded = np.concatenate([is_kept, np.repeat(is_kept[-1:], padding)])
    num_kept = padded.reshape(num_tokens, FRAMES_PER_TOKEN).sum(axis=1)
    unknown = num_kept == 0
    for gap in find_gaps(is_kept):
        covered = np.arange(gap.start // FRAMES_PER_TOKEN, tokens_for(gap.stop))
        if not unknown[covered].any():
            unknown[covered[num_kept[covered].argmin()]] = True
    return unknown


def windows(unknown: NDArray[np.bool_]) -> Iterator[Window]:
    """Windows that settle every unknown token (N,), from left to right."""
    num_tokens, settled = len(unknown), 0
    while unknown[settled:].any():
        first = settled + int(unknown[settled:].argmax())
        known = np.flatnonzero(~unknown[first:])
        length = int(known[0]) if len(known) else num_tokens - first
        start = first - max(CONTEXT, (LONGEST - length) // 2)
        start = max(0, min(start, num_tokens - LONGEST))
        stop = min(num_tokens, start + LONGEST)
        settled = stop if stop == num_tokens else stop - CONTEXT
        yield Window(start, stop, settled)


def count_steps(networks: Networks, sampling: Sampling, is_known: Kept) -> int:
    """How many steps `fill_tokens` reports."""
    unknown = unknown_tokens(is_known)
    found = [sampling_within(sampling, unknown[window.tokens]) for window in windows(unknown)]
    return sum(each.steps + networks.card.num_sampled - 1 for each in found)


def sampling_within(sampling: Sampling, unknown: NDArray[np.bool_]) -> Sampling:
    """For a window with these unknown tokens (N,): no more steps than tokens, as the others would
    draw the last token again. Fills come as near to what was recorded: docs/performance.md."""
    return replace(sampling, steps=max(1, min(sampling.steps, int(unknown.sum()))))


def fill_tokens(
    networks: Networks,
    text: Array,
    tokens: Tokens,
    noises: Sequence[SeededNoise],
    sampling: Sampling,
    report: Report,
) -> Tokens:
    """text (B, E), tokens (N, Q) with MASK -> (B, N, Q): one clip for each noise.

    The actions of a text (B, P, E), alike for all clips, share the time from the beginning of the
    first gap to the end of the last.
    """
    filled = np.repeat(tokens[None], len(noises), axis=0)
    unknown = tokens[:, 0] == MASK
    parts = []
    if text.ndim == 3:
        asked = np.flatnonzero(unknown)
        span = slice(int(asked[0]), int(asked[-1]) + 1)
        parts = stretches(len(unknown), part_shares(networks, text[0]), span)
    for window in windows(unknown):
        seen, within = filled[:, window.tokens], sampling_within(sampling, unknown[window.tokens])
        led = Led(text, [seen_from(window.tokens, parts)] * len(noises)) if parts else text
        sampled = sample_tokens(networks, led, seen, noises, within, report)
        final = slice(window.start, window.settled)
        filled[:, final] = sampled[:, : window.settled - window.start]
    return filled


def asks_for_more(networks: Networks, text: Array, tokens: Tokens) -> bool:
    """Whether words ask for another motion than the kept one: its tokens are then less likely with
    them than without. text (E,), zeros for no words, which ask for nothing, or (P, E) of actions,
    of which one is enough; tokens (N, Q) with MASK in the gaps. Every token is judged without the
    others, as none is there when a clip is begun.
    """
    if text.ndim == 2:
        return any(asks_for_more(networks, part, tokens) for part in text)
    if not text.any():
        return False
    likelier = 0.0
    for start in range(0, len(tokens), LONGEST):
        base = tokens[start : start + LONGEST, 0]
        kept = np.flatnonzero(base != MASK)
        blank, valid = np.full((1, len(base)), MASK), np.ones((1, len(base)), dtype=bool)
        told, untold = (
            networks.predict_base(blank, text[None], valid, scale)[0, kept] for scale in (1.0, 0.0)
        )
        likelier += _log_likelihood(told, base[kept]) - _log_likelihood(untold, base[kept])
    return likelier < 0.0


def _log_likelihood(logits: Array, tokens: Tokens) -> float:
    """Of tokens (N,), by logits (N, K)."""
    chosen = np.take_along_axis(logits, tokens[:, None], axis=-1)[:, 0]
    return float((chosen - np.logaddexp.reduce(logits, axis=-1)).sum())
