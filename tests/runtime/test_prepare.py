"""Motion files of users become clips that look right: upright, on the floor, left is left."""

import re
from pathlib import Path

import numpy as np
import pytest
from tiny_training import walk, write_recipe

from model_runtime.__main__ import main
from model_runtime.training.bvh import read_bvh
from model_runtime.training.layouts import read_clips
from model_runtime.training.mocap_joints import LENGTHS, bvh_joints, find_joints
from momask_blender.contract.skeleton import INDEX, JOINTS, PARENTS, REST_OFFSETS

MIXAMO = (
    "Hips LeftUpLeg RightUpLeg Spine LeftLeg RightLeg Spine1 LeftFoot RightFoot Spine2 "
    "LeftToeBase RightToeBase Neck LeftShoulder RightShoulder Head LeftArm RightArm "
    "LeftForeArm RightForeArm LeftHand RightHand"
).split()
CENTIMETRES = 100.0
HIP_HEIGHT = 0.96
FEET = [INDEX[f"{side}_{part}"] for side in ("left", "right") for part in ("ankle", "foot")]


def write_bvh(file: Path, frames: int, fps: float, up: str = "y", names: list[str] = MIXAMO):
    """A person facing +X walks 1 m a second along +X, right knee bent, in centimetres."""
    to_file = np.eye(3) if up == "y" else np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    order = f"{up.upper()}rotation Xrotation"
    lines, joints = ["HIERARCHY"], []

    def add(joint: int, depth: int) -> None:
        kind = "ROOT" if PARENTS[joint] < 0 else "JOINT"
        offset = to_file @ REST_OFFSETS[joint] * CENTIMETRES
        lines.append(f"{kind} mixamorig:{names[joint]}\n{{")
        lines.append(f"OFFSET {offset[0]} {offset[1]} {offset[2]}")
        places = "5 Xposition Yposition Zposition" if depth == 0 else "2"
        lines.append(f"CHANNELS {places} {order}")
        joints.append(joint)
        children = [child for child, parent in enumerate(PARENTS) if parent == joint]
        for child in children:
            add(child, depth + 1)
        if not children:
            lines.append("End Site\n{\nOFFSET 0 1 0\n}")
        lines.append("}")

    add(0, 0)
    lines.append(f"MOTION\nFrames: {frames}\nFrame Time: {1.0 / fps:.7f}")
    for frame in range(frames):
        root = to_file @ np.array([frame / fps, HIP_HEIGHT, 0.0]) * CENTIMETRES
        values = [*root, 90.0, 0.0]
        for joint in joints[1:]:
            knee = 20.0 if JOINTS[joint] == "right_knee" else 0.0
            values += [0.0, knee]
        lines.append(" ".join(f"{value:.5f}" for value in values))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def prepared(source: Path, out: Path, *arguments: str) -> list:
    assert main(["prepare", str(source), "--out", str(out), *arguments]) == 0
    return read_clips(out, "train")


def check_body(joints: np.ndarray) -> None:
    bones = np.linalg.norm(joints[:, 1:] - joints[:, PARENTS[1:]], axis=-1)
    assert np.abs(bones - LENGTHS).max() < 1e-3
    assert np.abs(joints[..., 1].min()) < 1e-5
    assert (joints[:, INDEX["head"], 1] > joints[:, 0, 1] + 0.3).all()
    assert np.percentile(joints[:, FEET, 1].min(axis=1), 90) < 0.12
    first = joints[0]
    across = first[INDEX["left_hip"]] - first[INDEX["right_hip"]]
    assert across[0] > 0.1  # facing +Z, the left side is at +X
    assert np.abs(first[0, [0, 2]]).max() < 1e-5


@pytest.mark.parametrize("up", ["y", "z"])
def test_a_walk_written_by_us(tmp_path, up):
    write_bvh(tmp_path / "walk.bvh", frames=361, fps=120.0, up=up)
    (tmp_path / "walk.txt").write_text("a person walks forward\n", encoding="utf-8")
    (clip,) = prepared(tmp_path, tmp_path / "out")
    assert len(clip.joints) == 61
    assert clip.captions == ("a person walks forward",)
    check_body(clip.joints)
    travel = clip.joints[-1, 0] - clip.joints[0, 0]
    np.testing.assert_allclose(travel, [0.0, 0.0, 3.0], atol=0.02)
    left, right = (clip.joints[:, INDEX[f"{side}_ankle"]] for side in ("left", "right"))
    assert (right[:, 2] < left[:, 2] - 0.1).all()  # the right knee is bent: its foot is behind
    assert (right[:, 1] > left[:, 1]).all()


def test_a_rig_without_a_rest_pose(tmp_path):
    """All bones along one axis, joints placed by position channels."""
    joints = walk(50) * CENTIMETRES
    lines = ["HIERARCHY"]

    def add(joint: int) -> None:
        kind = "ROOT" if joint == 0 else "JOINT"
        lines.append(f"{kind} {MIXAMO[joint]}\n{{\nOFFSET {3.0 * (joint > 0)} 0 0")
        lines.append("CHANNELS 3 Xposition Yposition Zposition")
        order.append(joint)
        for child in [c for c, parent in enumerate(PARENTS) if parent == joint]:
            add(child)
        lines.append("}")

    order: list[int] = []
    add(0)
    local = joints - np.where(np.array(PARENTS)[:, None] < 0, 0.0, joints[:, PARENTS])
    rows = [" ".join(map(str, row)) for row in local[:, order].reshape(50, -1)]
    lines += ["MOTION\nFrames: 50\nFrame Time: 0.05", *rows]
    file = tmp_path / "walk.bvh"
    file.write_text("\n".join(lines), encoding="utf-8")
    found = bvh_joints(read_bvh(file), "walk")
    check = found - found[:1, :1]
    expected = (joints - joints[:1, :1]) / CENTIMETRES
    assert np.abs(check - expected).max() < 0.15  # wrists wave on stretched arms in the source


@pytest.mark.parametrize(
    ("name", "speed"), [("cmu_09_03_daz", (3.0, 4.5)), ("cmu_131_03", (0.2, 1.5))]
)
def test_real_recordings(shared, name, speed):
    bvh = read_bvh(shared / "rigs" / f"{name}.bvh")
    joints = bvh_joints(bvh, name)[1:]
    bones = np.linalg.norm(joints[:, 1:] - joints[:, PARENTS[1:]], axis=-1)
    assert np.abs(bones - LENGTHS).max() < 1e-9
    assert (joints[:, INDEX["head"], 1] > joints[:, 0, 1] + 0.4).all()
    assert np.abs(np.percentile(joints[:, FEET, 1].min(axis=1), 20)) < 0.1
    travel = joints[-1, 0] - joints[0, 0]
    seconds = len(joints) / bvh.fps
    assert speed[0] < np.linalg.norm(travel[[0, 2]]) / seconds < speed[1]
    middle = joints[len(joints) // 2]
    across = middle[INDEX["left_hip"]] - middle[INDEX["right_hip"]]
    forward = np.cross(across, (0.0, 1.0, 0.0))
    assert forward @ travel > 0.0  # both go forwards, so left is left
    toes = middle[INDEX["left_foot"]] - middle[INDEX["left_ankle"]]
    knees = (joints[:, INDEX["left_knee"]] - joints[:, INDEX["left_hip"]]) @ forward
    assert (toes @ forward > 0.0) or (knees.max() > 0.1)


def test_a_pose_with_z_up(shared):
    bvh = read_bvh(shared / "rigs" / "makehuman_default_run01.bvh")
    assert len(find_joints(bvh.names, "run01")) == len(JOINTS)
    (pose,) = bvh_joints(bvh, "run01")
    assert pose[INDEX["head"], 1] > pose[0, 1] + 0.4
    assert pose[INDEX["left_hip"], 0] > pose[INDEX["right_hip"], 0]


def test_a_recording_becomes_a_trained_model(shared, tmp_path, capsys):
    """The documented way, with a tiny recipe: prepare, train three steps of each stage."""
    source = tmp_path / "source"
    source.mkdir()
    original = shared / "rigs" / "cmu_131_03.bvh"
    (source / "walk.bvh").write_bytes(original.read_bytes())
    np.save(source / "stroll.npy", walk(430))
    table = tmp_path / "captions.csv"
    table.write_text('id,caption\nwalk,"a person walks, slowly"\nstroll,a person strolls\n')
    folder, out = tmp_path / "data", tmp_path / "model"
    prepared(source, folder, "--captions", str(table))
    names = (folder / "train.txt").read_text().split() + (folder / "val.txt").read_text().split()
    assert sorted(names) == ["stroll_000", "stroll_001", "stroll_002", "walk_000"]
    recipe = write_recipe(tmp_path / "recipe.toml")
    arguments = ["train", "all", "--data", str(folder), "--out", str(out), "--config", str(recipe)]
    assert main(arguments) == 0, capsys.readouterr().err
    target = tmp_path / "take.npz"
    assert main(["generate", "walk", "--weights", str(out / "model"), "--out", str(target)]) == 0
    assert np.isfinite(np.load(target)["joints"]).all()


def test_timed_captions_cut_their_part(tmp_path):
    np.savez(tmp_path / "long.npz", joints=walk(240), fps=np.array(40.0))
    (tmp_path / "long.txt").write_text("walks##0#0\nturns##2.0#5.0\n", encoding="utf-8")
    clips = prepared(tmp_path, tmp_path / "out")
    assert [(clip.captions, len(clip.joints)) for clip in clips] == [
        (("walks",), 120),
        (("turns",), 60),
    ]


def test_the_split_follows_names_alone(tmp_path):
    for name in ("a", "b", "c", "d"):
        np.save(tmp_path / f"{name}.npy", walk(50))
        (tmp_path / f"{name}.txt").write_text("walks", encoding="utf-8")
    splits = []
    for out in ("out1", "out2"):
        prepared(tmp_path, tmp_path.parent / f"{tmp_path.name}_{out}")
        splits.append((tmp_path.parent / f"{tmp_path.name}_{out}" / "val.txt").read_text())
    assert splits[0] == splits[1]


def broken(name: str) -> np.ndarray:
    joints = walk(50)
    if name == "nan":
        joints[3, 4, 1] = np.nan
    if name == "jump":
        joints[25:] += 5.0
    return {"shape": joints[:, :20], "short": joints[:30], "kit": joints[:, :21]}.get(name, joints)


REFUSED = {
    "nan": "clip.npy holds numbers that are not finite",
    "shape": r"clip.npy must hold \(T, 22, 3\)",
    "kit": "clip.npy is KIT-ML data",
    "short": "lasts 2 seconds",
    "jump": "clip.npy jumps 8.7 m within a frame at 1.2 s",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_a_broken_array_in_one_line(tmp_path, capsys, name):
    np.save(tmp_path / "clip.npy", broken(name))
    (tmp_path / "clip.txt").write_text("walks", encoding="utf-8")
    refuses(tmp_path, tmp_path / "out", capsys, REFUSED[name])


def refuses(source: Path, out: Path, capsys, message: str, *arguments: str) -> None:
    assert main(["prepare", str(source), "--out", str(out), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert not (out / "train.txt").exists()


def test_refuses_what_is_missing(tmp_path, capsys):
    out, source = tmp_path / "out", tmp_path / "source"
    refuses(source, out, capsys, "There is no folder")
    source.mkdir()
    refuses(source, out, capsys, "holds no .bvh, .npy, .npz file")
    np.save(source / "clip.npy", walk(50))
    refuses(source, out, capsys, "clip.npy has no caption: neither clip.txt beside it")
    (source / "clip.txt").write_text("\n", encoding="utf-8")
    refuses(source, out, capsys, "clip.txt holds no caption")
    refuses(source, out, capsys, "Cannot read .*no.csv", "--captions", str(tmp_path / "no.csv"))
    (tmp_path / "bad.csv").write_text("clip\n", encoding="utf-8")
    refuses(source, out, capsys, "line 1, has no caption", "--captions", str(tmp_path / "bad.csv"))
    (source / "clip.txt").write_text("walks", encoding="utf-8")
    refuses(source, source, capsys, "is not an empty folder")


DAMAGED_BVH = {
    "cut off": (lambda text: text[: len(text) // 2], "is not a complete BVH file"),
    "no motion": (lambda text: text.split("MOTION")[0], "is not a complete BVH file"),
    "no number": (lambda text: text.replace("96.00000", "high", 1), "could not convert"),
    "not finite": (lambda text: text.replace("96.00000", "nan", 1), "not finite"),
    "unknown names": (
        lambda text: text.replace("mixamorig:", "x"),
        "no joint was found for pelvis",
    ),
    "odd channel": (lambda text: text.replace("Xrotation", "Wrotation", 1), "channel 'wrotation'"),
    "no time": (lambda text: text.replace("Time: 0.05", "Time: 0"), "is not a complete|frame time"),
}


@pytest.mark.parametrize("name", DAMAGED_BVH)
def test_refuses_a_damaged_bvh_in_one_line(tmp_path, capsys, name):
    damage, message = DAMAGED_BVH[name]
    file = tmp_path / "walk.bvh"
    write_bvh(file, frames=45, fps=20.0)
    file.write_text(damage(file.read_text()), encoding="utf-8")
    (tmp_path / "walk.txt").write_text("walks", encoding="utf-8")
    refuses(tmp_path, tmp_path / "out", capsys, message)
