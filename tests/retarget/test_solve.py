"""A motion lands right on skeletons that rest, bend and lie in other ways than ours."""

import numpy as np
import pytest
from skeletons import TURNED, joints_of, skeleton, walking

from momask_blender.contract import rotation
from momask_blender.retarget.channels import basis_rotations, turns_from_basis
from momask_blender.retarget.proportions import floor_of, size_of
from momask_blender.retarget.read import read_pose
from momask_blender.retarget.roles import JOINT_OF
from momask_blender.retarget.solve import solve_motion
from momask_blender.retarget.target import bone_heads
from momask_blender.rig.driven import driven_bones

LIMBS = [
    (f"{side}_{part}", f"{side}_{below}")
    for side in "lr"
    for part, below in (
        ("upperarm", "forearm"),
        ("forearm", "hand"),
        ("thigh", "shin"),
        ("shin", "foot"),
    )
]
RIGS = {
    "ours": {},
    "A-pose": {"arms_down": 0.8},
    "A-pose, elbows bent": {"arms_down": 0.8, "elbows_bent": 0.5},
    "arms at the sides": {"arms_down": 1.5, "elbows_bent": 0.2},
    "small, facing +X": {"turned": "facing +X", "size": 0.01},
    "large, Y up": {"turned": "Y up", "size": 30.0},
    "facing back": {"turned": "facing +Y", "arms_down": 0.5},
    "askew": {"turned": "askew", "spine": 4},
    **{f"{count} spine bones": {"spine": count} for count in (1, 2, 4, 5)},
}


def directions(heads: np.ndarray, start: int, end: int) -> np.ndarray:
    return rotation.normalized(heads[:, end] - heads[:, start])


def degrees_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), np.sum(a * b, axis=-1)))


@pytest.mark.parametrize("name", RIGS)
def test_limbs_point_as_the_motions_and_joints_come_back(name):
    target = driven_bones(*skeleton(**RIGS[name]))
    pose = walking()
    motion = solve_motion(pose, target)
    heads, wanted = bone_heads(target, motion), joints_of(pose)
    for upper, lower in LIMBS:
        seen = directions(heads, target.roles[upper], target.roles[lower])
        asked = directions(wanted, JOINT_OF[upper], JOINT_OF[lower])
        assert degrees_between(seen, asked).max() < 0.01, upper
    error = np.linalg.norm(joints_of(read_pose(target, motion)) - wanted, axis=-1)
    exact = len(target.spine) > 2
    assert error.mean() < (1e-6 if exact else 5e-3 if len(target.spine) == 2 else 0.02)
    again = solve_motion(read_pose(target, motion), target)
    np.testing.assert_allclose(again.location, motion.location, atol=1e-6 * size_of(target))
    if len(target.spine) != 1:
        same = np.abs(np.sum(again.turns * motion.turns, axis=-1))
        assert np.degrees(2.0 * np.arccos(np.clip(same, 0.0, 1.0))).max() < 0.1


@pytest.mark.parametrize("turned", TURNED)
def test_the_rest_pose_of_the_model_is_the_rest_pose_of_the_trunk(turned):
    target = driven_bones(*skeleton(turned, arms_down=0.7))
    pose = walking(0.1)
    pose.rotations[:] = rotation.IDENTITY
    turns = solve_motion(pose, target).turns
    for role, bone in target.roles.items():
        if "arm" not in role and "hand" not in role:
            np.testing.assert_allclose(turns[:, bone, 1:], 0.0, atol=1e-7, err_msg=role)


def test_pose_bones_turn_alike_whatever_their_axes_are():
    heads = []
    for seed in (1, 2):
        target = driven_bones(*skeleton("facing +X", arms_down=0.5, seed=seed))
        motion = solve_motion(walking(), target)
        basis = basis_rotations(target, motion.turns)
        assert np.sum(basis[1:] * basis[:-1], axis=-1).min() > 0.0, "no sign flips"
        np.testing.assert_allclose(turns_from_basis(target, basis), motion.turns, atol=1e-9)
        heads.append(bone_heads(target, motion))
    np.testing.assert_allclose(heads[0], heads[1], atol=1e-9)


def test_a_motion_turned_about_is_the_same_motion_turned():
    target = driven_bones(*skeleton(arms_down=0.6, spine=2))
    plain = bone_heads(target, solve_motion(walking(), target))
    for yaw in (1.0, 2.5, 3.14159, -2.0):
        turned = bone_heads(target, solve_motion(walking(yaw=yaw), target))
        back = rotation.about_axis((0.0, 0.0, 1.0), np.array(-yaw))
        np.testing.assert_allclose(rotation.rotate(back, turned), plain, atol=1e-6)


@pytest.mark.parametrize("size", [0.01, 0.6, 40.0])
def test_the_balls_of_the_feet_stand_on_the_rigs_own_floor(size):
    rest, joint_map = skeleton(size=size)
    target = driven_bones(rest, joint_map)
    assert size_of(target) == pytest.approx(size)
    assert floor_of(target) == pytest.approx(0.0, abs=1e-9)
    pose = walking(0.1)
    pose.rotations[:] = rotation.IDENTITY
    pose.root[:] = (0.0, 0.0, joints_of(pose)[0, 0, 2])
    pose.root[:, 2] -= joints_of(pose)[:, JOINT_OF["l_toe"], 2]
    heads = bone_heads(target, solve_motion(pose, target, ground=0.3))
    np.testing.assert_allclose(heads[:, target.roles["l_toe"], 2], 0.3, atol=1e-6 * size)


def test_without_toes_hands_neck_and_collars_the_rest_still_plays():
    rest, joint_map = skeleton()
    lost = [role for role in joint_map.bones if role.endswith(("toe", "hand", "neck", "collar"))]
    for role in lost:
        del joint_map.bones[role]
    target = driven_bones(rest, joint_map)
    motion = solve_motion(walking(), target)
    assert np.isfinite(motion.turns).all()
    assert size_of(target) == pytest.approx(1.0, abs=0.02)
    pose = read_pose(target, motion)
    knees = [JOINT_OF["l_shin"], JOINT_OF["r_foot"]]
    error = np.linalg.norm(joints_of(pose) - joints_of(walking()), axis=-1)[:, knees]
    assert error.max() < 0.02
