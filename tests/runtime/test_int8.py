"""Drafts multiply in 8 bits: near the full networks, the same alone and in company, safe to sum."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from model_runtime.networks import Networks
from model_runtime.onnx_backend import OnnxNetworks
from model_runtime.packing import INT8, SCALE, int8_products
from model_runtime.pipeline import generate
from model_runtime.sampling import MASK, for_drafts
from model_runtime.weights_folder import CARD_FILE, SHIPPED_WEIGHTS, read_card, read_tensors

STARTER = SHIPPED_WEIGHTS / "starter"
PROMPTS = ["a person walks forward", "a person jumps up high", "a person dances salsa"]


@pytest.fixture(scope="module")
def starter() -> Networks:
    return OnnxNetworks.open(STARTER)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def divergence(full: np.ndarray, draft: np.ndarray) -> float:
    """Kullback-Leibler divergence of what is drawn from, mean over positions, in nats."""
    ours = log_softmax(full)
    return float((np.exp(ours) * (ours - log_softmax(draft))).sum(axis=-1).mean())


def logits_of(networks: Networks, tokens: np.ndarray) -> list[np.ndarray]:
    """Guided logits of tokens (B, N, Q): of the base layer half masked, of the second and last."""
    text = networks.embed_text(PROMPTS).vectors
    valid = np.ones(tokens.shape[:2], dtype=bool)
    is_hidden = np.random.default_rng(0).random(valid.shape) < 0.5
    masked = np.where(is_hidden, MASK, tokens[..., 0])
    base = networks.predict_base(masked, text, valid, 4.0)
    return [base, *(networks.predict_residual(tokens, q, text, valid, 5.0) for q in (1, 5))]


def test_a_draft_draws_from_nearly_the_same_odds(starter: Networks):
    text = starter.embed_text(PROMPTS).vectors
    motions = generate(starter, text, [100] * 3, [0, 1, 2], starter.card.sampling)
    tokens = np.stack([motion.tokens for motion in motions])
    both = logits_of(starter, tokens), logits_of(starter.for_drafts(), tokens)
    for full, draft in zip(*both, strict=True):
        assert 0.0 < divergence(full, draft) < 0.003


def test_a_draft_does_not_depend_on_its_company(starter: Networks):
    drafting = starter.for_drafts()
    sampling = for_drafts(starter.card.sampling)
    text = drafting.embed_text(PROMPTS).vectors
    together = generate(drafting, text, [196, 100, 28], [3, 4, 5], sampling)
    alone = generate(drafting, text[1:2], [100], [4], sampling)
    assert np.array_equal(together[1].tokens, alone[0].tokens)


def test_full_motions_stay_as_they_were_beside_drafts(starter: Networks):
    text = starter.embed_text(PROMPTS[:1]).vectors
    before = generate(starter, text, [40], [1], starter.card.sampling)[0].tokens
    drafted = generate(starter.for_drafts(), text, [40], [1], starter.card.sampling)
    after = generate(starter, text, [40], [1], starter.card.sampling)[0].tokens
    assert len(drafted[0].tokens) == 10
    assert np.array_equal(before, after)


def test_two_products_of_a_draft_fit_into_16_bits():
    card = read_card(STARTER)
    full = read_tensors(STARTER, card.parts["base"])
    small = int8_products(full)
    matrices = [name for name in small if name.endswith(INT8)]
    assert len(matrices) == 4 * card.parts["base"].config["num_layers"]
    for name in matrices:
        weight = full[name.removesuffix(INT8)]
        assert 2 * 255 * int(np.abs(small[name].astype(int)).max()) < 2**15
        scale = small[name.removesuffix(INT8) + SCALE]
        assert np.abs((small[name] * scale).T - weight).max() <= 0.5001 * scale.max()


def test_a_folder_from_before_there_were_drafts_still_makes_them(
    tiny_weights: Path, tmp_path: Path
):
    folder = shutil.copytree(tiny_weights, tmp_path / "old")
    card = json.loads((folder / CARD_FILE).read_text())
    card["graphs"] = {name: file for name, file in card["graphs"].items() if "int8" not in name}
    (folder / CARD_FILE).write_text(json.dumps(card))
    networks = OnnxNetworks.open(folder)
    text = networks.embed_text(["a person walks"]).vectors
    drafting, sampling = networks.for_drafts(), networks.card.sampling
    made = [generate(each, text, [20], [1], sampling)[0] for each in (networks, drafting)]
    assert np.array_equal(made[0].tokens, made[1].tokens)
