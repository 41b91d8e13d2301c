"""Gaps are filled and kept frames stay: the starter on ONNX Runtime, from arrays to the worker."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_runtime import __main__ as command
from model_runtime.evaluation.prompt_checks import holds
from model_runtime.gap_tokens import (
    LONGEST,
    asks_for_more,
    count_steps,
    fill_tokens,
    unknown_tokens,
    windows,
)
from model_runtime.gap_travel import bring_home
from model_runtime.gap_turns import blend, turning
from model_runtime.inpainting import (
    about_short_gaps,
    check_fills,
    encode,
    inpaint,
    sampling_for_gaps,
)
from model_runtime.motions import MotionMaker, Phases
from model_runtime.pipeline import Silence, as_condition, generate, read_prompt
from model_runtime.sampling import MASK, Sampling, SeededNoise
from model_runtime.source_motion import SourceMotion, interpolate_pose, read_source
from momask_blender.contract import rotation
from momask_blender.contract.messages import Finished, Inpaint, Notice
from momask_blender.contract.pose import Pose, pose_to_joints, solve_pose
from momask_blender.contract.seams import Gap
from momask_blender.job import start_worker

UP = np.array([0.0, 1.0, 0.0])
QUIET = Sampling(guidance_scale=0.0, residual_guidance_scale=0.0, steps=4)
GAPS = {
    "middle": [(40, 70)],
    "prefix": [(0, 25)],
    "suffix": [(61, 100)],
    "several": [(0, 8), (30, 47), (70, 74), (95, 100)],
}


@pytest.fixture(scope="module")
def networks() -> Any:
    from model_runtime.networks import find_weights
    from model_runtime.onnx_backend import OnnxNetworks

    return OnnxNetworks.open(find_weights("starter"))


@pytest.fixture(scope="module")
def dance(shared: Path) -> np.ndarray:
    """Joints (100, 22, 3) of a recorded dance that travels."""
    return np.load(shared / "mocap" / "joints" / "cmu_94_06_00.npy")[:100].astype(float)


def kept_but(num_frames: int, gaps: list[tuple[int, int]]) -> np.ndarray:
    is_kept = np.ones(num_frames, dtype=bool)
    for start, stop in gaps:
        is_kept[start:stop] = False
    return is_kept


def motion_with(joints: np.ndarray, is_kept: np.ndarray) -> SourceMotion:
    return SourceMotion(solve_pose(joints), joints, is_kept)


def fill(networks: Any, source: SourceMotion, seeds: list[int]) -> list[Pose]:
    nothing = np.zeros(networks.configs.base.text_size, np.float32)
    return [filled.pose for filled in inpaint(networks, nothing, source, seeds, QUIET)]


@pytest.mark.parametrize("where", GAPS)
def test_kept_frames_come_out_as_they_were_and_gaps_move_on_from_them(networks, dance, where):
    is_kept = kept_but(len(dance), GAPS[where])
    source = motion_with(dance, is_kept)
    (pose,) = fill(networks, source, [3])
    assert np.array_equal(pose.root[is_kept], source.pose.root[is_kept])
    same = np.abs(np.sum(pose.rotations * source.pose.rotations, axis=-1))[is_kept]
    np.testing.assert_allclose(same, 1.0, atol=1e-12)
    joints = pose_to_joints(pose)
    assert np.isfinite(joints).all()
    recorded = np.linalg.norm(np.diff(pose_to_joints(source.pose), axis=0), axis=-1)
    steps = np.linalg.norm(np.diff(joints, axis=0), axis=-1)
    assert steps.max() < 1.5 * recorded.max()
    guess = pose_to_joints(interpolate_pose(source.pose, is_kept))
    assert np.abs(joints - guess)[~is_kept].max() > 0.02, "the model has its say"


class Count(Silence):
    """A report that counts passes."""

    steps = 0

    def step(self) -> None:
        self.steps += 1


@pytest.mark.parametrize(("num_frames", "num_steps"), [(4, 1), (12, 3), (60, 10)])
def test_a_short_gap_takes_no_more_steps_than_it_has_tokens(networks, num_frames, num_steps):
    is_kept = kept_but(100, [(20, 20 + num_frames)])
    tokens = np.where(unknown_tokens(is_kept)[:, None], MASK, np.zeros((25, 6), np.int64))
    text, heard = np.zeros((1, networks.configs.base.text_size), np.float32), Count()
    sampling = Sampling(guidance_scale=0.0, residual_guidance_scale=0.0)
    fill_tokens(networks, text, tokens, [SeededNoise(0)], sampling, heard)
    assert heard.steps == num_steps + 5 == count_steps(networks, sampling, is_kept)


def test_speed_goes_on_across_the_seams(networks, dance):
    is_kept = kept_but(len(dance), GAPS["middle"])
    for pose in fill(networks, motion_with(dance, is_kept), [0, 1, 2]):
        speed = np.linalg.norm(np.diff(pose_to_joints(pose), axis=0), axis=-1)
        jumps = np.abs(np.diff(speed, axis=0)).max(axis=1)  # at frames 1, 2, ...
        for frame in (39, 40, 69, 70):
            assert jumps[frame - 1] < 1.5 * np.median(speed.max(axis=1))


def test_kept_tokens_keep_all_their_layers(networks, dance):
    is_kept = kept_but(len(dance), GAPS["several"])
    tokens = encode(networks, interpolate_pose(solve_pose(dance), is_kept))
    unknown = unknown_tokens(is_kept)
    assert 0 < unknown.sum() < len(unknown)
    masked = np.where(unknown[:, None], MASK, tokens)
    nothing = np.zeros((2, networks.configs.base.text_size), np.float32)
    noises = [SeededNoise(seed) for seed in (0, 1)]
    filled = fill_tokens(networks, nothing, masked, noises, QUIET, Silence())
    for clip in filled:
        assert np.array_equal(clip[~unknown], tokens[~unknown])
        assert (clip[unknown][:, 0] >= 0).all()
    assert not np.array_equal(filled[0], filled[1])


def test_two_actions_fill_a_gap_one_after_the_other(networks):
    still, usual = read_prompt(networks, "a person stands still"), networks.card.sampling
    stands = generate(networks, as_condition(still, 1), [196], [3], usual)[0]
    source = motion_with(stands.joints_rig, kept_but(196, [(36, 156)]))
    words = read_prompt(networks, "a person does squats, then reaches up with both arms")
    text = as_condition(words, 1)[0]
    fills = inpaint(networks, text, source, [0, 1, 2], sampling_for_gaps(usual, True))
    for filled in fills:
        gap = pose_to_joints(filled.pose)[36:156]
        assert holds("first crouches", gap) and holds("second hands_above_head", gap)
        assert not holds("hands_above_head", gap[:40])
    alone = inpaint(networks, text, source, [2], sampling_for_gaps(usual, True))[0]
    np.testing.assert_allclose(alone.pose.root, fills[2].pose.root, atol=1e-4)


def test_a_seed_fills_the_same_alone_or_beside_others(networks, dance):
    source = motion_with(dance, kept_but(len(dance), GAPS["middle"]))
    together = fill(networks, source, [5, 6])
    (alone,) = fill(networks, source, [6])
    assert np.array_equal(alone.root, together[1].root)
    assert np.abs(together[0].root - together[1].root).max() > 0.01


def test_fills_stand_where_the_motion_stands(networks, dance):
    is_kept = kept_but(len(dance), GAPS["middle"])
    (here,) = fill(networks, motion_with(dance, is_kept), [0])
    turn, away = rotation.about_axis(UP, 2.2), np.array([7.0, 0.0, -3.0])
    (there,) = fill(networks, motion_with(rotation.rotate(turn, dance) + away, is_kept), [0])
    moved = rotation.rotate(turn, pose_to_joints(here)) + away
    np.testing.assert_allclose(pose_to_joints(there), moved, atol=1e-4)


def test_what_lies_in_a_gap_is_not_read(networks, dance, tmp_path):
    kept = ((0, 39), (70, 99))
    spoiled = dance.copy()
    spoiled[40:70] = np.nan
    poses = []
    for name, joints in (("whole", dance), ("spoiled", spoiled)):
        np.savez(tmp_path / f"{name}.npz", joints=joints)
        poses += fill(networks, read_source(tmp_path / f"{name}.npz", kept), [1])
    assert np.array_equal(poses[0].root, poses[1].root)


def test_a_gap_longer_than_the_model_sees_is_filled(networks, dance):
    still = np.repeat(dance[-1:], 300, axis=0)
    joints = np.concatenate([dance[:60], still, dance[:60] + dance[-1, 0] * (1.0, 0.0, 1.0)])
    is_kept = kept_but(len(joints), [(60, 360)])
    (pose,) = fill(networks, motion_with(joints, is_kept), [0])
    steps = np.linalg.norm(np.diff(pose_to_joints(pose), axis=0), axis=-1)
    assert steps.max() < 0.4


@pytest.mark.parametrize("seed", range(20))
def test_windows_settle_every_token_once_they_can_see_it(seed):
    generator = np.random.default_rng(seed)
    unknown = np.repeat(generator.random(12) < 0.5, generator.integers(1, 40, 12))
    left = unknown.copy()
    for window in windows(unknown):
        assert window.stop - window.start <= LONGEST
        assert not left[: window.start].any()
        before = left.sum()
        left[window.start : window.settled] = False
        assert left.sum() < before
    assert not left.any()


def test_missing_travel_is_made_up_by_the_steps_and_not_by_standing():
    from momask_blender.contract.skeleton import REST_JOINTS

    standing = solve_pose(np.repeat(REST_JOINTS[None], 41, axis=0))
    root = standing.root.copy()
    root[20:, 2] += 0.05 * np.arange(21)  # 20 frames at rest, then a metre ahead
    made = Pose(root, standing.rotations)
    turn = rotation.about_axis(UP, 1.0 * (np.arange(41) == 40))[:, None]
    end = (0.5, 0.0, 0.5) * (np.arange(41) == 40)[:, None]
    wanted = Pose(made.root + end, rotation.multiply(turn, made.rotations))
    arrived = bring_home(made, wanted, 0, 40)
    home = arrived.pose
    np.testing.assert_allclose(home.root[[0, 40]], wanted.root[[0, 40]], atol=1e-9)
    apart = rotation.multiply(home.rotations[40], rotation.inverse(wanted.rotations[40]))
    np.testing.assert_allclose(np.abs(apart[:, 0]), 1.0, atol=1e-9)
    moved = np.linalg.norm(home.root - made.root, axis=-1)
    assert arrived.missing > 0.3 + 0.3
    assert moved[20] < 0.25 * moved[40]


def test_short_gaps_are_interpolated_and_it_is_said(dance, tmp_path):
    np.savez(tmp_path / "dance.npz", joints=dance)
    heard: list[Any] = []
    request = Inpaint(
        source=str(tmp_path / "dance.npz"),
        kept=((0, 39), (43, 99)),
        out=str(tmp_path / "filled.npz"),
    )
    MotionMaker().fill(request, heard.append, Phases(heard.append, 0))
    (notice,) = [message for message in heard if isinstance(message, Notice)]
    assert "interpolated: 40:42" in notice.text
    with np.load(request.out) as filled:
        assert np.abs(filled["joints"] - dance)[40:43].max() < 0.05
        assert np.array_equal(
            filled["joints"][filled["kept"]], dance.astype(np.float32)[filled["kept"]]
        )


def test_short_gaps_are_called_as_the_user_calls_them():
    is_kept = kept_but(100, [(10, 12), (40, 70), (90, 93)])
    words = about_short_gaps(is_kept, ["frames 15 to 17", "frames 60 to 104", "frames 135 to 139"])
    assert words.endswith("interpolated: frames 15 to 17, frames 135 to 139.")


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (["0:40", "30:99"], "overlap"),
        (["0:40", "41:99"], "no frame to fill"),
        (["0:99"], "All frames are kept"),
        (["0:100"], "outside of the motion, which has the frames 0 to 99"),
        (["-3:20"], "outside"),
        (["40:20"], "ends before it begins"),
        (["4"], "no range of frames"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(dance, tmp_path, capsys, keep, words):
    np.savez(tmp_path / "dance.npz", joints=dance)
    arguments = [f"--keep={each}" for each in keep]
    assert_refused([str(tmp_path / "dance.npz"), *arguments], tmp_path, capsys, words)


def with_nan(joints: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(joints))[:, None, None] == 7, np.nan, joints)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda dance: {"joints": with_nan(dance)}, "no numbers, first at frame 7"),
        (lambda dance: {"joints": dance[:, :21]}, "shape"),
        (lambda dance: {"joints": 100.0 * dance}, "in metres"),
        (lambda dance: {"joints": dance[:1]}, "frames 0 to 0"),
        (lambda dance: {"joints": dance, "fps": 30}, "20 frames per second"),
        (lambda dance: {"motion": dance}, "neither 'joints'"),
        (lambda dance: {"root": dance[:, 0], "rotations": np.ones((100, 22, 4))}, "unit quat"),
    ],
)
def test_sources_that_cannot_be_used_are_refused(dance, tmp_path, capsys, change, words):
    np.savez(tmp_path / "dance.npz", **change(dance))
    assert_refused([str(tmp_path / "dance.npz"), "--keep=0:40"], tmp_path, capsys, words)


def test_files_that_are_no_motions_are_refused(tmp_path, capsys):
    (tmp_path / "text.npz").write_text("hello")
    assert_refused([str(tmp_path / "text.npz"), "--keep=0:9"], tmp_path, capsys, "no .npz file")
    assert_refused([str(tmp_path / "none.npz"), "--keep=0:9"], tmp_path, capsys, "There is no file")
    same = str(tmp_path / "filled.npz")
    assert_refused([same, "--keep=0:9"], tmp_path, capsys, "would be overwritten")


def assert_refused(arguments: list[str], folder: Path, capsys: Any, words: str) -> None:
    out = folder / "filled.npz"
    try:
        status = command.main(["inpaint", *arguments, "--out", str(out)])
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr().err
    assert status == 2
    assert words in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_a_model_of_another_skeleton_fills_no_gaps(published, networks):
    check_fills(networks)
    with pytest.raises(ValueError, match="knows the 21 joints of KIT only"):
        check_fills(published("kit"))


def test_the_worker_fills_a_pose_with_and_without_words(dance, tmp_path):
    pose = solve_pose(dance)
    np.savez(tmp_path / "dance.npz", root=pose.root, rotations=pose.rotations)
    worker = start_worker()
    try:
        for job, prompt in enumerate(["", "a person waves"]):
            request = Inpaint(
                source=str(tmp_path / "dance.npz"),
                kept=((0, 29), (60, 99)),
                out=str(tmp_path / f"{job}.npz"),
                prompt=prompt,
                variations=2,
                job=job,
            )
            worker.send(request)
            heard: list[Any] = []
            while not any(isinstance(message, Finished) for message in heard):
                heard += worker.messages(patience=0.05)
                assert "Failed" not in {type(message).__name__ for message in heard}, heard
    finally:
        worker.kill()
    with np.load(tmp_path / "0-2.npz") as quiet, np.load(tmp_path / "1-2.npz") as told:
        assert np.array_equal(quiet["root"][:30], pose.root[:30].astype(np.float32))
        assert np.abs(quiet["root"] - told["root"]).max() > 0.01


def spinning(num_frames: int, radians: float) -> SourceMotion:
    """Somebody who turns in place by so much per frame, with a gap of 1 s."""
    from momask_blender.contract.skeleton import REST_JOINTS

    turns = rotation.about_axis(UP, radians * np.arange(num_frames))[:, None]
    joints = rotation.rotate(turns, np.repeat(REST_JOINTS[None], num_frames, axis=0))
    return motion_with(joints, kept_but(num_frames, [(20, 40)]))


@pytest.mark.parametrize("degrees", [12.0, -12.0, 17.0, -6.0])
def test_who_spins_goes_on_the_same_way(networks, degrees):
    source = spinning(60, np.radians(degrees))
    guess = interpolate_pose(source.pose, source.is_kept)
    np.testing.assert_allclose(np.degrees(turning(guess.rotations)), degrees, atol=0.5)
    (pose,) = fill(networks, source, [0])
    assert turning(pose.rotations).sum() == pytest.approx(59 * np.radians(degrees), abs=0.1)
    assert np.degrees(np.abs(turning(pose.rotations)).max()) < 4.0 * abs(degrees)


def test_a_blend_of_motions_that_face_apart_changes_sides_nowhere():
    still = spinning(60, 0.0).pose.rotations
    around = spinning(60, np.radians(360 / 21)).pose.rotations  # once in the gap
    share = np.full((20, 1), 0.5)
    mixed = blend(still, around, Gap(20, 40), share)
    np.testing.assert_allclose(np.degrees(turning(mixed)), 180 / 21, atol=0.1)


OWN = {
    "cmu_94_06_00": "a person performs an indian dance",
    "cmu_16_31_00": "a person walks forward",
    "cmu_14_31_02": "a person sits on a low stool",
}


@pytest.mark.parametrize("clip", OWN)
def test_words_ask_for_more_unless_they_say_what_is_kept(networks, shared, clip):
    joints = np.load(shared / "mocap" / "joints" / f"{clip}.npy").astype(float)
    is_kept = kept_but(len(joints), [(20, 40)])
    tokens = encode(networks, interpolate_pose(solve_pose(joints), is_kept))
    tokens = np.where(unknown_tokens(is_kept)[:, None], MASK, tokens)
    for words in OWN.values():
        text = networks.embed_text([words]).vectors[0]
        assert asks_for_more(networks, text, tokens) == (words != OWN[clip]), words
    nothing = np.zeros(networks.configs.base.text_size, np.float32)
    assert not asks_for_more(networks, nothing, tokens)


def test_the_same_kept_frames_are_filled_as_the_words_say(networks, dance):
    source = motion_with(dance, kept_but(len(dance), [(20, 80)]))
    usual = sampling_for_gaps(networks.card.sampling, has_prompt=True)
    actions = ("directs traffic", "kicks", "jumps", "performs squats")
    fills = [
        pose_to_joints(inpaint(networks, text, source, [0], usual)[0].pose)
        for text in networks.embed_text([f"a person {does}" for does in actions]).vectors
    ]
    for one, other in combinations(fills, 2):
        assert np.linalg.norm(one - other, axis=-1)[40:60].mean() > 0.1
    pelvis = [fill[20:80, 0, 1] for fill in fills]
    assert pelvis[2].max() > pelvis[0].max() + 0.05, "who jumps rises"
    assert pelvis[3].min() < pelvis[0].min() - 0.08, "who squats sinks"
