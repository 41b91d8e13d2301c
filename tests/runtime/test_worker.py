"""Motions from the real worker process, with the shipped starter model."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_runtime.networks import SHIPPED_WEIGHTS
from model_runtime.parts import split_prompt
from momask_blender.contract.messages import WEIGHTS, Generate, Notice, Progress
from momask_blender.contract.pose import Pose, pose_to_joints, solve_pose
from momask_blender.errors import UserError
from momask_blender.job import request_motion


@pytest.fixture
def starter_copy(tmp_path) -> Path:
    """A copy of the starter that may be damaged."""
    folder = tmp_path / "copied model é"
    shutil.copytree(SHIPPED_WEIGHTS / "starter", folder)
    return folder


def generate(tmp_path, **changes) -> tuple[dict, list]:
    heard: list = []
    wanted = {"prompt": "a person walks forward", "num_frames": 50} | changes
    finished = request_motion(Generate(out=str(tmp_path / "m.npz"), **wanted), heard.append)
    with np.load(finished.files[0], allow_pickle=False) as arrays:
        return dict(arrays), heard


def test_a_motion_arrives_complete(tmp_path):
    motion, heard = generate(tmp_path, seed=5)
    assert motion["joints"].shape == motion["joints_rig"].shape == (50, 22, 3)
    assert motion["joints"].dtype == motion["joints_rig"].dtype == np.float32
    assert motion["features"].shape == (50, 263)
    assert motion["tokens"].shape == (13, 10), "the last token is used in part"
    assert (int(motion["fps"]), int(motion["seed"])) == (20, 5)
    assert (str(motion["prompt"]), str(motion["weights"])) == ("a person walks forward", "starter")
    rebuilt = pose_to_joints(solve_pose(motion["joints"]))
    np.testing.assert_allclose(motion["joints_rig"], rebuilt, atol=1e-5)
    phases = [message.phase for message in heard if isinstance(message, Progress)]
    assert phases[0] == "Loading the model"
    assert set(phases) >= {"Generating motion"}
    played = pose_to_joints(Pose(motion["root"].astype(float), motion["rotations"].astype(float)))
    np.testing.assert_allclose(played, motion["joints_rig"], atol=1e-5)
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.npz"]


def test_the_same_request_gives_the_same_bits(tmp_path):
    first, _ = generate(tmp_path, seed=11)
    second, _ = generate(tmp_path, seed=11)
    other, _ = generate(tmp_path, seed=12)
    assert np.array_equal(first["joints"], second["joints"])
    assert not np.array_equal(first["tokens"], other["tokens"])


def test_variations_are_what_their_seeds_give_alone(tmp_path):
    request = Generate(
        prompt="a person jumps", out=str(tmp_path / "m.npz"), num_frames=60, seed=5, variations=3
    )
    finished = request_motion(request, lambda _message: None)
    assert [Path(file).name for file in finished.files] == ["m.npz", "m-2.npz", "m-3.npz"]
    alone, _ = generate(tmp_path, prompt="a person jumps", num_frames=60, seed=7)
    with np.load(finished.files[2], allow_pickle=False) as third:
        assert int(third["seed"]) == 7
        assert np.array_equal(third["tokens"], alone["tokens"])


def test_the_answer_tells_the_settings_that_were_used(tmp_path):
    request = Generate(prompt="walk", out=str(tmp_path / "m.npz"), num_frames=40, steps=3)
    settings = request_motion(request, lambda _message: None).settings
    assert (settings["model"], settings["steps"], settings["guidance_scale"]) == ("starter", 3, 4.0)


def test_a_draft_takes_fewer_passes_unless_told_how_many(tmp_path):
    request = Generate(prompt="walk", out=str(tmp_path / "m.npz"), num_frames=40, draft=True)
    used = request_motion(request, lambda _message: None).settings
    assert (used["draft"], used["steps"], used["residual_guidance_scale"]) == (True, 8, 1.0)
    used = request_motion(replace(request, steps=3), lambda _message: None).settings
    assert (used["draft"], used["steps"], used["residual_guidance_scale"]) == (True, 3, 1.0)


def test_without_a_length_the_model_decides(tmp_path):
    motion, _ = generate(tmp_path, num_frames=None)
    assert 40 <= len(motion["joints"]) <= 196
    assert len(motion["joints"]) % 4 == 0


def test_a_prompt_over_the_limit_is_cut_and_said_so(tmp_path):
    _, heard = generate(tmp_path, prompt="walk " * 300)
    texts = [message.text for message in heard if isinstance(message, Notice)]
    assert "The prompt is longer than the model reads; its end was left out." in texts


@pytest.mark.parametrize(
    ("prompt", "named", "begins"),
    [
        ("a person performs surgery", "this prompt, so", ""),
        (
            "a person walks forward, then performs surgery",
            "'a person performs surgery', so",
            "a person walks forward, then ",
        ),
        (
            "a horse gallops, then a person performs surgery",
            "'a horse gallops' or 'a person performs surgery', so",
            "",
        ),
    ],
)
def test_a_notice_says_which_action_is_unknown(tmp_path, prompt, named, begins):
    _, heard = generate(tmp_path, prompt=prompt)
    (notice,) = [message for message in heard if isinstance(message, Notice)]
    assert f"trained on nothing like {named}" in notice.text
    assert notice.offers()
    for near, whole in notice.offers():
        parts = split_prompt(prompt)
        unknown = 1 if begins else 0
        assert split_prompt(whole) == [*parts[:unknown], near, *parts[unknown + 1 :]]
        assert whole.startswith(begins)


def refused(tmp_path, folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        generate(tmp_path, weights=str(folder))
    assert not list(tmp_path.glob("*.npz")), "no partial file"
    assert caught.value.code == WEIGHTS
    return str(caught.value)


def test_a_damaged_file_is_named(tmp_path, starter_copy):
    file = starter_copy / "base.safetensors"
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    assert "base.safetensors" in refused(tmp_path, starter_copy)


def test_a_missing_file_is_named(tmp_path, starter_copy):
    (starter_copy / "rvq.safetensors").unlink()
    assert "rvq.safetensors" in refused(tmp_path, starter_copy)


@pytest.mark.parametrize("escape", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors"])
def test_a_card_that_points_elsewhere_is_refused(tmp_path, starter_copy, escape):
    card = json.loads((starter_copy / "model.json").read_text())
    card["base"]["file"] = escape
    (starter_copy / "model.json").write_text(json.dumps(card))
    assert "outside" in refused(tmp_path, starter_copy)


def test_unknown_weights_list_the_known_ones(tmp_path):
    assert "starter" in refused(tmp_path, tmp_path / "nothing here")
