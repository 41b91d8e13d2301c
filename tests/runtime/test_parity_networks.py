"""The networks give the official modules' numbers from the official checkpoints (goldens)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from model_runtime.features import features_to_joints
from model_runtime.sampling import ABSENT, MASK, guide

Golden = dict[str, np.ndarray]
Read = Callable[[str], Golden]
Open = Callable[..., Any]

RESIDUALS = [("t2m", True), ("t2m", False), ("kit", True)]


def assert_equal_logits(ours: np.ndarray, official: np.ndarray) -> None:
    """Within 1e-5 of the largest logit, as the fixtures' README asks."""
    assert ours.shape == official.shape
    assert np.abs(ours - official).max() <= 1e-5 * max(1.0, np.abs(official).max())


def rows_first(logits: np.ndarray) -> np.ndarray:
    """Official logits (B, K, N) -> ours (B, N, K)."""
    return logits.transpose(0, 2, 1)


def marked(tokens: np.ndarray, num_codes: int) -> np.ndarray:
    return np.where(tokens == num_codes, MASK, tokens)


@pytest.mark.parametrize("dataset", ["t2m", "kit"])
def test_rvq_encodes_and_decodes_like_the_official_one(published: Open, golden: Read, dataset: str):
    rvq, official = published(dataset).rvq, golden(f"rvq_{dataset}")
    for case in "abcd":
        if f"{case}.x" not in official:
            continue
        features = torch.from_numpy(official[f"{case}.x"])
        with torch.inference_mode():
            latents = rvq.latents(features)
            tokens = rvq.quantize(latents)
            decoded = rvq.decode(tokens).numpy()
        assert np.array_equal(tokens.numpy(), official[f"{case}.idx"])
        encoder_out = official[f"{case}.encoder_out"].transpose(0, 2, 1)
        np.testing.assert_allclose(latents.numpy(), encoder_out, rtol=0, atol=1e-5)
        if f"{case}.codes" in official:
            codes = official[f"{case}.codes"].transpose(0, 1, 3, 2)
            np.testing.assert_allclose(rvq.codes(tokens).numpy(), codes, rtol=0, atol=1e-5)
        for key in (f"{case}.decoded_all6", f"{case}.recon"):
            if key in official:
                np.testing.assert_allclose(decoded, official[key], rtol=0, atol=1e-5)


def test_rvq_decodes_some_layers_and_absent_tokens(published: Open, golden: Read):
    rvq, official = published("t2m").rvq, golden("rvq_t2m")
    tokens, holed = torch.from_numpy(official["a.idx"]), torch.from_numpy(official["neg.idx"])
    assert (holed == ABSENT).any()
    length = official["neg.item0_alone_decoded"].shape[1] // 4
    with torch.inference_mode():
        pairs = [
            (rvq.decode(tokens[..., :1]), "partial.decoded_1"),
            (rvq.decode(tokens[..., :5]), "partial.decoded_5"),
            (rvq.codes(holed), "neg.codes"),
            (rvq.decode(holed), "neg.decoded"),
            (rvq.decode(holed[:1, :length]), "neg.item0_alone_decoded"),
        ]
    for ours, key in pairs:
        np.testing.assert_allclose(ours.numpy(), official[key], rtol=0, atol=1e-5)


def test_decoded_motion_is_in_physical_units(on_each_backend: Open, golden: Read):
    official = golden("rvq_t2m")
    features = on_each_backend("t2m").decode(official["a.idx"][0])
    np.testing.assert_allclose(features, official["post.denorm"][0], rtol=0, atol=1e-5)
    joints = features_to_joints(features.astype(np.float32))
    np.testing.assert_allclose(joints, official["post.joints"][0], rtol=0, atol=1e-5)


def test_encoding_takes_physical_units(on_each_backend: Open, golden: Read):
    networks, official = on_each_backend("t2m"), golden("rvq_t2m")
    physical = official["a.x"][0].astype(np.float64) * networks.std + networks.mean
    assert np.array_equal(networks.encode(physical), official["a.idx"][0])


@pytest.mark.parametrize("dataset", ["t2m", "kit"])
def test_masked_transformer_in_a_padded_batch(published: Open, golden: Read, dataset: str):
    base, official = published(dataset).base, golden(f"mask_{dataset}")
    scale = {"t2m": 4, "kit": 2}[dataset]
    for case in "ab":
        tokens = torch.from_numpy(official[f"{case}.ids"])
        text, valid = torch.from_numpy(official[f"{case}.cond"]), ~official[f"{case}.pad_mask"]
        with torch.inference_mode():
            conditional = base(tokens, text, torch.from_numpy(valid)).numpy()
            without = base(tokens, torch.zeros_like(text), torch.from_numpy(valid)).numpy()
        results = {
            "cond": conditional,
            "uncond": without,
            f"cfg{scale}": guide(conditional, without, scale),
        }
        for name, logits in results.items():
            expected = rows_first(official[f"{case}.logits_{name}"])
            assert_equal_logits(logits[valid], expected[valid])


@pytest.mark.parametrize("dataset", ["t2m", "kit"])
def test_masked_transformer_clip_by_clip(on_each_backend: Open, golden: Read, dataset: str):
    networks, official = on_each_backend(dataset), golden(f"mask_{dataset}")
    guidance = {"t2m": 4, "kit": 2}[dataset]
    for case in "ab":
        tokens = marked(official[f"{case}.ids"], networks.configs.base.num_codes)
        text, valid = official[f"{case}.cond"], ~official[f"{case}.pad_mask"]
        for name, scale in {"cond": 1, "uncond": 0, f"cfg{guidance}": guidance}.items():
            logits = networks.predict_base(tokens, text, valid, scale)
            expected = rows_first(official[f"{case}.logits_{name}"])
            assert_equal_logits(logits[valid], expected[valid])


@pytest.mark.parametrize(("dataset", "is_shared"), RESIDUALS)
def test_residual_transformer_clip_by_clip(
    on_each_backend: Open, golden: Read, dataset: str, is_shared: bool
):
    networks = on_each_backend(dataset, is_shared)
    official = golden(f"res_{dataset}_{'shared' if is_shared else 'nonshared'}")
    scales = {"cond": 1, "uncond": 0, "cfg2": 2, "cfg5": 5}
    compared = 0
    for key in official:
        if ".logits_" not in key:
            continue
        case, name = key.split(".logits_q")
        layer, condition = int(name[0]), name[2:]
        valid = ~official[f"{case}.pad_mask"]
        tokens = np.where(valid[..., None], official[f"{case}.ids"], ABSENT)
        text = official[f"{case}.cond"]
        logits = networks.predict_residual(tokens, layer, text, valid, scales[condition])
        assert_equal_logits(logits[valid], rows_first(official[key])[valid])
        compared += 1
    assert compared >= 15


@pytest.mark.parametrize(("dataset", "is_shared"), RESIDUALS)
def test_residual_history_sums_the_layers_below(
    published: Open, golden: Read, dataset: str, is_shared: bool
):
    residual = published(dataset, is_shared).residual
    official = golden(f"res_{dataset}_{'shared' if is_shared else 'nonshared'}")
    tokens = torch.from_numpy(official["a.ids"])
    for layer in range(1, 6):
        with torch.inference_mode():
            ours = residual.history(tokens, torch.full((len(tokens),), layer)).numpy()
        np.testing.assert_allclose(ours, official[f"a.hist_q{layer}"], rtol=0, atol=1e-5)


def test_length_estimator(on_each_backend: Open, golden: Read):
    official = golden("length_t2m")
    logits = on_each_backend("t2m").length_logits(official["cond"])
    assert_equal_logits(logits, official["logits"])
    assert np.array_equal(logits.argmax(axis=-1), official["argmax"])
