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
    from model_runtime.evaluation import judged, prompt_following, protocol, random_prompts

    monkeypatch.setattr(judged, "MULTIMODALITY_TEXTS", 2)
    monkeypatch.setattr(judged, "MULTIMODALITY_MOTIONS", 10)
    monkeypatch.setattr(protocol, "SPREAD_TEXTS", 2)
    monkeypatch.setattr(protocol, "SPREAD_SEEDS", 2)
    monkeypatch.setattr(random_prompts, "NUM_PROMPTS", 6)
    prompts = {"seen": {"a person walks": ["walks"], "a person stands": ["is_still"]}}
    monkeypatch.setattr(prompt_following, "read_prompts", lambda: prompts)


def run(data, weights, *more, command="evaluate"):
    return main([command, "--data", str(data), "--weights", str(weights), *map(str, more)])


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
    assert judged["multimodality"]["split"]["mean"] > 0.0
    random = found["random_prompts"]
    assert random["prompts"] == 6
    assert len(random["frozen"]) + len(random["exploded"]) <= 12
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


def test_a_sweep_gives_the_papers_tables(data, tiny_weights, evaluator, few, tmp_path, capsys):
    files = {name: tmp_path / f"found.{name}" for name in ("json", "md")}
    more = ["--repeats", 2, "--evaluator", evaluator]
    more += ["--json", files["json"], "--markdown", files["md"]]
    assert run(data, tiny_weights, *more, command="sweep") == 0
    found = json.loads(files["json"].read_text())
    values = {name: [row["value"] for row in rows] for name, rows in found["sweeps"].items()}
    assert values == {"steps": [5, 10, 18], "guidance": [1, 2, 3, 4, 5, 6], "layers": [1, 3]}
    shipped = [found["sweeps"]["steps"][1], found["sweeps"]["guidance"][3]]
    shipped = [{k: v for k, v in row.items() if k != "value"} for row in shipped]
    assert shipped[0] == shipped[1]  # one setting, whatever it is called
    fewer, all_layers = found["sweeps"]["layers"]
    assert fewer["fid"]["mean"] != all_layers["fid"]["mean"]
    assert fewer["fid"]["half_width"] > 0.0
    assert 0.0 <= fewer["following"]["seen"] <= 1.0
    assert [row["layers"] for row in found["reconstruction"]] == [1, 3]
    assert [row["layers"] for row in found["multimodality"]] == [1, 3]
    text = files["md"].read_text()
    assert text.strip() in capsys.readouterr().out
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert [len(lines) - 2 for lines in tables] == [3, 2, 3, 6, 2]  # rows of each
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1


def test_one_sweep_without_an_evaluator(data, tiny_weights, few, tmp_path, capsys):
    more = ["--repeats", 1, "--vary", "guidance", "--values", 0, 2.5, "--no-prompts"]
    assert run(data, tiny_weights, *more, command="sweep") == 0
    printed = capsys.readouterr().out
    assert "| 2.5 |" in printed
    assert "FID" not in printed and "prompts followed" not in printed


def test_fewer_layers_are_the_same_tokens_decoded_without_the_others(tiny_weights):
    from model_runtime.backends import open_networks
    from model_runtime.evaluation.protocol import reconstruct
    from model_runtime.evaluation.sweep import Setting, with_setting

    networks = open_networks(tiny_weights, "cpu")
    tokens = np.random.default_rng(0).integers(0, 32, (10, 3))
    view = with_setting(networks, Setting(networks.card.sampling, 2))
    expected = reconstruct(networks, [tokens], 2).features[0]
    assert np.array_equal(view.decode(tokens), expected)
    assert not np.allclose(networks.decode(tokens), expected)


def test_an_evaluator_of_another_text_tower_judges_motions_only(
    tiny_weights, evaluator, tmp_path, capsys
):
    pytest.importorskip("torch")
    from safetensors.numpy import load_file, save_file

    from model_runtime.evaluation.command import open_judged
    from model_runtime.evaluation.evaluator import Reads, describe, open_evaluator
    from model_runtime.weights_folder import read_card

    other = tmp_path / "other.safetensors"
    config = open_evaluator(evaluator).evaluator.config
    save_file(load_file(evaluator), other, describe(config, Reads("tower", "0" * 64)))
    card = read_card(tiny_weights)
    assert open_judged(evaluator, card).read(["a person walks"]) is not None
    assert open_judged(other, card).read(["a person walks"]) is None
    assert "motions are judged only" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--values", "3"], "--values needs --vary"),
        (["--vary", "layers", "--values", "9"], "This model has 1 to 3 layers, got 9"),
        (["--vary", "steps", "--values", "2.5"], "steps must be whole numbers, got 2.5"),
        (["--vary", "guidance", "--values", "30"], "guidance_scale must be 0 to 20, got 30"),
        (["--markdown", "found.txt"], "must end in .md"),
    ],
)
def test_what_is_wrong_with_a_sweep_is_said_in_one_line(data, tiny_weights, more, message, capsys):
    assert run(data, tiny_weights, *more, command="sweep") != 0
    said = capsys.readouterr().err.strip()
    assert message in said and "\n" not in said


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
