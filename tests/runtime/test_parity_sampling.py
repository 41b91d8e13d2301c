"""The samplers make the official decisions: schedule, traces, noise, from prompt to joints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_runtime.features import features_to_joints
from model_runtime.sampling import (
    ABSENT,
    MASK,
    Sampling,
    SeededNoise,
    add_residual_layers,
    cosine_mask_ratios,
    fill_masked,
    sample_length,
    with_unknown_layers,
)

Golden = dict[str, np.ndarray]
Read = Callable[[str], Golden]
Open = Callable[..., Any]

GUIDANCE = {"t2m": 4.0, "kit": 2.0}
KEPT = 1e5  # the official confidence of tokens that stay


class ReplayedNoise:
    """Hands out recorded noise, one entry per call, cut to the clip's length."""

    def __init__(self, recorded: np.ndarray) -> None:
        self._left = list(recorded)

    def uniform(self, shape: tuple[int, ...]) -> np.ndarray:
        noise = self._left.pop(0)[: shape[0]]
        assert noise.shape == shape
        return noise

    exponential = uniform


class Trace:
    """Calls `predict` and keeps what went in and out at every step."""

    def __init__(self, predict: Callable[[np.ndarray], np.ndarray]) -> None:
        self._predict = predict
        self.tokens: list[np.ndarray] = []
        self.logits: list[np.ndarray] = []

    def __call__(self, tokens: np.ndarray) -> np.ndarray:
        self.tokens.append(tokens)
        self.logits.append(self._predict(tokens))
        return self.logits[-1]


def valid_tokens(lengths: np.ndarray) -> np.ndarray:
    return np.arange(lengths.max()) < lengths[:, None]


def trace_of(golden: Golden, case: str) -> Golden:
    prefix = f"{case}."
    return {key.removeprefix(prefix): golden[key] for key in golden if key.startswith(prefix)}


def start_of(trace: Golden, valid: np.ndarray) -> np.ndarray:
    if "edit_mask" not in trace:
        return np.full(valid.shape, MASK)
    return np.where(trace["edit_mask"], MASK, trace["tokens"])


def follow(networks: Any, trace: Golden, sampling: Sampling, noises: list[Any]) -> np.ndarray:
    """Fill a trace's clip; every step's masks, tokens and confidences must be the official ones."""
    valid, text = valid_tokens(trace["m_lens"]), trace["cond"]
    scale = sampling.guidance_scale
    predict = Trace(lambda tokens: networks.predict_base(tokens, text, valid, scale))
    filled = fill_masked(predict, start_of(trace, valid), valid, sampling, noises)
    masks = np.stack(predict.tokens) == MASK
    assert np.array_equal(masks, trace["is_mask"])
    assert np.array_equal(masks.sum(axis=2), trace["n_masked"])
    after = [*predict.tokens[1:], filled]
    for step, (tokens, official) in enumerate(zip(after, trace["ids_after"], strict=True)):
        settled = valid & (tokens != MASK)
        assert np.array_equal(tokens[settled], official[settled]), f"step {step}"
        check_scores(predict.logits[step], masks[step], official, trace["scores"][step])
    assert np.array_equal(filled, trace["final"])
    return filled


def check_scores(
    logits: np.ndarray, masked: np.ndarray, chosen: np.ndarray, official: np.ndarray
) -> None:
    """The confidence of a new token is its unfiltered probability."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    share = powers / powers.sum(axis=-1, keepdims=True)
    ours = np.take_along_axis(share, np.where(masked, chosen, 0)[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(np.where(masked, ours, KEPT), official, rtol=0, atol=1e-5)


def residual_layers(
    networks: Any, base: np.ndarray, trace: Golden, sampling: Sampling, noises: list[Any]
) -> np.ndarray:
    valid, text = valid_tokens(trace["m_lens"]), trace["cond"]
    scale = sampling.residual_guidance_scale

    def predict(tokens: np.ndarray, layer: int) -> np.ndarray:
        return networks.predict_residual(tokens, layer, text, valid, scale)

    return add_residual_layers(predict, with_unknown_layers(base, 6), valid, sampling, noises)


def argmax(steps: int, guidance: float, residual: float = 5.0) -> Sampling:
    return Sampling(
        steps=steps, guidance_scale=guidance, residual_guidance_scale=residual, method="argmax"
    )


def silent(trace: Golden) -> list[SeededNoise]:
    """Argmax draws nothing, so any noise does."""
    return [SeededNoise(0) for _ in trace["m_lens"]]


def test_mask_counts_for_every_length(shared: Path):
    file = shared / "fixtures" / "golden" / "cosine_schedule.json"
    table = json.loads(file.read_text())["counts[steps][length]"]
    for steps, counts in table.items():
        ratios = cosine_mask_ratios(int(steps))
        for length, official in counts.items():
            unknown = np.zeros((1, 49), bool)
            unknown[:, : int(length)] = True
            assert counts_used(ratios, unknown) == official, (steps, length)


def counts_used(ratios: np.ndarray, unknown: np.ndarray) -> list[int]:
    """How many tokens the sampler itself masks at each step."""
    predict = Trace(lambda tokens: np.zeros((*tokens.shape, 4), np.float32))
    sampling = Sampling(steps=len(ratios), method="argmax")
    valid = np.ones_like(unknown)
    fill_masked(predict, np.where(unknown, MASK, 0), valid, sampling, [SeededNoise(0)])
    return [int((tokens == MASK).sum()) for tokens in predict.tokens]


@pytest.mark.parametrize(
    ("dataset", "case", "steps"),
    [
        ("t2m", "s10", 10),
        ("t2m", "s18", 18),
        ("t2m", "len49_s10", 10),
        ("t2m", "len49_s18", 18),
        ("kit", "s10", 10),
        ("kit", "s5", 5),
    ],
)
def test_generation(on_each_backend: Open, golden: Read, dataset: str, case: str, steps: int):
    networks, official = on_each_backend(dataset), golden(f"generate_{dataset}")
    trace = trace_of(official, case)
    base = follow(networks, trace, argmax(steps, GUIDANCE[dataset]), silent(trace))
    for scale in (2, 5):
        for is_shared in (True, False):
            key = f"res_{'' if is_shared else 'nonshared_'}cfg{scale}_all_ids"
            if key not in trace:
                continue
            networks = on_each_backend(dataset, is_shared)
            sampling = argmax(steps, GUIDANCE[dataset], scale)
            tokens = residual_layers(networks, base, trace, sampling, silent(trace))
            assert np.array_equal(tokens, trace[key]), key


def test_generated_tokens_decode_like_the_official_batch(on_each_backend: Open, golden: Read):
    trace = trace_of(golden("generate_t2m"), "s10")
    decoded = on_each_backend("t2m").run_decoder(trace["res_cfg5_all_ids"])
    np.testing.assert_allclose(decoded, trace["decoded"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("which", ["middle", "prefix", "suffix", "scattered"])
@pytest.mark.parametrize(("dataset", "steps"), [("t2m", 10), ("t2m", 18), ("kit", 10)])
def test_editing_with_kept_tokens(
    on_each_backend: Open, golden: Read, dataset: str, steps: int, which: str
):
    networks = on_each_backend(dataset)
    trace = trace_of(golden(f"edit_{dataset}"), f"{which}_s{steps}")
    sampling = argmax(steps, GUIDANCE[dataset], 2.0)
    base = follow(networks, trace, sampling, silent(trace))
    tokens = residual_layers(networks, base, trace, sampling, silent(trace))
    assert np.array_equal(tokens, trace["res_cfg2_all_ids"])


@pytest.mark.parametrize(
    ("case", "sampling"),
    [
        ("gumbel_s10", Sampling(steps=10, method="gumbel")),
        ("gumbel_t13_s5", Sampling(steps=5, method="gumbel", temperature=1.3, kept_share=0.3)),
        ("categorical_s10", Sampling(steps=10)),
        ("categorical_t08_s18", Sampling(steps=18, temperature=0.8, kept_share=0.2)),
        ("edit_categorical_s10", Sampling(steps=10)),
    ],
)
def test_recorded_noise_gives_the_official_tokens(
    on_each_backend: Open, golden: Read, case: str, sampling: Sampling
):
    trace = trace_of(golden("sampling_noise_t2m"), case)
    recorded = trace.get("uniform", trace.get("exponential"))
    assert recorded is not None
    noises = [ReplayedNoise(recorded[:, clip]) for clip in range(recorded.shape[1])]
    follow(on_each_backend("t2m"), trace, sampling, noises)


def test_recorded_noise_gives_the_official_residual_layers(on_each_backend: Open, golden: Read):
    trace = trace_of(golden("sampling_noise_t2m"), "residual_gumbel")
    noises = [ReplayedNoise(trace["uniform"][:, clip]) for clip in range(2)]
    networks, base = on_each_backend("t2m"), trace["base_ids"]
    tokens = residual_layers(networks, base, trace, Sampling(), noises)
    assert np.array_equal(tokens, trace["all_ids"])
    assert (tokens[valid_tokens(trace["m_lens"])] == ABSENT).any()


def test_recorded_noise_gives_the_official_lengths(on_each_backend: Open, golden: Read):
    trace = trace_of(golden("sampling_noise_t2m"), "length")
    logits = on_each_backend("t2m").length_logits(trace["cond"])
    np.testing.assert_allclose(logits, trace["logits"], rtol=0, atol=1e-5)
    noises = [ReplayedNoise(row[None]) for row in trace["exponential"]]
    assert np.array_equal(sample_length(logits, noises), trace["token_lens"])


def test_prompts_to_joints(on_each_backend: Open, golden: Read, shared: Path):
    networks, trace = on_each_backend("t2m"), golden("end_to_end_t2m")
    settings = json.loads((shared / "fixtures" / "golden" / "traces.json").read_text())
    text = networks.embed_text(settings["golden/end_to_end_t2m.safetensors"]["prompts"]).vectors
    np.testing.assert_allclose(text, trace["cond"], rtol=0, atol=1e-5)
    lengths = networks.length_logits(text)
    np.testing.assert_allclose(lengths, trace["length_logits"], rtol=0, atol=1e-5)
    valid = valid_tokens(trace["m_lens"])
    sampling = argmax(10, 4.0)
    base = fill_masked(
        lambda tokens: networks.predict_base(tokens, text, valid, 4.0),
        np.full(valid.shape, MASK),
        valid,
        sampling,
        silent(trace),
    )
    assert np.array_equal(base, trace["base_ids"])
    tokens = residual_layers(networks, base, trace, sampling, silent(trace))
    assert np.array_equal(tokens, trace["all_ids"])
    for clip, length in enumerate(trace["m_lens"]):
        # The official command line decodes the padded batch; alone, a clip ends differently.
        features = networks.decode(tokens[clip])[: 4 * length]
        joints = features_to_joints(features.astype(np.float32))
        np.testing.assert_allclose(joints, trace[f"joints_{clip}"], rtol=0, atol=2e-5)
