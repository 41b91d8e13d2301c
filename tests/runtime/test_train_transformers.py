"""What the transformers are trained on: parts of clips, and texts with their kinds of action."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import write_data, write_recipe

from model_runtime.backends import open_networks
from model_runtime.features import COLUMNS, NUM_FEATURES
from model_runtime.networks import read_card
from model_runtime.training.action_kinds import NUM_KINDS, fold_of, told_kinds
from model_runtime.training.paraphrase import mirror_caption
from model_runtime.training.recipe import RecipeError, read_recipe
from model_runtime.training.run import Training, train
from model_runtime.training.train_transformers import (
    AROUND,
    MAX_TOKENS,
    Corpus,
    draw_batch,
    liveliest_frame,
)
from model_runtime.training.user_prompts import read_kinds

TEXT_SIZE = 384 + 10 + NUM_KINDS


def test_a_clip_is_liveliest_where_it_kicks():
    clip = np.zeros((100, NUM_FEATURES))
    velocities = clip[:, COLUMNS["velocities"]].reshape(100, 22, 3)
    velocities[:, :, 2] = 0.1  # all of the body walks
    velocities[70:76, 10, 1] += 0.05
    clip[:, COLUMNS["velocities"]] = velocities.reshape(100, -1)
    assert 63 <= liveliest_frame(clip) <= 82


def corpus(liveliest: int, *, is_one_action: bool) -> Corpus:
    """One clip of all tokens, each of which is its own place."""
    places = torch.arange(MAX_TOKENS)[None, :, None].repeat(1, 1, 2)
    return Corpus(
        tokens=places,
        lengths=torch.tensor([MAX_TOKENS]),
        liveliest=torch.tensor([liveliest]),
        is_one_action=torch.tensor([is_one_action]),
        texts=torch.zeros(1, 4),
        captions=torch.zeros(1, 1, dtype=torch.int64),
        weights=torch.ones(1),
    )


@pytest.mark.parametrize("liveliest", [0, 20, MAX_TOKENS - 1])
@pytest.mark.parametrize(("is_one_action", "shortest"), [(True, 0.35), (False, 0.6)])
def test_a_part_of_a_clip_has_what_the_clip_shows(tmp_path, liveliest, is_one_action, shortest):
    usual = read_recipe(write_recipe(tmp_path / "recipe.toml")).base_training
    training = replace(usual, batch_size=300, crop_chance=1.0, shortest_part=0.35)
    clips = corpus(liveliest, is_one_action=is_one_action)
    batch = draw_batch(clips, training, torch.Generator().manual_seed(0))
    first, last = batch.tokens[:, 0, 0], batch.tokens[:, 0, 0] + batch.lengths - 1
    assert batch.lengths.min() == int(MAX_TOKENS * shortest)
    assert (first <= max(0, liveliest - AROUND)).all()
    assert (last >= min(MAX_TOKENS - 1, liveliest + AROUND - 1)).all()
    assert len(first.unique()) > 3 or liveliest == 0


def hearing_kinds(folder: Path, text_size: int = TEXT_SIZE) -> Path:
    recipe = write_recipe(folder / "recipe.toml")
    recipe.write_text(recipe.read_text().replace("text_size = 388", f"text_size = {text_size}"))
    return recipe


def test_networks_hear_the_kind_of_action(tmp_path):
    data, recipe = write_data(tmp_path / "data"), hearing_kinds(tmp_path)
    train("all", data, recipe, tmp_path / "out")
    card = read_card(tmp_path / "out" / "model")
    assert card.parts["action_kinds"].config == {"num_kinds": NUM_KINDS}
    networks = open_networks(card.folder, "cpu")
    sits, runs = networks.embed_text(["plop down on the couch", "sprint for the bus"]).vectors
    assert len(sits) == TEXT_SIZE
    shares = np.stack([sits, runs])[:, -NUM_KINDS:]
    assert shares.sum(axis=1) == pytest.approx([1.0, 1.0], abs=1e-5)
    names = list(read_kinds())
    assert names[shares[0].argmax()] == "sit_down" and "run" in names[shares[1].argmax()]

    training = Training(data, read_recipe(recipe), tmp_path / "out")
    tensors = training.action_kinds()  # of the finished training, not fitted again
    prompt = read_kinds()["sit_down"].prompts[0]
    assert fold_of(prompt) == fold_of(mirror_caption(prompt))
    vectors = training.reader()[0].embed_corpus([prompt, "a person walks"], TEXT_SIZE - NUM_KINDS)
    asked, caption = told_kinds(tensors, [prompt, "a person walks"], vectors)
    tensors["fold_weights"][fold_of(prompt)] = 0.0  # the layer that has not seen the prompt
    changed, same = told_kinds(tensors, [prompt, "a person walks"], vectors)
    assert changed.argmax() != asked.argmax() or abs(changed - asked).max() > 0.1
    np.testing.assert_array_equal(same, caption)


def test_a_text_size_that_fits_nothing_is_named(tmp_path):
    data, recipe = write_data(tmp_path / "data"), hearing_kinds(tmp_path, TEXT_SIZE - 1)
    training = Training(data, read_recipe(recipe), tmp_path / "out")
    with pytest.raises(RecipeError, match=f"{TEXT_SIZE} numbers"):
        training.texts()
