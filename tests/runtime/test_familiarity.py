"""The starter knows what it was trained on: rates on prompts on which nothing was chosen."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from model_runtime.familiarity import DISTINCT, KnownPrompts, unit_rows
from model_runtime.networks import CARD_FILE, WeightsError, file_part, find_weights, read_card
from model_runtime.torch_backend import TextEncoder

HERE = Path(__file__).parent
CARD = read_card(find_weights("starter"))
HELD_OUT = tomllib.loads((HERE / "familiarity.toml").read_text(encoding="utf-8"))
CALIBRATION = tomllib.loads((HERE / "familiarity_calibration.toml").read_text(encoding="utf-8"))
# Written after the measure was fixed, without a look at its bank of foreign prompts.
FRESH = tomllib.loads((HERE / "familiarity_fresh.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def prompts() -> KnownPrompts:
    known = KnownPrompts.read(CARD)
    assert known
    return known


def flagged(prompts: KnownPrompts, encoder: TextEncoder, texts: list[str]) -> list[str]:
    vectors = encoder.embed_corpus(texts, encoder.width)
    judged = zip(texts, vectors, strict=True)
    return [text for text, vector in judged if not prompts.judge(vector).is_known]


def test_the_held_out_prompts_were_not_calibrated_on():
    assert len(HELD_OUT["outside"]) >= 40 and len(HELD_OUT["inside"]) >= 60
    for side in ("inside", "outside"):
        both = CALIBRATION["inside"] + CALIBRATION["outside"]
        assert not set(HELD_OUT[side]) & set(both)


@pytest.mark.parametrize(
    "table", [CALIBRATION, HELD_OUT, FRESH], ids=["calibration", "held out", "fresh"]
)
def test_prompts_outside_are_flagged_and_those_inside_are_not(prompts, encoder, table):
    outside = flagged(prompts, encoder, table["outside"])
    inside = flagged(prompts, encoder, table["inside"])
    assert len(outside) >= 0.8 * len(table["outside"])
    assert len(inside) <= 0.1 * len(table["inside"]), inside


def test_examples_are_known_and_distinct(prompts, encoder):
    assert not flagged(prompts, encoder, list(prompts.examples))
    nearest = prompts.judge(encoder.embed_corpus(["a horse gallops"], encoder.width)[0]).nearest
    assert len(nearest) == 3 and set(nearest) <= set(prompts.examples)
    vectors = unit_rows(encoder.embed_corpus(list(nearest), encoder.width))
    assert ((vectors @ vectors.T)[~np.eye(3, dtype=bool)] < DISTINCT).all()


def test_nearest_prompts_are_nearest_in_meaning(prompts, encoder):
    escalator = encoder.embed_corpus(["a person rides up on an escalator"], encoder.width)[0]
    judged = prompts.judge(escalator)
    assert "a person walks up the stairs" in judged.nearest


def test_captions_are_known(prompts, encoder, shared):
    files = sorted((shared / "mocap" / "texts").glob("*.txt"))[::10]
    captions = [file.read_text(encoding="utf-8").split("#")[0] for file in files]
    assert not flagged(prompts, encoder, list(dict.fromkeys(captions)))


def test_a_vector_of_zeros_is_judged(prompts):
    judged = prompts.judge(np.zeros(388, np.float32))
    assert not judged.is_known and 0.0 <= judged.share < 0.5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (CARD_FILE, "known_prompts.safetensors"):
        shutil.copyfile(CARD.folder / name, tmp_path / name)
    return tmp_path


def test_a_damaged_or_missing_file_is_named(folder: Path):
    file = folder / "known_prompts.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(WeightsError, match=r"known_prompts\.safetensors is damaged"):
        KnownPrompts.read(read_card(folder))
    file.unlink()
    with pytest.raises(WeightsError, match=r"Cannot read .*known_prompts.safetensors"):
        KnownPrompts.read(read_card(folder))


def edit(folder: Path, **changes) -> None:
    fields = json.loads((folder / CARD_FILE).read_text())
    fields["known_prompts"].update(file_part(folder / "known_prompts.safetensors") | changes)
    (folder / CARD_FILE).write_text(json.dumps(fields))


def test_an_entry_that_does_not_fit_is_refused(folder: Path):
    edit(folder, config={"bound": 0.2, "examples": ["a person walks"]})
    with pytest.raises(WeightsError, match="does not fit"):
        KnownPrompts.read(read_card(folder))
    edit(folder, config={"bound": "high", "examples": []})
    with pytest.raises(WeightsError, match="known_prompts"):
        KnownPrompts.read(read_card(folder))


def test_a_folder_without_it_gives_none(tiny_weights: Path):
    assert KnownPrompts.read(read_card(tiny_weights)) is None
