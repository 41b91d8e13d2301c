"""Networks are told a prompt's kind of action, and hear strange sentences softly."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from model_runtime.action_kinds import PART, SOFTLY, ActionKinds
from model_runtime.backends import open_networks
from model_runtime.networks import CARD_FILE, WeightsError, file_part, find_weights, read_card
from model_runtime.torch_backend import TextEncoder
from model_runtime.training.user_prompts import read_kinds

CARD = read_card(find_weights("starter"))
FILE = f"{PART}.safetensors"
KINDS = [*read_kinds(), "other"]


@pytest.fixture(scope="module")
def kinds() -> ActionKinds:
    found = ActionKinds.read(CARD)
    assert found
    return found


def said(encoder: TextEncoder, prompt: str) -> np.ndarray:
    return encoder.embed_corpus([prompt], encoder.width + 10)[0]


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("the builder knocks back a mug of tea on his break", "drink"),
        ("slouched on the couch, watching TV", "sit"),
        ("her ladyship strolls home, the stairs behind her", "walk_forward"),
        ("goalie? no, the striker boots it at the goal", "kick_ball"),
        ("deep knee bends in front of a client", "squats"),
    ],
)
def test_scenery_is_not_taken_for_the_action(kinds, encoder, prompt, kind):
    shares = kinds.shares(said(encoder, prompt))
    assert shares.shape == (len(KINDS),) and shares.sum() == pytest.approx(1.0)
    assert KINDS[shares.argmax()] == kind


def test_a_caption_is_heard_as_it_is_said_and_a_strange_sentence_softly(kinds, encoder):
    width = encoder.width
    for prompt, share in (
        ("a person walks forward", 1.0),
        ("the builder knocks back a mug of tea to the left of his van", SOFTLY),
    ):
        vector = said(encoder, prompt)
        heard = kinds.heard(vector)
        np.testing.assert_allclose(heard[:width], share * vector[:width])
        np.testing.assert_array_equal(heard[width : width + 10], vector[width:])
        np.testing.assert_array_equal(heard[width + 10 :], kinds.shares(vector))


def test_who_climbs_or_may_climb_is_not_brought_down(kinds, encoder):
    def stays(*prompts: str) -> bool:
        return kinds.stay_on_floor(np.stack([kinds.heard(said(encoder, each)) for each in prompts]))

    assert stays("a person jumps up and down") and stays("he runs", "she dances")
    assert not stays("a person goes up the stairs")
    assert not stays("a person runs", "a person climbs a ladder")
    assert not kinds.stay_on_floor(np.zeros(394 + len(KINDS)))  # no words


def test_an_empty_prompt_is_heard(kinds):
    assert np.isfinite(kinds.heard(np.zeros(394))).all()


def test_the_starter_hears_them(kinds, encoder):
    networks = open_networks(CARD.folder, "cpu")
    prompt = "grab a pew by the wall"
    vector = networks.embed_text([prompt]).vectors[0]
    np.testing.assert_allclose(vector, kinds.heard(said(encoder, prompt)), atol=1e-3)
    assert KINDS[vector[-len(KINDS) :].argmax()] == "sit_down"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (CARD_FILE, FILE):
        shutil.copyfile(CARD.folder / name, tmp_path / name)
    return tmp_path


def test_a_damaged_or_foreign_file_is_named(folder: Path):
    file = folder / FILE
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(WeightsError, match=r"action_kinds\.safetensors is damaged"):
        ActionKinds.read(read_card(folder))
    shutil.copyfile(CARD.folder / "known_prompts.safetensors", file)
    fields = json.loads((folder / CARD_FILE).read_text())
    fields[PART].update(file_part(file))
    (folder / CARD_FILE).write_text(json.dumps(fields))
    with pytest.raises(WeightsError, match="does not fit"):
        ActionKinds.read(read_card(folder))


@pytest.mark.parametrize("count", ["many", -1, None])
def test_a_number_of_kinds_that_is_none_is_named(folder: Path, count):
    fields = json.loads((folder / CARD_FILE).read_text())
    fields[PART]["config"]["num_kinds"] = count
    (folder / CARD_FILE).write_text(json.dumps(fields))
    with pytest.raises(WeightsError, match="'action_kinds' in the card"):
        ActionKinds.read(read_card(folder))


def test_a_folder_without_it_gives_none(tiny_weights: Path):
    assert ActionKinds.read(read_card(tiny_weights)) is None
