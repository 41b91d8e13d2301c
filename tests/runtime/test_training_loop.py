"""Training resumes exactly, survives a full disk and agrees between processes."""

import contextlib
import math
import os
import re
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import tiny_stage, write_data, write_recipe

from model_runtime.__main__ import main
from model_runtime.backends import open_networks
from model_runtime.networks import read_card
from model_runtime.pipeline import generate
from model_runtime.sampling import ABSENT, Sampling
from model_runtime.training import loop as training_loop
from model_runtime.training import more_layers, progress
from model_runtime.training.checkpoint import CheckpointError, save_atomically
from model_runtime.training.loop import run
from model_runtime.training.start import Start

ROOT = Path(__file__).resolve().parents[2]
STATE = "rvq.state.safetensors"


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny networks on many threads wait more than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quiet(_line: str) -> None:
    pass


def train_tokenizer(out: Path, steps: int, stop_before: int | None = None) -> Path:
    """Run the tiny tokenizer's stage; with `stop_before` it is interrupted at that step."""
    out.parent.mkdir(parents=True, exist_ok=True)
    recipe, stage = tiny_stage(write_recipe(out.parent / "recipe.toml", steps))
    plain = stage.loss

    def loss(generator: torch.Generator, step: int):
        if step == stop_before:
            raise KeyboardInterrupt
        return plain(generator, step)

    stage.loss = loss
    with contextlib.suppress(KeyboardInterrupt):
        run(stage, recipe.rvq_training, out, quiet)
    return out


@pytest.mark.parametrize("stop_before", [1, 4])
def test_an_interrupted_run_ends_with_the_same_weights(tmp_path, monkeypatch, stop_before):
    monkeypatch.setattr(training_loop, "SAVE_EVERY_SECONDS", -1.0)
    whole = train_tokenizer(tmp_path / "a" / "whole", steps=7)
    cut = tmp_path / "b" / "cut"
    train_tokenizer(cut, steps=7, stop_before=stop_before)
    train_tokenizer(cut, steps=7)
    for file in (STATE, "rvq.safetensors"):
        expected, found = load_file(whole / file), load_file(cut / file)
        assert expected.keys() == found.keys()
        for name, tensor in expected.items():
            assert torch.equal(tensor, found[name]), name


@contextlib.contextmanager
def disk_full_beyond(num_bytes: int):
    """Writing more than that to a file fails as on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path):
    out = train_tokenizer(tmp_path / "out", steps=3)
    before = {file.name: file.read_bytes() for file in out.glob("*.safetensors")}
    recipe, stage = tiny_stage(write_recipe(tmp_path / "recipe.toml", steps=5))
    with (
        disk_full_beyond(20_000),
        pytest.raises(CheckpointError, match=r"safetensors: .*the last good one is kept") as found,
    ):
        run(stage, recipe.rvq_training, out, quiet)
    assert "\n" not in str(found.value)
    assert {file.name: file.read_bytes() for file in out.glob("*.safetensors")} == before
    assert not list(out.glob("*.part"))
    train_tokenizer(tmp_path / "out", steps=5)


def test_a_first_checkpoint_that_fails_leaves_nothing(tmp_path):
    file = tmp_path / "new.safetensors"
    with disk_full_beyond(1000), pytest.raises(CheckpointError, match="there is none yet"):
        save_atomically({"weight": torch.zeros(1000)}, file)
    assert not list(tmp_path.iterdir())


def test_a_damaged_checkpoint_is_named(tmp_path):
    out = train_tokenizer(tmp_path / "out", steps=3)
    state = out / STATE
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=rf"{STATE} is damaged .* Remove it"):
        train_tokenizer(out, steps=3)


def test_a_checkpoint_of_other_sizes_is_named(tmp_path):
    out = train_tokenizer(tmp_path / "out", steps=3)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("[rvq]\nnum_codes = 8", "[rvq]\nnum_codes = 16"))
    settings, stage = tiny_stage(recipe)
    with pytest.raises(CheckpointError, match="another configuration"):
        run(stage, settings.rvq_training, out, quiet)


def test_a_loss_that_is_no_number_ends_training(tmp_path):
    recipe, stage = tiny_stage(write_recipe(tmp_path / "recipe.toml"))
    stage.validate = lambda _network: math.nan
    with pytest.raises(CheckpointError, match="rvq: the loss is no number any more at step 3"):
        run(stage, recipe.rvq_training, tmp_path / "out", quiet)
    assert not list((tmp_path / "out").glob("*.safetensors"))


@pytest.mark.parametrize(("keep_last", "kept_step"), [(False, 2), (True, 4)])
def test_the_best_weights_are_kept_or_the_last(tmp_path, keep_last, kept_step):
    recipe, stage = tiny_stage(write_recipe(tmp_path / "recipe.toml"))
    saved = []
    stage.validate = lambda _network: float(stage.step)  # worse and worse
    stage.save = lambda network, file: saved.append(stage.step)
    settings = replace(recipe.rvq_training, steps=4, validate_every=2, keep_last=keep_last)
    run(stage, settings, tmp_path / "out", quiet)
    assert saved[-1] == kept_step


def test_mixed_precision_is_close(tmp_path):
    """What bfloat16 does to the loss; autocast behaves on CPU as on CUDA."""
    _, stage = tiny_stage(write_recipe(tmp_path / "recipe.toml"))
    totals = []
    for is_mixed in (False, True):
        generator = torch.Generator().manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_mixed):
            totals.append(stage.loss(generator, 0)["total"])
    assert totals[1].dtype == torch.float32
    torch.testing.assert_close(totals[0], totals[1], rtol=0.02, atol=0.0)
    totals[1].backward()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(stage.loss(torch.Generator().manual_seed(1), 5)["total"])


RANK_SCRIPT = """
import hashlib, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from tiny_training import tiny_stage
from model_runtime.training import ranks
from model_runtime.training.loop import run
ranks.join()
recipe, stage = tiny_stage(Path(sys.argv[2]))
run(stage, recipe.rvq_training, Path(sys.argv[3]), print)
digest = hashlib.sha256()
for module in stage.modules().values():
    for tensor in module.state_dict().values():
        digest.update(tensor.numpy().tobytes())
sys.stdout.write(f"weights {ranks.rank()} {digest.hexdigest()}\\n")
ranks.leave()
"""


def test_two_processes_hold_the_same_weights(tmp_path):
    script, recipe = tmp_path / "rank.py", write_recipe(tmp_path / "recipe.toml", steps=6)
    script.write_text(RANK_SCRIPT, encoding="utf-8")
    torchrun = "-m torch.distributed.run --standalone --nproc-per-node 2".split()
    ended = subprocess.run(
        [sys.executable, *torchrun, script, Path(__file__).parent, recipe, tmp_path / "two"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    digests = dict(re.findall(r"weights (\d) (\w{64})", ended.stdout))
    assert sorted(digests) == ["0", "1"]
    assert digests["0"] == digests["1"]
    assert ended.stdout.count("rvq 6/6") == 1  # one of them reports
    single = load_file(train_tokenizer(tmp_path / "one", steps=6) / STATE)
    double = load_file(tmp_path / "two" / STATE)
    name = (
        "network.encoder.0.weight" if "network.encoder.0.weight" in single else sorted(single)[-1]
    )
    assert not torch.equal(single[name], double[name])  # the second one's batches count


def test_goes_on_from_a_model_and_keeps_its_tokenizer(tmp_path, tiny_weights, capsys):
    folder, recipe = write_data(tmp_path / "data"), write_recipe(tmp_path / "recipe.toml")
    arguments = ["train", "all", "--data", str(folder), "--config", str(recipe)]
    arguments += ["--out", str(tmp_path / "out"), "--start-from", str(tiny_weights)]
    assert main(arguments) == 0
    assert "rvq: kept" in capsys.readouterr().out
    old, new = read_card(tiny_weights), read_card(tmp_path / "out" / "model")
    assert new.name == "tiny"
    for part in ("rvq", "base", "residual", "length"):
        assert new.parts[part].config.get("width") == old.parts[part].config.get("width")
    before, after = load_file(old.folder / "rvq.safetensors"), Start.open(str(new.folder))
    kept = after.tensors("rvq")
    assert torch.allclose(before.pop("codebooks"), kept["codebooks"], atol=0.02)
    assert all(torch.equal(before[name].half().float(), kept[name]) for name in before)


def test_adds_layers_to_a_tokenizer(tmp_path, tiny_weights, monkeypatch):
    monkeypatch.setattr(more_layers, "STEPS", 30)
    monkeypatch.setattr(more_layers, "BATCH", 64)
    folder, recipe = write_data(tmp_path / "data"), write_recipe(tmp_path / "recipe.toml")
    arguments = ["train", "all", "--data", str(folder), "--config", str(recipe)]
    arguments += ["--out", str(tmp_path / "out"), "--start-from", str(tiny_weights)]
    assert main([*arguments, "--more-layers", "2"]) == 0

    before, after = (
        load_file(file / "rvq.safetensors") for file in (tiny_weights, tmp_path / "out")
    )
    assert len(after["codebooks"]) == len(before["codebooks"]) + 2
    for name, trained in before.items():
        assert torch.equal(after[name][: len(trained)], trained)
    old, new = (Start.open(str(path)) for path in (tiny_weights, tmp_path / "out" / "model"))
    assert new.card.num_quantizers == 5
    features = torch.randn(8, 40, 263)
    fewer, more = (each.tokenizer() for each in (old, new))
    tokens = more.encode(features)
    left = more.latents(features) - more.codes(tokens[..., :3]).sum(dim=0)
    finer = more.latents(features) - more.codes(tokens).sum(dim=0)
    assert finer.norm() < left.norm()
    same = (fewer.encode(features) == tokens[..., :3]).float().mean()
    assert same > 0.9  # but for codebooks rounded to 8 bits
    motions = generate(
        open_networks(new.card.folder), torch.zeros(1, 16).numpy(), [40], [0], Sampling()
    )
    assert motions[0].tokens.shape == (10, 5)
    assert (motions[0].tokens[:, 3:] == ABSENT).all()  # the transformers make three
    assert (motions[0].tokens[:, 0] != ABSENT).all()


def test_retrains_the_tokenizer_when_told(tmp_path, tiny_weights):
    folder, recipe = write_data(tmp_path / "data"), write_recipe(tmp_path / "recipe.toml")
    arguments = ["train", "rvq", "--data", str(folder), "--config", str(recipe)]
    arguments += ["--out", str(tmp_path / "out"), "--start-from", str(tiny_weights)]
    assert main([*arguments, "--retrain-tokenizer"]) == 0
    before, after = (
        load_file(file / "rvq.safetensors") for file in (tiny_weights, tmp_path / "out")
    )
    names = before.keys() - {"codebooks"}  # of which those that no clip uses are drawn anew
    changes = [(before[name] - after[name]).abs().max() for name in names]
    assert 0.0 < max(changes) < 1e-3


def test_curves_are_written_where_tensorboard_is(tmp_path, monkeypatch):
    written = []

    class Curves:
        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, step))

        def close(self) -> None:
            written.append(("closed", 0))

    monkeypatch.setattr(progress, "_open_curves", lambda _folder: Curves())
    monkeypatch.setattr(progress, "CURVE_EVERY_STEPS", 2)
    train_tokenizer(tmp_path / "out", steps=3)
    assert ("loss/total", 2) in written
    assert ("validation", 3) in written
    assert written[-1] == ("closed", 0)


def test_goes_without_tensorboard(tmp_path, monkeypatch):
    def missing(name: str):
        raise ImportError(name)

    monkeypatch.setattr(progress.importlib, "import_module", missing)
    assert (train_tokenizer(tmp_path / "out", steps=3) / STATE).is_file()


def test_a_terminal_shows_a_moving_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 0.0)
    train_tokenizer(tmp_path / "out", steps=3)
    assert re.search(r"\r.*rvq \[#+\.+\] 2/3 features", capsys.readouterr().err)
