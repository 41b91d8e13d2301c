"""The evaluator is trained, resumes, tells motions apart, and its file opens."""

import contextlib
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_training import walk, write_clip, write_recipe

from model_runtime.__main__ import main
from model_runtime.evaluation.command import open_judged
from model_runtime.evaluation.metrics import r_precision
from model_runtime.training import loop as training_loop
from model_runtime.training.data import clip_features
from model_runtime.training.loop import run
from model_runtime.training.recipe import read_recipe
from model_runtime.training.run import Training
from model_runtime.training.start import Start
from model_runtime.training.train_evaluator import contrast, evaluator_stage, mistaken_share
from model_runtime.weights_folder import read_card

SIZES = ("movement_hidden", "movement_size", "motion_hidden", "text_hidden", "size")
EVALUATOR = "[evaluator]\nword_size = 12\nrole_size = 1\n" + "".join(
    f"{name} = 16\n" for name in SIZES
)
TRAINING = """[evaluator_training]
steps = {steps}
batch_size = 16
learning_rate = 3e-3
warmup_steps = 5
weights_decay = 0.9
validate_every = 10
"""


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny networks on many threads wait more than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def kind_of_motion(kind: str, seed: int) -> np.ndarray:
    """(60, 22, 3): four kinds that differ in speed and height."""
    joints = walk(speed={"walks": 0.04, "runs": 0.15}.get(kind, 0.0), seed=seed)
    if kind == "jumps":
        joints[..., 1] += 0.3 * np.abs(np.sin(0.4 * np.arange(len(joints)) + seed))[:, None]
    if kind == "sits":
        joints[..., 1] *= 0.6
    return joints


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Four kinds of motion, four clips to train on and one to validate with."""
    folder = tmp_path_factory.mktemp("kinds")
    splits: dict[str, list[str]] = {"train": [], "val": []}
    for kind in ("walks", "runs", "jumps", "sits"):
        for seed in range(5):
            name = f"{kind}{seed}"
            write_clip(folder, name, kind_of_motion(kind, seed), f"a person {kind}")
            splits["val" if seed == 4 else "train"].append(name)
    for split, names in splits.items():
        (folder / f"{split}.txt").write_text("\n".join(names), encoding="utf-8")
    return folder


def recipe_file(folder, steps: int, sizes: str = EVALUATOR):
    """Without paraphrases: most of their words are unknown to the tiny tower."""
    file = write_recipe(folder / "recipe.toml")
    plain = file.read_text().replace("[data]\n", "[data]\nparaphrases = 0\n")
    file.write_text(plain + sizes + TRAINING.format(steps=steps), encoding="utf-8")
    return file


def train(kinds, recipe, out, tiny_weights) -> int:
    arguments = ["train", "evaluator", "--data", str(kinds), "--config", str(recipe)]
    return main([*arguments, "--out", str(out), "--start-from", str(tiny_weights)])


def test_motions_that_differ_find_their_captions(kinds, tiny_weights, tmp_path):
    assert train(kinds, recipe_file(tmp_path, 150), tmp_path / "out", tiny_weights) == 0
    judged = open_judged(tmp_path / "out/evaluator.safetensors", read_card(tiny_weights))
    names = ("walks", "runs", "jumps", "sits")
    text = judged.read([f"a person {kind}" for kind in names])
    motion = judged.judge.embed_motions([clip_features(kind_of_motion(k, 9)) for k in names])
    assert r_precision(text, motion, batch=4)[0] == 1.0  # by chance a quarter


def test_an_interrupted_run_ends_with_the_same_evaluator(
    kinds, tiny_weights, tmp_path, monkeypatch
):
    monkeypatch.setattr(training_loop, "SAVE_EVERY_SECONDS", -1.0)
    recipe = read_recipe(recipe_file(tmp_path, 6))

    def train_until(out, stop_before: int | None) -> None:
        training = Training(kinds, recipe, out, Start.open(str(tiny_weights), False))
        data = training.motions, training.validation, training.statistics
        stage = evaluator_stage(recipe, *data, training.reader())
        plain = stage.loss

        def loss(generator: torch.Generator, step: int):
            if step == stop_before:
                raise KeyboardInterrupt
            return plain(generator, step)

        stage.loss = loss
        with contextlib.suppress(KeyboardInterrupt):
            run(stage, recipe.evaluator_training, out, lambda _line: None)

    train_until(tmp_path / "whole", None)
    train_until(tmp_path / "cut", 3)
    train_until(tmp_path / "cut", None)
    for name in ("evaluator.state.safetensors", "evaluator.safetensors"):
        whole, cut = (load_file(tmp_path / run_name / name) for run_name in ("whole", "cut"))
        assert whole.keys() == cut.keys()
        assert all(torch.equal(whole[key], cut[key]) for key in whole)


def test_words_of_another_size_are_refused_in_one_line(kinds, tiny_weights, tmp_path, capsys):
    recipe = recipe_file(tmp_path, 3, EVALUATOR.replace("word_size = 12", "word_size = 13"))
    assert train(kinds, recipe, tmp_path / "out", tiny_weights) != 0
    said = capsys.readouterr().err.strip()
    assert re.search(r"word_size is 13; the text tower gives 12 numbers", said)
    assert "\n" not in said


def test_a_caption_that_says_two_motions_pushes_neither_away():
    text, motion = torch.randn(3, 4), torch.randn(3, 4)
    fits = torch.eye(3, dtype=torch.bool)
    fits[0, 1] = True
    near = torch.cdist(text, motion).square()
    expected = torch.logsumexp(-near[0, [0, 2]], 0) + near[0, 0]  # told from the third only
    others = [torch.logsumexp(-near[row], 0) + near[row, row] for row in (1, 2)]
    back = [torch.logsumexp(-near[[0, 1, 2], j], 0) + near[j, j] for j in (0, 2)]
    back.append(torch.logsumexp(-near[[1, 2], 1], 0) + near[1, 1])
    goal = (sum([expected, *others]) + sum(back)) / 6
    torch.testing.assert_close(contrast(text, motion, fits), goal)


def test_texts_that_lie_on_their_motions_are_never_mistaken():
    motion = np.random.default_rng(0).normal(size=(40, 5))
    text = np.repeat(motion[:, None], 3, axis=1)
    assert mistaken_share(text, motion) == 0.0
    assert mistaken_share(text[::-1], motion) > 0.8  # by chance 1 - 2 / 32
