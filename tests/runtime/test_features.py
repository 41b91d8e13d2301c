"""The 263-d representation: equal to the reference, and its own inverse."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from model_runtime import features
from model_runtime.features import COLUMNS
from momask_blender.contract import rotation
from momask_blender.contract.skeleton import MIRRORED, REST_JOINTS

CLIPS = (
    "02_01_walk",
    "05_02_dance",
    "131_02",
    "135_03_martial",
    "13_11_jump",
    "60_01_salsa",
)


@pytest.fixture(params=CLIPS)
def golden(request, shared):
    return load_file(shared / "fixtures" / "representation" / f"{request.param}.safetensors")


@pytest.fixture
def target_lengths(shared):
    file = shared / "fixtures" / "representation" / "target_skeleton.safetensors"
    return load_file(file)["bone_lengths"]


def turning_walk(num_frames: int = 120, degrees: float = 300.0) -> np.ndarray:
    """(T, 22, 3): the rest pose carried along an arc, arms swinging a little."""
    time = np.arange(num_frames) / 20.0
    yaw = np.radians(np.linspace(0.0, degrees, num_frames))
    body = np.repeat(REST_JOINTS[None], num_frames, axis=0)
    body[:, 20, 2] += 0.1 * np.sin(6.0 * time)
    facing = rotation.about_axis((0.0, 1.0, 0.0), yaw)
    path = np.stack([1.0 - np.cos(yaw), np.zeros_like(yaw), np.sin(yaw)], axis=-1)
    return rotation.rotate(facing[:, None], body) + path[:, None]


def test_columns_are_the_published_layout():
    assert features.NUM_FEATURES == 263
    assert COLUMNS["positions"] == slice(4, 67)
    assert COLUMNS["rotations_6d"] == slice(67, 193)
    assert COLUMNS["velocities"] == slice(193, 259)
    assert COLUMNS["contacts"] == slice(259, 263)


def test_uniform_skeleton_matches_the_reference(golden, target_lengths):
    uniform = features.uniform_skeleton(golden["joints_in"].astype(float), target_lengths)
    np.testing.assert_allclose(uniform, golden["uniform_positions"], atol=1e-5)


def test_placing_matches_the_reference(golden):
    placed = features.place_at_origin(golden["uniform_positions"].astype(float))
    np.testing.assert_allclose(placed, golden["global_positions"], atol=1e-5)


def test_encoding_matches_the_reference(golden, target_lengths):
    uniform = features.uniform_skeleton(golden["joints_in"].astype(float), target_lengths)
    placed = features.place_at_origin(uniform)
    encoded = features.joints_to_features(placed, continuous_yaw=False)
    expected = golden["features"]
    for name, columns in COLUMNS.items():
        tolerance = {"contacts": 0.0, "rotations_6d": 2e-5}.get(name, 1e-5)
        difference = np.abs(encoded[:, columns] - expected[:, columns]).max()
        assert difference <= tolerance, f"{name} differs by {difference:.2e}"


def test_rotations_match_the_reference(golden):
    placed = golden["global_positions"].astype(float)
    heading = features.heading_quaternions(placed)
    heading[0] = rotation.IDENTITY
    np.testing.assert_allclose(heading, golden["r_rot_quat"], atol=1e-5)
    local = features.local_rotations(placed, heading)
    np.testing.assert_allclose(local, golden["local_quats"], atol=2e-5)


def test_decoding_matches_the_reference(golden):
    joints = features.features_to_joints(golden["features"], repair_yaw=False)
    np.testing.assert_allclose(joints, golden["recovered_joints"], atol=1e-5)


def test_round_trip_keeps_a_motion_that_turns_past_180_degrees():
    joints = features.place_at_origin(turning_walk())
    back = features.features_to_joints(features.joints_to_features(joints))
    np.testing.assert_allclose(back, joints[:-1], atol=1e-9)


def test_decoding_repairs_the_reference_yaw_flip():
    joints = features.place_at_origin(turning_walk())
    flipped = features.joints_to_features(joints, continuous_yaw=False)
    clean = features.joints_to_features(joints)
    assert np.abs(flipped[:, 0] - clean[:, 0]).max() > 0.02, "this motion must show the flip"
    np.testing.assert_allclose(features.features_to_joints(flipped), joints[:-1], atol=1e-9)
    wrong = features.features_to_joints(flipped, repair_yaw=False)
    assert np.abs(wrong - joints[:-1]).max() > 0.05


def test_repair_leaves_real_turns_alone():
    sway = 0.03 * np.sin(np.linspace(0.0, 20.0, 100))
    np.testing.assert_array_equal(features.repair_heading_steps(sway), sway)


def test_features_do_not_depend_on_place_or_heading():
    joints = turning_walk(degrees=100.0)
    turn = rotation.about_axis((0.0, 1.0, 0.0), np.array(1.2))
    elsewhere = rotation.rotate(turn, joints) + (3.0, 0.4, -2.0)
    first = features.joints_to_features(features.place_at_origin(joints))
    second = features.joints_to_features(features.place_at_origin(elsewhere))
    np.testing.assert_allclose(first, second, atol=1e-9)


def test_mirrored_motion_has_mirrored_features():
    joints = features.place_at_origin(turning_walk(degrees=100.0))
    mirrored = (joints * (-1.0, 1.0, 1.0))[:, MIRRORED]
    first = features.joints_to_features(joints)
    second = features.joints_to_features(mirrored)
    np.testing.assert_allclose(first[:, 0], -second[:, 0], atol=1e-9)
    np.testing.assert_allclose(first[:, 3], second[:, 3], atol=1e-9)
    contacts = COLUMNS["contacts"]
    np.testing.assert_array_equal(first[:, contacts], second[:, contacts][:, [2, 3, 0, 1]])


def test_one_frame_is_refused():
    with pytest.raises(ValueError, match="at least 2 frames"):
        features.joints_to_features(REST_JOINTS[None])
