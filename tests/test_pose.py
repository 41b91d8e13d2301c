"""Joints to rigid segments and back."""

import numpy as np
import pytest

from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose, pose_to_joints, solve_pose
from momask_blender.contract.skeleton import (
    INDEX,
    JOINTS,
    MIRRORED,
    PARENTS,
    REST_JOINTS,
    REST_OFFSETS,
)

UP = (0.0, 1.0, 0.0)
LIMBS = [
    (f"{side}_{start}", f"{side}_{end}")
    for side in ("left", "right")
    for start, end in (
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
        ("hip", "knee"),
        ("knee", "ankle"),
        ("ankle", "foot"),
    )
]


def lively_pose(num_frames: int = 60) -> Pose:
    """Every segment swings its own way; elbows and knees bend only as a body's do."""
    time = np.linspace(0.0, 3.0, num_frames)
    local = np.zeros((num_frames, len(JOINTS), 4))
    local[..., 0] = 1.0
    for index, name in enumerate(JOINTS):
        side = -1.0 if name.startswith("right") else 1.0
        if "elbow" in name:
            local[:, index] = rotation.about_axis((0.0, -side, 0.0), 0.8 + 0.6 * np.sin(2 * time))
        elif "knee" in name:
            local[:, index] = rotation.about_axis((1.0, 0.0, 0.0), 0.7 + 0.6 * np.sin(3 * time))
        elif name in ("head", "left_wrist", "right_wrist", "left_foot", "right_foot"):
            continue  # what 22 joints do not show
        else:
            axis = rotation.normalized(np.array([1.0, side * 0.3, 0.2]))
            local[:, index] = rotation.about_axis(axis, 0.25 * np.sin(2 * time + index))
    world = local.copy()
    for index, parent in enumerate(PARENTS):
        if parent >= 0:
            world[:, index] = rotation.multiply(world[:, parent], local[:, index])
    root = np.stack([0.5 * time, 0.95 + 0.0 * time, 0.2 * np.sin(time)], axis=-1)
    return Pose(root, world)


@pytest.fixture(scope="module")
def joints():
    return pose_to_joints(lively_pose())


def directions(joints, start, end):
    return rotation.normalized(joints[:, INDEX[end]] - joints[:, INDEX[start]])


def test_rest_pose_solves_to_no_rotation():
    pose = solve_pose(REST_JOINTS[None])
    np.testing.assert_allclose(np.abs(pose.rotations[0, :, 0]), 1.0, atol=1e-9)
    np.testing.assert_allclose(pose_to_joints(pose)[0], REST_JOINTS, atol=1e-9)


def test_a_rigid_motion_comes_back(joints):
    np.testing.assert_allclose(pose_to_joints(solve_pose(joints)), joints, atol=1e-6)


def test_limbs_point_exactly_where_the_joints_do(joints):
    stretched = joints + 0.01 * np.sin(np.arange(joints.size)).reshape(joints.shape)
    solved = pose_to_joints(solve_pose(stretched))
    for start, end in LIMBS:
        cosine = np.sum(directions(solved, start, end) * directions(stretched, start, end), axis=-1)
        assert np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).max() <= 0.05, (start, end)


def test_bone_lengths_are_the_skeletons_own(joints):
    stretched = joints * 1.1 + 0.01 * np.cos(np.arange(joints.size)).reshape(joints.shape)
    solved = pose_to_joints(solve_pose(stretched))
    lengths = np.linalg.norm(solved[:, 1:] - solved[:, PARENTS[1:]], axis=-1)
    expected = np.linalg.norm(REST_OFFSETS[1:], axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(expected, lengths.shape), atol=1e-9)


def test_turning_the_motion_turns_the_result(joints):
    turn = rotation.about_axis(UP, np.array(2.5))
    turned = pose_to_joints(solve_pose(rotation.rotate(turn, joints)))
    expected = rotation.rotate(turn, pose_to_joints(solve_pose(joints)))
    np.testing.assert_allclose(turned, expected, atol=1e-9)


def test_moving_the_start_moves_the_result(joints):
    moved = pose_to_joints(solve_pose(joints + (3.0, 0.0, -7.0)))
    expected = pose_to_joints(solve_pose(joints)) + (3.0, 0.0, -7.0)
    np.testing.assert_allclose(moved, expected, atol=1e-9)


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_the_shortest_clips_solve_too(joints, num_frames):
    clip = joints[:num_frames]
    np.testing.assert_allclose(pose_to_joints(solve_pose(clip)), clip, atol=1e-6)


def test_mirroring_the_motion_mirrors_the_result(joints):
    flip = (-1.0, 1.0, 1.0)
    mirrored = pose_to_joints(solve_pose((joints * flip)[:, MIRRORED]))
    expected = (pose_to_joints(solve_pose(joints)) * flip)[:, MIRRORED]
    np.testing.assert_allclose(mirrored, expected, atol=1e-9)


def test_a_longer_legged_body_walks_proportionally(joints):
    solved = pose_to_joints(solve_pose(joints * 1.25))
    np.testing.assert_allclose(solved, pose_to_joints(solve_pose(joints)), atol=1e-9)


def test_straight_and_degenerate_limbs_give_numbers():
    straight = np.repeat(REST_JOINTS[None], 5, axis=0)
    straight[2:, INDEX["left_wrist"]] = straight[2:, INDEX["left_elbow"]]  # no length
    pose = solve_pose(straight)
    assert np.isfinite(pose.rotations).all()
    assert np.isfinite(pose.root).all()


def test_an_elbow_that_straightens_does_not_pop():
    """The hinge is carried over the straight frames in which it cannot be seen."""
    bend = np.abs(np.linspace(-0.8, 0.8, 41))[:, None]
    joints = np.repeat(REST_JOINTS[None], 41, axis=0)
    shoulder, elbow, wrist = (INDEX[f"left_{part}"] for part in ("shoulder", "elbow", "wrist"))
    forearm = np.concatenate([np.cos(bend), 0.0 * bend, np.sin(bend)], axis=-1)
    joints[:, wrist] = joints[:, elbow] + 0.267 * forearm
    joints += 0.002 * np.random.default_rng(0).standard_normal(joints.shape)
    rotations = solve_pose(joints).rotations[:, shoulder]
    steps = np.abs(np.sum(rotations[1:] * rotations[:-1], axis=-1)).clip(max=1.0)
    assert np.degrees(2.0 * np.arccos(steps)).max() < 10.0


def test_neighbouring_quaternions_never_flip_sign(joints):
    rotations = solve_pose(joints).rotations
    assert np.sum(rotations[1:] * rotations[:-1], axis=-1).min() > 0.9


@pytest.fixture(scope="module")
def recordings(shared) -> list[np.ndarray]:
    """Every twentieth clip of real motion capture."""
    files = sorted((shared / "mocap" / "joints").glob("*.npy"))[::20]
    return [np.load(file).astype(float) for file in files]


def test_mocap_keeps_its_feet_and_hands(recordings):
    errors = [np.linalg.norm(pose_to_joints(solve_pose(c)) - c, axis=-1) for c in recordings]
    error = np.concatenate(errors)
    feet = [INDEX[name] for name in ("left_ankle", "right_ankle", "left_foot", "right_foot")]
    assert error[:, feet].mean() < 0.002
    assert error[:, feet].max() < 0.02
    assert error.mean() < 0.006


def test_solving_what_was_solved_changes_nothing(recordings):
    for clip in recordings:
        once = pose_to_joints(solve_pose(clip))
        np.testing.assert_allclose(pose_to_joints(solve_pose(once)), once, atol=1e-5)


def test_limbs_of_mocap_twist_no_faster_than_people_do(recordings):
    """Turn per frame beyond what moved the segment. Dancers exceed 25 degrees at times."""
    twists = np.concatenate([excess_twist(clip) for clip in recordings])
    assert twists.max() < 45.0
    assert (twists > 25.0).mean() < 1e-3


def excess_twist(clip: np.ndarray) -> np.ndarray:
    """Degrees per frame, (T - 1, segments): the whole turn less the turn of the direction."""
    pose = solve_pose(clip)
    turn = rotation.multiply(pose.rotations[1:], rotation.inverse(pose.rotations[:-1]))
    solved = pose_to_joints(pose)
    twists = []
    for start, end in LIMBS:
        along = directions(solved, start, end)
        swing = np.arccos(np.clip(np.sum(along[1:] * along[:-1], axis=-1), -1.0, 1.0))
        whole = 2.0 * np.arccos(np.clip(np.abs(turn[:, INDEX[start], 0]), 0.0, 1.0))
        twists.append(whole - swing)
    return np.degrees(np.stack(twists, axis=-1))


def test_our_cross_product_is_numpys_to_the_bit():
    rng = np.random.default_rng(0)
    for shape in ((3,), (80, 3), (80, 22, 3)):
        a, b = rng.normal(size=3), rng.normal(size=shape)
        assert np.array_equal(rotation.cross(a, b), np.cross(a, b))
        assert np.array_equal(rotation.cross(b, b[..., ::-1]), np.cross(b, b[..., ::-1]))
