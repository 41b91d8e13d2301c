"""Promises of the samplers, kept with tiny networks of random weights."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from model_runtime.sampling import (
    ABSENT,
    MASK,
    Sampling,
    SeededNoise,
    add_residual_layers,
    cosine_mask_ratios,
    fill_masked,
    for_drafts,
    guide,
    sample_length,
    with_unknown_layers,
)

PROMPTS = ["a person walks", "a person runs left .", "jumps", "a person sits right"]
LENGTHS = [7, 12, 5, 1]
SEEDS = [3, 1, 4, 15]


def sample(
    networks: Any, clips: list[int], starts: dict[int, np.ndarray], sampling: Sampling
) -> list[np.ndarray]:
    """Tokens (own length, Q) of some of the clips above, sampled together."""
    lengths = np.array([LENGTHS[clip] for clip in clips])
    valid = np.arange(lengths.max()) < lengths[:, None]
    text = networks.embed_text([PROMPTS[clip] for clip in clips]).vectors
    tokens = np.full(valid.shape, MASK)
    for row, clip in enumerate(clips):
        if clip in starts:
            tokens[row, : LENGTHS[clip]] = starts[clip]
    noises = [SeededNoise(SEEDS[clip]) for clip in clips]
    base = fill_masked(
        lambda now: networks.predict_base(now, text, valid, sampling.guidance_scale),
        tokens,
        valid,
        sampling,
        noises,
    )
    every = add_residual_layers(
        lambda now, layer: networks.predict_residual(now, layer, text, valid, 5.0),
        with_unknown_layers(base, networks.card.num_sampled),
        valid,
        sampling,
        noises,
    )
    return [every[row, : LENGTHS[clip]] for row, clip in enumerate(clips)]


@pytest.mark.parametrize("method", ["categorical", "gumbel", "argmax"])
def test_same_seed_gives_same_tokens_whatever_the_batch(tiny_networks: Any, method: str):
    sampling = Sampling(steps=6, method=method)  # type: ignore[arg-type]
    starts = {1: np.where(np.arange(12) % 3, MASK, 9), 2: np.arange(5)}  # 2 has nothing to fill
    together = sample(tiny_networks, [0, 1, 2, 3], starts, sampling)
    shuffled = sample(tiny_networks, [2, 3, 1], starts, sampling)
    for clip in range(4):
        alone = sample(tiny_networks, [clip], starts, sampling)[0]
        assert np.array_equal(together[clip], alone)
    for clip, tokens in zip([2, 3, 1], shuffled, strict=True):
        assert np.array_equal(together[clip], tokens)


def test_logits_are_bit_identical_whatever_the_batch(tiny_networks: Any):
    text = tiny_networks.embed_text(PROMPTS).vectors
    valid = np.arange(12) < np.array(LENGTHS)[:, None]
    tokens = np.random.default_rng(0).integers(0, 32, (4, 12, 3))
    base = tiny_networks.predict_base(tokens[..., 0], text, valid, 4.0)
    residual = tiny_networks.predict_residual(tokens, 2, text, valid, 5.0)
    for clip, length in enumerate(LENGTHS):
        row, cut = slice(clip, clip + 1), slice(0, length)
        assert np.array_equal(tiny_networks.embed_text([PROMPTS[clip]]).vectors, text[row])
        own = tiny_networks.predict_base(tokens[row, cut, 0], text[row], valid[row, cut], 4.0)
        assert np.array_equal(own[0], base[clip, cut])
        own = tiny_networks.predict_residual(tokens[row, cut], 2, text[row], valid[row, cut], 5.0)
        assert np.array_equal(own[0], residual[clip, cut])


def test_variations_share_the_pass_in_which_they_are_still_alike(tiny_networks: Any, monkeypatch):
    passes = []
    run = tiny_networks.run_base

    def run_base(tokens: np.ndarray, texts: np.ndarray) -> np.ndarray:
        passes.append(tokens)
        return run(tokens, texts)

    monkeypatch.setattr(tiny_networks, "run_base", run_base)
    text = np.repeat(tiny_networks.embed_text(PROMPTS[:1]).vectors, 3, axis=0)
    valid = np.arange(12) < np.array([12, 12, 9])[:, None]  # the third is no variation
    blank = np.full((3, 12), MASK)
    together = tiny_networks.predict_base(blank, text, valid, 4.0)
    assert len(passes) == 2
    for clip, length in enumerate([12, 12, 9]):
        row, cut = slice(clip, clip + 1), slice(0, length)
        alone = tiny_networks.predict_base(blank[row, cut], text[row], valid[row, cut], 4.0)
        assert np.array_equal(alone[0], together[clip, cut])


def test_a_prompt_is_read_once(tiny_networks: Any, monkeypatch):
    first = tiny_networks.embed_text(["a person sits"])
    monkeypatch.setattr(tiny_networks, "run_tower", None)
    again = tiny_networks.embed_text(["a person sits"])
    assert np.array_equal(first.vectors, again.vectors) and first.truncated == again.truncated


def test_another_seed_gives_another_motion(tiny_networks: Any):
    text = tiny_networks.embed_text(["a person walks"]).vectors
    valid = np.ones((1, 20), bool)
    results = {
        fill_masked(
            lambda now: tiny_networks.predict_base(now, text, valid, 4.0),
            np.full((1, 20), MASK),
            valid,
            Sampling(),
            [SeededNoise(seed)],
        ).tobytes()
        for seed in range(5)
    }
    assert len(results) == 5


def random_predict(seed: int = 0, vocabulary: int = 50) -> Any:
    """Logits that change with every call, and the masks that were asked for."""
    rng, seen = np.random.default_rng(seed), []

    def predict(tokens: np.ndarray) -> np.ndarray:
        seen.append(tokens == MASK)
        return rng.standard_normal((*tokens.shape, vocabulary)).astype(np.float32)

    return predict, seen


def test_kept_tokens_stay_and_nothing_stays_masked():
    rng = np.random.default_rng(1)
    valid = np.arange(30) < np.array([30, 17, 4])[:, None]
    start = np.where(rng.random((3, 30)) < 0.5, MASK, rng.integers(0, 50, (3, 30)))
    predict, _ = random_predict()
    filled = fill_masked(predict, start, valid, Sampling(), [SeededNoise(i) for i in range(3)])
    kept = valid & (start != MASK)
    assert np.array_equal(filled[kept], start[kept])
    assert ((filled[valid] >= 0) & (filled[valid] < 50)).all()
    assert (filled[~valid] == ABSENT).all()


def test_masks_begin_full_end_with_one_and_are_nested():
    valid = np.arange(49) < np.array([49, 20])[:, None]
    predict, seen = random_predict()
    noises = [SeededNoise(0), SeededNoise(1)]
    fill_masked(predict, np.full((2, 49), MASK), valid, Sampling(steps=18), noises)
    assert len(seen) == 18
    assert np.array_equal(seen[0], valid)
    assert (seen[-1].sum(axis=1) == 1).all()
    for before, after in pairwise(seen):
        assert not (after & ~before).any()


def test_only_the_best_codes_are_drawn():
    logits = np.random.default_rng(2).standard_normal((1, 200, 50)).astype(np.float32)
    best = np.argsort(-logits, axis=-1)[..., :5]  # a tenth of 50
    for method in ("categorical", "gumbel"):
        filled = fill_masked(
            lambda _tokens: logits,
            np.full((1, 200), MASK),
            np.ones((1, 200), bool),
            Sampling(steps=1, method=method, temperature=5.0),  # type: ignore[arg-type]
            [SeededNoise(0)],
        )
        assert (best == filled[..., None]).any(axis=-1).all()
        assert (filled != logits.argmax(axis=-1)).any()


def test_an_extra_class_leaves_the_layer_out():
    logits = np.zeros((1, 4, 9), np.float32)
    logits[0, 1, 8] = 50.0  # the ninth of eight codes
    logits[0, [0, 2, 3], 5] = 50.0
    tokens = add_residual_layers(
        lambda _tokens, _layer: logits,
        with_unknown_layers(np.array([[1, 2, 3, 0]]), 3),
        np.array([[True, True, True, False]]),
        Sampling(),
        [SeededNoise(0)],
    )
    assert tokens[0].tolist() == [[1, 5, 5], [2, ABSENT, ABSENT], [3, 5, 5], [ABSENT] * 3]


def test_lengths_come_from_their_own_seed():
    logits = np.random.default_rng(3).standard_normal((3, 50)).astype(np.float32)
    together = sample_length(logits, [SeededNoise(i) for i in range(3)])
    alone = [sample_length(logits[i : i + 1], [SeededNoise(i)])[0] for i in range(3)]
    assert together.tolist() == alone
    drawn = {int(sample_length(logits[:1], [SeededNoise(i)])[0]) for i in range(50)}
    assert len(drawn) > 5


def test_guidance_of_one_and_zero_is_no_guidance(tiny_networks: Any):
    with_text, without = np.float32([1.0, 2.0]), np.float32([0.5, 4.0])
    assert np.array_equal(guide(with_text, without, 1.0), with_text)
    assert np.array_equal(guide(with_text, without, 0.0), without)
    assert np.array_equal(guide(with_text, without, 4.0), without + 4 * (with_text - without))
    texts = tiny_networks.embed_text(["a person walks", "jumps"]).vectors
    tokens, valid = np.full((2, 6), MASK), np.ones((2, 6), bool)
    blank = tiny_networks.predict_base(tokens, texts, valid, 0.0)
    assert np.array_equal(blank[0], blank[1])


def test_mask_ratios_fall_from_one_to_nothing():
    for steps in range(1, 101):
        ratios = cosine_mask_ratios(steps)
        assert ratios.dtype == np.float32 and len(ratios) == steps and ratios[0] == 1.0
        assert (np.diff(ratios) < 0).all()
        assert steps == 1 or abs(ratios[-1]) < 1e-6


def test_a_draft_never_takes_more_passes_than_the_model_is_used_with():
    assert for_drafts(Sampling(steps=18)) == Sampling(steps=8, residual_guidance_scale=1.0)
    few = Sampling(steps=4, guidance_scale=0.0, residual_guidance_scale=0.0)
    assert for_drafts(few) == few


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 101},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"kept_share": 0.0},
        {"kept_share": 1.1},
        {"guidance_scale": float("nan")},
        {"residual_guidance_scale": -1.0},
        {"method": "beam"},
    ],
)
def test_settings_out_of_range_are_named(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)
