"""`python -m model_runtime evaluate`: one command, a table, a JSON file."""

import json

import numpy as np
import pytest

from model_runtime.__main__ import main
from momask_blender.contract.skeleton import FPS, REST_JOINTS

NUM_CLIPS = 5


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny networks only wait for each other's threads, long where the machine is busy."""
    torch = pytest.importorskip("torch")
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder of short swaying clips."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "joints").mkdir()
    (folder / "texts").mkdir()
    rng = np.random.default_rng(0)
    names = [f"clip{number}" for number in range(NUM_CLIPS)]
    time = np.arange(40)[:, None, None] / FPS
    rest = REST_JOINTS - (0.0, REST_JOINTS[:, 1].min(), 0.0)
    for name in names:
        joints = rest + 0.05 * np.sin(time * rng.uniform(2, 9, (22, 3))) + 0.05
        np.save(folder / "joints" / f"{name}.npy", joints.astype(np.float32))
        (folder / "texts" / f"{name}.txt").write_text(
            f"a person walks {rng.choice(['left', ''])}\n"
        )
    for split in ("train", "val"):
        (folder / f"{split}.txt").write_text("\n".join(names[:2] if split == "train" else names))
    return folder


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory):
    """A tiny evaluator with random weights that reads the words of the tiny text tower."""
    torch = pytest.importorskip("torch")
    from model_runtime.evaluation.evaluator import (
        TOWER,
        Evaluator,
        EvaluatorConfig,
        Reads,
        save_evaluator,
    )

    names = ("movement_hidden", "movement_size", "motion_hidden", "text_hidden", "size")
    config = dict.fromkeys(names, 8) | {"word_size": 12, "role_size": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = Evaluator(EvaluatorConfig(**config)).state_dict()
    tensors = {name: tensor.numpy() for name, tensor in state.items()}
    tensors |= {"mean": np.zeros(263), "std": np.ones(263)}
    file = tmp_path_factory.mktemp("evaluator") / "tiny.safetensors"
    save_evaluator(file, tensors, config, Reads(TOWER))
    return file


@pytest.fixture
def few(monkeypatch):
    from model_runtime.evaluation import judged, protocol

    monkeypatch.setattr(judged, "MULTIMODALITY_TEXTS", 2)
    monkeypatch.setattr(judged, "MULTIMODALITY_MOTIONS", 10)
    monkeypatch.setattr(protocol, "SPREAD_TEXTS", 2)
    monkeypatch.setattr(protocol, "SPREAD_SEEDS", 2)


def run(data, weights, *more):
    return main(["evaluate", "--data", str(data), "--weights", str(weights), *map(str, more)])


def test_all_figures_are_printed_and_written(data, tiny_weights, evaluator, few, tmp_path, capsys):
    out = tmp_path / "found.json"
    assert run(data, tiny_weights, "--repeats", 2, "--evaluator", evaluator, "--json", out) == 0
    found = json.loads(out.read_text())
    assert [row["layers"] for row in found["reconstruction"]] == [1, 2, 3]
    assert all(np.isfinite(row["fid"]) for row in found["reconstruction"])
    assert found["data"] == {
        "folder": data.name,
        "split": "val",
        "clips": NUM_CLIPS,
        "training_clips": 2,
        "repeats": 2,
    }
    judged = found["judged"]
    assert judged["fid"]["split"]["mean"] == pytest.approx(0.0, abs=1e-6)
    assert judged["fid"]["generated"]["mean"] > judged["fid"]["split"]["mean"]
    assert {"diversity", "multimodality", "multimodal_distance"} <= set(judged)
    assert found["failures"]["clips"] == 2 * NUM_CLIPS
    printed = capsys.readouterr().out
    assert found["weights"]["model_json_sha256"] in printed
    assert "multimodal distance" in printed


def test_r_precision_needs_a_batch_of_32():
    from model_runtime.evaluation.judged import judge_motions

    rows = np.random.default_rng(1).normal(size=(40, 6))
    found = judge_motions(rows, rows, rows, 0)
    assert found["r_precision_top1"] == 1.0
    assert found["multimodal_distance"] == 0.0
    assert "r_precision_top1" not in judge_motions(rows[:31], rows, rows[:31], 0)


def test_without_an_evaluator_the_rows_say_so(data, tiny_weights, few, capsys):
    assert run(data, tiny_weights, "--repeats", 1) == 0
    assert "multimodality: no evaluator" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--split", "test"], "has no test.txt"),
        (["--repeats", "0"], "--repeats must be at least 1"),
        (["--json", "found.txt"], "must end in .json"),
        (["--evaluator", "nothing.safetensors"], "is not an evaluator"),
        (["--weights", "nobody"], "There is no model 'nobody'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(data, tiny_weights, more, message, capsys):
    assert run(data, tiny_weights, *more) != 0
    said = capsys.readouterr().err.strip()
    assert message in said and "\n" not in said
