"""Data folders as users have them, and one clear line for each that training cannot use."""

import re
from pathlib import Path

import numpy as np
import pytest
from tiny_training import walk, write_clip, write_data, write_recipe

from model_runtime.__main__ import main
from model_runtime.features import joints_to_features
from model_runtime.training.layouts import DataError, read_captions, read_clips

ONE_LINE = "python -m model_runtime: "


@pytest.fixture
def humanml3d(tmp_path: Path) -> Path:
    """A folder as HumanML3D's scripts leave it, with clips that its users know to be unusable."""
    folder = tmp_path / "HumanML3D"
    for part in ("new_joints", "texts"):
        (folder / part).mkdir(parents=True)
    long = walk(199)
    clips = {
        "000001": (walk(60), "a man walks#a/DET man/NOUN#0.0#0.0\nhe waves#he/PRON#0.0#0.0\n"),
        "000002": (long, "walks and stops#x#0.0#0.0\nstops#x#3.0#6.5\nblinks#x#1.0#1.5\n"),
        "M000001": (walk(60), "mirrored#x#0.0#0.0\n"),
        "000003": (walk(30), "short#x#0.0#0.0\n"),
        "000004": (walk(230), "long#x#0.0#0.0\n"),
        "000005": (np.full((60, 22, 3), np.nan), "nan#x#nan#nan\n"),
        "000006": (walk(60), ""),
    }
    for name, (joints, text) in clips.items():
        np.save(folder / "new_joints" / f"{name}.npy", joints.astype(np.float32))
        if text:
            (folder / "texts" / f"{name}.txt").write_text(text, encoding="utf-8")
    names = "".join(f"{name}\n" for name in [*clips, "000007"])
    for split in ("train", "val", "test"):
        (folder / f"{split}.txt").write_text(names, encoding="utf-8")
    return folder


def test_humanml3d_as_users_have_it(humanml3d):
    said: list[str] = []
    clips = read_clips(humanml3d, "train", said.append)
    assert [(clip.name, len(clip.joints), clip.captions) for clip in clips] == [
        ("000001", 60, ("a man walks", "he waves")),
        ("000002", 196, ("walks and stops",)),
        ("000002_1", 70, ("stops",)),
    ]
    np.testing.assert_allclose(clips[2].joints, walk(199)[60:130], atol=1e-5)
    assert said == [
        "train: 3 clips; left out: 1 mirror images, which training makes itself, "
        "1 parts shorter than two seconds, 1 shorter than two seconds, 1 too long, "
        "1 with NaN, 1 without a motion file, 1 without captions"
    ]


def test_joints_come_from_features_where_there_are_no_others(humanml3d):
    vectors = humanml3d / "new_joint_vecs"
    vectors.mkdir()
    joints = walk(60)
    np.save(vectors / "000001.npy", joints_to_features(joints).astype(np.float32))
    for file in (humanml3d / "new_joints").iterdir():
        file.unlink()
    (clip,) = read_clips(humanml3d, "test", lambda _line: None)
    assert len(clip.joints) == 59
    assert np.abs(clip.joints - joints[:-1]).max() < 1e-4


def test_a_folder_of_unusable_clips_names_the_last(humanml3d):
    (humanml3d / "train.txt").write_text("000003\n000005\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"No clip of .*train.txt can be used.*000005.npy holds"):
        read_clips(humanml3d, "train", lambda _line: None)


@pytest.mark.parametrize(
    ("part", "shape"), [("new_joints", (60, 21, 3)), ("new_joint_vecs", (60, 251))]
)
def test_kit_is_refused_with_its_name(humanml3d, part, shape):
    (humanml3d / "new_joints" / "000001.npy").unlink()
    (humanml3d / part).mkdir(exist_ok=True)
    np.save(humanml3d / part / "000001.npy", np.zeros(shape))
    with pytest.raises(DataError, match=r"000001.npy is KIT-ML data \(21 joints"):
        read_clips(humanml3d, "train")


def test_caption_lines(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("walks#a b#1.0#4.5\nruns\n\njumps#x#nan#nan\nhops#x#5.0#2.0\n")
    spans = [(caption.text, caption.start, caption.stop) for caption in read_captions(file)]
    assert spans == [("walks", 1.0, 4.5), ("runs", 0, 0), ("jumps", 0, 0), ("hops", 0, 0)]


def empty(folder: Path) -> None:
    for file in folder.rglob("*.*"):
        file.unlink()


def change(name: str, joints: np.ndarray):
    return lambda folder: write_clip(folder, name, joints)


def with_nan() -> np.ndarray:
    joints = walk()
    joints[5, 3, 1] = np.nan
    return joints


BROKEN = {
    "empty folder": (empty, "has no train.txt"),
    "empty list": (lambda f: (f / "train.txt").write_text("\n"), "train.txt names no clip"),
    "no validation": (lambda f: (f / "val.txt").unlink(), "has no val.txt"),
    "no caption file": (lambda f: (f / "texts" / "two.txt").unlink(), "Cannot read .*two.txt"),
    "no caption": (
        lambda f: (f / "texts" / "two.txt").write_text("\n"),
        "two.txt holds no caption",
    ),
    "no motion": (lambda f: (f / "joints" / "two.npy").unlink(), "Cannot read .*two.npy"),
    "no array": (lambda f: (f / "joints" / "two.npy").write_text("x"), "Cannot read .*two.npy"),
    "too short": (change("two", walk(39)), "two.npy has 39 frames; 40 to 196 are used"),
    "too long": (change("two", walk(197)), "two.npy has 197 frames; 40 to 196 are used"),
    "not finite": (change("two", with_nan()), "two.npy holds numbers that are not finite"),
    "wrong shape": (change("two", walk()[:, :20]), r"two.npy must hold \(T, 22, 3\)"),
}


def train(*arguments: object) -> int:
    return main(["train", *map(str, arguments)])


def refused(capsys: pytest.CaptureFixture, message: str, *arguments: object) -> None:
    assert train(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(ONE_LINE)
    assert error.count("\n") == 1
    assert re.search(message, error), error


@pytest.mark.parametrize("name", BROKEN)
def test_broken_data_is_named_in_one_line(tmp_path, capsys, name):
    damage, message = BROKEN[name]
    folder = write_data(tmp_path / "data")
    damage(folder)
    recipe = write_recipe(tmp_path / "recipe.toml")
    refused(capsys, message, "rvq", "--data", folder, "--config", recipe, "--out", tmp_path / "o")


def test_a_folder_that_is_not_there(tmp_path, capsys):
    refused(capsys, "There is no data folder", "rvq", "--data", tmp_path / "no", "--out", tmp_path)


def test_an_unknown_key_of_the_recipe(tmp_path, capsys):
    folder = write_data(tmp_path / "data")
    recipe = write_recipe(tmp_path / "recipe.toml", extra="colour = 3")
    arguments = ("--data", folder, "--config", recipe, "--out", tmp_path / "out")
    refused(capsys, "recipe.toml: unknown key colour", "rvq", *arguments)


def test_stages_that_need_an_earlier_one(tmp_path, capsys):
    folder, recipe = write_data(tmp_path / "data"), write_recipe(tmp_path / "recipe.toml")
    arguments = ("--data", folder, "--config", recipe, "--out", tmp_path / "out")
    refused(capsys, "There is no .*rvq.safetensors. Train the stage 'rvq'", "base", *arguments)
    (tmp_path / "out" / "statistics.safetensors").unlink()
    refused(capsys, "There is no .*statistics.safetensors to export", "export", *arguments)


def test_a_damaged_state_file(tmp_path, capsys):
    folder, recipe = write_data(tmp_path / "data"), write_recipe(tmp_path / "recipe.toml")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "rvq.state.safetensors").write_bytes(b"not a checkpoint")
    arguments = ("--data", folder, "--config", recipe, "--out", tmp_path / "out")
    refused(capsys, "rvq.state.safetensors is damaged", "rvq", *arguments)


def test_what_cannot_be_started_from(tmp_path, capsys):
    folder = write_data(tmp_path / "data")
    arguments = ("base", "--data", folder, "--out", tmp_path / "out")
    refused(capsys, "There is no model 'nobody'", *arguments, "--start-from", "nobody")
    refused(capsys, "needs --start-from", *arguments, "--retrain-tokenizer")
    refused(capsys, "needs --start-from", *arguments, "--more-layers", "2")
    both = ("--start-from", "starter", "--more-layers", "2", "--retrain-tokenizer")
    refused(capsys, "--more-layers takes a number from 1 on, and no retraining", *arguments, *both)
