"""The decoder alone is trained further, on motions that the transformers make."""

import numpy as np
import pytest
import torch
from runtime.tiny_training import write_data, write_recipe
from safetensors.numpy import load_file

from model_runtime.evaluation.measures import contact_steps
from model_runtime.networks import read_card, read_tensors
from model_runtime.training.run import train
from model_runtime.training.train_decoder import touching
from momask_blender.contract.skeleton import REST_JOINTS

DECODER = """
[decoder_training]
steps = 4
batch_size = 4
learning_rate = 1e-2
validate_every = 2
warmup_steps = 1
windows = [40]
num_sampled = 9
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoder")
    recipe = write_recipe(folder / "recipe.toml")
    recipe.write_text(recipe.read_text(encoding="utf-8") + DECODER, encoding="utf-8")
    train("all", write_data(folder / "data"), recipe, folder / "out")
    return folder / "out"


@pytest.mark.slow
def test_only_the_decoder_changes(trained):
    before = load_file(trained / "rvq.safetensors")
    after = load_file(trained / "decoder.safetensors")
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("decoder.") for name in changed)


@pytest.mark.slow
def test_the_model_gets_the_new_decoder(trained):
    card = read_card(trained / "model")
    shipped = read_tensors(card.folder, card.parts["rvq"])
    after = load_file(trained / "decoder.safetensors")
    for name, tensor in after.items():
        rounding = 0.02 if name == "codebooks" else 2e-3  # stored in 8 bits, in half precision
        assert shipped[name] == pytest.approx(tensor, abs=rounding)


def test_contacts_are_those_of_the_measure():
    rng = np.random.default_rng(0)
    joints = REST_JOINTS + 0.02 * rng.standard_normal((3, 30, 22, 3))
    joints[..., 1] -= REST_JOINTS[:, 1].min() - 0.02
    found = touching(torch.from_numpy(joints)).numpy()
    assert found.any()
    assert not found.all()
    assert np.array_equal(found, np.stack([contact_steps(clip) for clip in joints]))
