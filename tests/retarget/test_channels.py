"""What pose bones are keyed with, and back."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from momask_blender.contract import rotation
from momask_blender.contract.skeleton import FPS
from momask_blender.retarget.channels import (
    basis_rotations,
    bone_keys,
    carrier_location,
    from_axis_angle,
    from_euler,
    root_location,
    to_axis_angle,
    to_euler,
    turns_from_basis,
)
from momask_blender.retarget.target import BoneMotion, Target, bone_heads

ORDERS = ["".join(order) for order in permutations("XYZ")]
SIZE, HEIGHT = 0.01, 1.0  # an armature in centimetres


def random_turns(num_frames: int, num_bones: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(num_frames, num_bones, 4))
    return rotation.normalized(noise)


def smooth_turns(num_frames: int, seed: int = 0) -> np.ndarray:
    """A tumble with small steps, twice about and through every gimbal lock on its way."""
    rng = np.random.default_rng(seed)
    steps = rotation.about_axis((1.0, 0.0, 0.0), rng.normal(0.02, 0.02, num_frames))
    steps = rotation.multiply(
        steps, rotation.about_axis((0.0, 1.0, 0.0), rng.normal(0.03, 0.02, num_frames))
    )
    quats = [rotation.normalized(rng.normal(size=4))]
    for step in steps[1:]:
        quats.append(rotation.multiply(step, quats[-1]))
    return rotation.continuous(np.array(quats))


def target(**changes) -> Target:
    """A root, hips that are carried, a spine and a leg, with arbitrary axes."""
    whole = Target(
        bones=("root", "hips", "spine", "thigh"),
        parents=(-1, 0, 1, 1),
        heads=np.array([[0.0, 0.0, 0.0], [0.0, 0.1, 1.0], [0.0, 0.1, 1.2], [0.1, 0.1, 0.95]]),
        axes=random_turns(1, 4, seed=7)[0],
        roles={"hips": 1, "l_thigh": 3},
        spine=(2,),
        necks=(),
        carrier=1,
        to_rig=rotation.IDENTITY,
        scale=SIZE,
    )
    return replace(whole, **changes)


def assert_same_turns(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_allclose(rotation.to_matrix(a), rotation.to_matrix(b), atol=1e-14)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"anchor": (rotation.about_axis((0.0, 0.6, 0.8), np.array(0.7)), np.array([1, 2, 3.0]))},
        {"turns_with_parent": (True, True, False, True)},
    ],
    ids=["plain", "posed above", "inherit rotation off"],
)
def test_turns_come_back_exactly(changes):
    rig, turns = target(**changes), random_turns(50, 4)
    basis = basis_rotations(rig, turns)
    assert_same_turns(turns_from_basis(rig, basis), turns)
    assert np.sum(basis[1:] * basis[:-1], axis=-1).min() >= 0.0


def test_a_bone_whose_parent_does_not_turn_it_turns_in_the_armature():
    rig = target(turns_with_parent=(True, True, False, True))
    turns = random_turns(5, 4)
    spun = turns.copy()
    spun[:, 1] = random_turns(5, 1, seed=3)[:, 0]
    before, after = basis_rotations(rig, turns), basis_rotations(rig, spun)
    np.testing.assert_array_equal(np.abs(before[:, 2]), np.abs(after[:, 2]))
    assert np.abs(np.abs(before[:, 3]) - np.abs(after[:, 3])).max() > 0.1


def played(rig: Target, basis: np.ndarray, locations: dict[int, np.ndarray]) -> np.ndarray:
    """Heads as Blender composes them, in rig units: parent, rest offset, own location, own turn."""
    poses: list[np.ndarray] = []
    rest = [matrix(axes, head / SIZE) for axes, head in zip(rig.axes, rig.heads, strict=True)]
    above = matrix(rig.anchor[0], rig.anchor[1] / SIZE)
    for bone, parent in enumerate(rig.parents):
        carried = poses[parent] @ np.linalg.inv(rest[parent]) if parent >= 0 else above[None]
        own = matrix(basis[:, bone], locations.get(bone, np.zeros(3)))
        poses.append(carried @ rest[bone] @ own)
    return np.stack([pose[:, :3, 3] for pose in poses], axis=1) * SIZE


def matrix(quats: np.ndarray, places: np.ndarray) -> np.ndarray:
    turned = rotation.to_matrix(quats)
    whole = np.zeros((*turned.shape[:-2], 4, 4))
    whole[..., :3, :3], whole[..., :3, 3], whole[..., 3, 3] = turned, places, 1.0
    return whole


@pytest.mark.parametrize("has_root", [True, False])
@pytest.mark.parametrize("is_posed_above", [True, False])
def test_the_carrier_is_where_the_motion_has_it(has_root, is_posed_above):
    anchor = (rotation.about_axis((0.6, 0.0, 0.8), np.array(0.4)), np.array([0.3, -0.2, 0.1]))
    rig = target(root=0 if has_root else -1)
    rig = replace(rig, anchor=anchor) if is_posed_above else rig
    rng = np.random.default_rng(1)
    root = rng.normal(size=(20, 3)) if has_root else None
    motion = BoneMotion(random_turns(20, 4), rng.normal(size=(20, 3)), root)
    locations = {1: carrier_location(rig, motion)}
    if has_root:
        locations[0] = root_location(rig, motion)
    heads = played(rig, basis_rotations(rig, motion.turns), locations)
    np.testing.assert_allclose(heads[:, 1], motion.location, atol=1e-13)
    np.testing.assert_allclose(heads, bone_heads(rig, motion), atol=1e-13)


def test_only_what_the_feet_hang_from_carries_them():
    rig = target(bones=("root", "hips", "spine", "thigh"), root=0)
    keys = bone_keys(rig, BoneMotion(random_turns(3, 4), np.zeros((3, 3)), np.zeros((3, 3))))
    assert [each.bone for each in keys] == ["root", "hips", "spine", "thigh"]
    assert [each.carries_feet for each in keys] == [True, True, False, True]
    assert [each.location is not None for each in keys] == [True, True, False, False]


@pytest.mark.parametrize("order", ORDERS)
def test_euler_angles_are_the_same_rotation(order):
    quats = random_turns(500, 1)[:, 0]
    assert_same_turns(from_euler(to_euler(quats, order), order), quats)


@pytest.mark.parametrize("order", ORDERS)
def test_euler_angles_do_not_jump(order):
    quats = smooth_turns(2000)
    angles = to_euler(quats, order)
    assert_same_turns(from_euler(angles, order), quats)
    middle = angles[:, "XYZ".index(order[1])]
    far = np.abs(np.cos(middle)) > 0.3  # away from the gimbal lock, where turns become large
    steps = np.abs(np.diff(angles, axis=0)).max(axis=-1)
    assert steps[far[1:] & far[:-1]].max() < 0.5
    assert steps.max() <= np.pi
    assert np.ptp(angles) > 2.0 * np.pi, "more than one turn is counted on"


@pytest.mark.parametrize("order", ORDERS)
def test_a_turn_through_the_gimbal_lock_is_a_straight_line(order):
    axis = np.eye(3)["XYZ".index(order[1])]
    wanted = np.linspace(0.0, 2.0 * np.pi, 73)  # exactly 90 and 270 degrees on the way
    angles = to_euler(rotation.about_axis(axis, wanted), order)
    np.testing.assert_allclose(angles @ axis, wanted, atol=1e-9)
    np.testing.assert_allclose(angles @ (1.0 - axis), 0.0, atol=1e-6)


def test_euler_angles_start_with_the_smaller_ones():
    angles = np.array([[0.2, 1.4, -0.3]])
    np.testing.assert_allclose(to_euler(from_euler(angles, "XYZ"), "XYZ"), angles, atol=1e-12)


def test_axis_and_angle_are_the_same_rotation_and_do_not_jump():
    quats = smooth_turns(2000)
    values = to_axis_angle(quats)
    assert_same_turns(from_axis_angle(values), quats)
    np.testing.assert_allclose(np.linalg.norm(values[:, 1:], axis=-1), 1.0)
    assert np.sum(values[1:, 1:] * values[:-1, 1:], axis=-1).min() >= 0.0
    swing = rotation.about_axis((0.0, 0.0, 1.0), np.sin(np.arange(2 * FPS) / 5.0))
    np.testing.assert_allclose(np.abs(to_axis_angle(swing)[1:, 3]), 1.0, atol=1e-12)


def test_rest_has_an_axis():
    rest = to_axis_angle(np.repeat(rotation.IDENTITY[None], 3, axis=0))
    np.testing.assert_array_equal(rest, [[0.0, 0.0, 1.0, 0.0]] * 3)
