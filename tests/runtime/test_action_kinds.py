"""Prompts are heard nearer to captions of their kind of action."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from model_runtime.action_kinds import MOST_MOVED, PART, ActionKinds
from model_runtime.networks import CARD_FILE, WeightsError, file_part, find_weights, read_card
from model_runtime.torch_backend import TextEncoder

CARD = read_card(find_weights("starter"))
FILE = f"{PART}.safetensors"


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.open(CARD.folder, CARD.parts["text"], torch.device("cpu"))


@pytest.fixture(scope="module")
def kinds() -> ActionKinds:
    found = ActionKinds.read(CARD)
    assert found
    return found


def said(encoder: TextEncoder, prompt: str, cues: int = 10) -> np.ndarray:
    return encoder.embed_corpus([prompt], encoder.width + cues)[0]


def test_a_caption_is_heard_as_it_is_said(kinds, encoder):
    vector = said(encoder, "a person walks forward")
    np.testing.assert_allclose(kinds.nearer(vector), vector, atol=2e-3)  # 8-bit captions


@pytest.mark.parametrize(
    ("prompt", "like", "unlike"),
    [
        ("the builder knocks back a mug of tea on his break", "drinks", "practices karate"),
        ("slouched on the couch, watching TV", "sits on a high stool", "stands still"),
        ("her ladyship strolls home, the stairs behind her", "walks forward", "goes up the stairs"),
        ("goalie? no, the striker boots it at the goal", "kicks a ball", "runs forward"),
    ],
)
def test_scenery_is_not_taken_for_the_action(kinds, encoder, prompt, like, unlike):
    vector = said(encoder, prompt)
    heard = kinds.nearer(vector)
    near, far = (said(encoder, f"a person {action}") for action in (like, unlike))
    width = encoder.width
    assert np.linalg.norm(heard[:width]) == pytest.approx(np.linalg.norm(vector[:width]), rel=1e-5)
    assert heard[:width] @ near[:width] > vector[:width] @ near[:width] + 0.1
    assert heard[:width] @ near[:width] > heard[:width] @ far[:width]
    assert heard[width:].tolist() == vector[width:].tolist()


def test_a_prompt_of_no_sure_kind_is_moved_by_less(kinds, encoder):
    sure, unsure = (
        said(encoder, text) for text in ("grab a pew on that bench", "a soldier marching")
    )
    assert kinds.shares(sure).max() > 0.8 > kinds.shares(unsure).max()
    share = kinds.shares(unsure)
    assert share.sum() == pytest.approx(1.0) and MOST_MOVED * share.max() < 0.5


def test_models_that_hear_fewer_cues_and_empty_prompts(kinds, encoder):
    vector = said(encoder, "someone saunters along to the left", cues=4)
    assert kinds.nearer(vector)[encoder.width :].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert not kinds.nearer(np.zeros(388, np.float32))[384:].any()
    assert np.isfinite(kinds.nearer(np.zeros(394, np.float32))).all()


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


def test_a_folder_without_it_gives_none(tiny_weights: Path):
    assert ActionKinds.read(read_card(tiny_weights)) is None
