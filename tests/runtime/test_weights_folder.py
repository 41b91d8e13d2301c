"""A weights folder is checked before it is used; what is wrong is said in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model_runtime.packing import Tensors
from model_runtime.torch_backend import TorchNetworks, choose_device
from model_runtime.weights_folder import (
    CARD_FILE,
    WeightsError,
    file_part,
    find_weights,
    read_card,
    read_tensors,
    write_folder,
)

Fields = dict[str, Any]


@pytest.fixture
def folder(tiny_weights: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may damage."""
    return shutil.copytree(tiny_weights, tmp_path / "model")


def edit_card(folder: Path, change: Callable[[Fields], object]) -> None:
    file = folder / CARD_FILE
    fields = json.loads(file.read_text())
    change(fields)
    file.write_text(json.dumps(fields))


def edit_tensors(folder: Path, part: str, change: Callable[[Tensors], object]) -> None:
    """Change a file and its hash: what is left is a folder that was made wrongly."""
    file = folder / f"{part}.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    edit_card(folder, lambda card: card[part].update(file_part(file)))


def refusal(folder: Path) -> str:
    with pytest.raises(WeightsError) as refused:
        TorchNetworks.open(folder, "cpu")
    message = str(refused.value)
    assert "\n" not in message and len(message) < 600
    assert str(folder) in message
    return message


def test_a_complete_folder_opens(folder: Path):
    networks = TorchNetworks.open(folder, "cpu")
    assert networks.card.name == "tiny"
    text = networks.embed_text(["a person walks left"])
    assert text.vectors.shape == (1, 16) and text.truncated == [False]
    assert networks.embed_text(["walks " * 500]).truncated == [True]
    assert networks.length_logits(text.vectors).shape == (1, 50)
    tokens = networks.encode(np.zeros((40, 263)))
    assert tokens.shape == (10, 3) and tokens.dtype == np.int64
    assert networks.decode(tokens).shape == (40, 263)


@pytest.mark.parametrize("part", ["statistics", "rvq", "base", "residual", "length", "text"])
def test_a_changed_byte_is_found_and_the_file_named(folder: Path, part: str):
    file = folder / f"{part}.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    message = refusal(folder)
    assert file.name in message and "again" in message


def test_a_changed_vocabulary_is_found(folder: Path):
    with (folder / "vocabulary.txt").open("a") as stream:
        stream.write("dances\n")
    assert "vocabulary.txt" in refusal(folder)


def test_a_file_cut_short_or_missing_is_named(folder: Path):
    file = folder / "base.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert file.name in refusal(folder)
    file.unlink()
    message = refusal(folder)
    assert file.name in message and "again" in message


def safetensors_of(header: dict[str, Any], data: bytes = bytes(8)) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def one(shape: list[int], *offsets: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    "content",
    [
        b"PK not tensors",
        (2**62).to_bytes(8, "little") + b"{}",
        safetensors_of({"a": one([2**38], 0, 2**40)}),
        safetensors_of({"a": one([3], 0, 8)}),
        safetensors_of({"a": one([2], 0, 8), "b": one([1], 4, 8)}),
        safetensors_of({"a": one([2], -8, 0)}),
    ],
    ids=["other", "endless header", "beyond the file", "too many", "overlapping", "before it"],
)
def test_a_file_that_is_no_safetensors_is_named(folder: Path, content: bytes):
    file = folder / "base.safetensors"
    file.write_bytes(content)
    edit_card(folder, lambda card: card["base"].update(file_part(file)))
    assert file.name in refusal(folder)


@pytest.mark.parametrize(
    "name",
    ["../rvq.safetensors", "/etc/hostname", "sub/rvq.safetensors", "..", ".", "", "a\\b", "a\0b"],
)
def test_a_card_that_points_outside_its_folder_is_refused(folder: Path, name: str):
    shutil.copyfile(folder / "rvq.safetensors", folder.parent / "rvq.safetensors")
    edit_card(folder, lambda card: card["rvq"].update(file=name))
    assert "outside its folder" in refusal(folder)
    edit_card(folder, lambda card: card["rvq"].update(file="rvq.safetensors"))
    edit_card(folder, lambda card: card["text"]["vocabulary"].update(file=name))
    assert "outside its folder" in refusal(folder)


def test_a_link_out_of_the_folder_is_refused(folder: Path):
    outside = folder.parent / "rvq.safetensors"
    (folder / "rvq.safetensors").rename(outside)
    (folder / "rvq.safetensors").symlink_to(outside)
    assert "outside its folder" in refusal(folder)


def test_a_link_to_the_folder_itself_is_fine(folder: Path):
    link = folder.parent / "link"
    link.symlink_to(folder, target_is_directory=True)
    assert read_card(link).name == "tiny"


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("", "Cannot read"),
        ("{", "Cannot read"),
        ("[1]", "not a model card"),
        ("{}", "not a model card"),
        ('{"format": 0}', "not a model card"),
        ('{"format": 2, "name": "later"}', "newer version"),
        ('{"format": 1}', "no entry 'name'"),
        ("[" * 100_000, "Cannot read"),
    ],
)
def test_a_card_that_is_none_is_refused(folder: Path, card: str, words: str):
    (folder / CARD_FILE).write_text(card)
    assert words in refusal(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda card: card.pop("rvq"), "no entry 'rvq'"),
        (lambda card: card.update(rvq=[]), "damaged"),
        (lambda card: card.update(rvq="rvq.safetensors"), "damaged"),
        (lambda card: card["base"].pop("sha256"), "no entry 'sha256'"),
        (lambda card: card["text"].update(kind="t5"), "newer version"),
        (lambda card: card["text"].pop("vocabulary"), "vocabulary"),
        (lambda card: card.update(sampling={"steps": 0}), "steps must be 1 to 100"),
        (lambda card: card.update(sampling={"speed": 1}), "speed"),
        (lambda card: card["rvq"]["config"].update(colour=1), "colour"),
        (lambda card: card["rvq"]["config"].update(width="wide"), "rvq.safetensors"),
        (lambda card: card["rvq"]["config"].update(width=-1), "rvq.safetensors"),
        (lambda card: card["base"]["config"].update(width=32), "instead of"),
        (lambda card: card["base"]["config"].update(num_layers=3), "missing: trunk.layers.2"),
        (lambda card: card["base"]["config"].update(num_layers=1), "unexpected: trunk.layers.1"),
        (lambda card: card["base"]["config"].update(num_heads=0), "base.safetensors"),
        (lambda card: card["base"]["config"].update(num_heads=5), "base.safetensors"),
    ],
)
def test_a_wrong_entry_is_named(folder: Path, change: Callable[[Fields], object], words: str):
    edit_card(folder, change)
    assert words in refusal(folder)


def test_unknown_notes_in_a_card_are_ignored(folder: Path):
    edit_card(folder, lambda card: card.update(note="made on a Tuesday", length=None, text=None))
    networks = TorchNetworks.open(folder, "cpu")
    with pytest.raises(WeightsError, match="no text tower"):
        networks.embed_text(["a person walks"])
    with pytest.raises(WeightsError, match="length"):
        networks.length_logits(np.zeros((1, 16), np.float32))


def test_missing_and_unexpected_tensors_are_named(folder: Path):
    edit_tensors(folder, "base", lambda tensors: tensors.pop("tokens.weight"))
    assert "missing: tokens.weight" in refusal(folder)
    edit_tensors(folder, "base", lambda tensors: tensors.update(extra=np.zeros(1, np.float32)))
    assert "unexpected: extra" in refusal(folder)


def test_an_8_bit_tensor_needs_its_scale(folder: Path):
    def quantize(tensors: Tensors) -> None:
        tensors["tokens.weight.int8"] = tensors.pop("tokens.weight").astype(np.int8)

    edit_tensors(folder, "base", quantize)
    assert "scale" in refusal(folder)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_a_deviation_that_divides_nothing_is_refused(folder: Path, value: float):
    edit_tensors(folder, "statistics", lambda tensors: tensors["std"].__setitem__(7, value))
    assert "statistics.safetensors" in refusal(folder)


def test_statistics_of_another_representation_are_refused(folder: Path):
    edit_tensors(folder, "statistics", lambda t: t.update(mean=np.zeros(251, np.float32)))
    assert "mean is (251,) instead of (263,)" in refusal(folder)


def test_networks_that_do_not_fit_each_other_are_refused(folder: Path):
    edit_card(folder, lambda card: card["rvq"]["config"].update(num_quantizers=2))
    edit_tensors(folder, "rvq", lambda t: t.update(codebooks=t["codebooks"][:2]))
    assert "2, 3 quantizers" in refusal(folder)


def test_models_are_found_by_name_and_by_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    assert find_weights(str(folder)) == folder
    with pytest.raises(WeightsError, match="no model 'model'"):
        find_weights("model")
    monkeypatch.setenv("MOMASK_WEIGHTS", str(folder.parent))
    assert find_weights("model") == folder
    with pytest.raises(WeightsError, match=r"no model 'modle'. Known models: .*model"):
        find_weights("modle")
    with pytest.raises(WeightsError, match="not a weights folder"):
        find_weights(str(tmp_path))
    for name in ("", ".", "..", "no/such/folder", "x" * 5000, "a\0b"):
        with pytest.raises(WeightsError):
            find_weights(name)


def test_a_folder_whose_writing_failed_is_not_taken_for_complete(folder: Path):
    wrong = {"rvq": {"weight": np.zeros(3, dtype=object)}}
    with pytest.raises(Exception):  # noqa: B017 - whatever safetensors makes of it
        write_folder(folder, {"name": "new"}, wrong, {}, {})
    with pytest.raises(WeightsError, match="not a weights folder"):
        find_weights(str(folder))


def test_half_precision_is_widened(folder: Path):
    edit_tensors(folder, "rvq", lambda t: t.update({k: v.astype(np.float16) for k, v in t.items()}))
    card = read_card(folder)
    tensors = read_tensors(folder, card.parts["rvq"])
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}
    TorchNetworks.open(folder, "cpu")


def test_a_device_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(WeightsError, match="CUDA"):
        choose_device("cuda")
