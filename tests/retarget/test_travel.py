"""Where a motion begins and who carries it."""

import numpy as np
import pytest
from skeletons import skeleton, walking

from momask_blender.contract import rotation
from momask_blender.retarget.channels import bone_keys
from momask_blender.retarget.proportions import middle_of_hips
from momask_blender.retarget.solve import solve_motion
from momask_blender.retarget.target import bone_heads
from momask_blender.retarget.travel import (
    Standing,
    begin_at,
    facings,
    in_place,
    onto_root,
    standing,
)
from momask_blender.rig.driven import driven_bones

FPS = 20.0


def moved(**options):
    target = driven_bones(*skeleton(**options), root_bone=options.get("root", False))
    return target, solve_motion(walking(), target)


@pytest.mark.parametrize("heading", [0.0, 2.0, -3.0])
def test_a_motion_begins_where_it_is_told(heading):
    target, motion = moved(turned="facing +X", arms_down=0.4)
    start = Standing(np.array([3.0, -2.0]), heading)
    begun = begin_at(target, motion, start)
    heads = bone_heads(target, begun)
    there = standing(heads[0], target)
    np.testing.assert_allclose(there.place, start.place, atol=1e-4)
    assert there.heading == pytest.approx(heading, abs=1e-4)
    same = np.linalg.norm(np.diff(heads, axis=1), axis=-1)
    before = np.linalg.norm(np.diff(bone_heads(target, motion), axis=1), axis=-1)
    np.testing.assert_allclose(same, before, atol=1e-9)


def test_in_place_stays_and_keeps_the_sway():
    target, motion = moved()
    path = middle_of_hips(bone_heads(target, motion), target)
    stays = middle_of_hips(bone_heads(target, in_place(target, motion, FPS)), target)
    assert np.linalg.norm(path[-1] - path[0]) > 2.0
    assert np.linalg.norm((stays - stays[0])[:, :2], axis=-1).max() < 0.15
    np.testing.assert_allclose(stays[:, 2], path[:, 2], atol=1e-12)


def test_the_root_bone_takes_travel_and_heading_and_nothing_moves_otherwise():
    target, motion = moved(root=True)
    carried = onto_root(target, motion, FPS)
    heads, before = bone_heads(target, carried), bone_heads(target, motion)
    body = [bone for bone in range(len(target.bones)) if bone != target.root]
    np.testing.assert_allclose(heads[:, body], before[:, body], atol=1e-9)
    root = heads[:, target.root]
    np.testing.assert_allclose(root[:, 2], target.heads[target.root, 2], atol=1e-12)
    hips = middle_of_hips(heads, target)
    assert np.linalg.norm((root - hips)[:, :2], axis=-1).max() < 0.15
    yaw = np.unwrap(
        2.0 * np.arctan2(carried.turns[:, target.root, 3], carried.turns[:, target.root, 0])
    )
    assert np.abs(yaw - np.unwrap(facings(before, target))).max() < 0.35
    keys = {each.bone: each for each in bone_keys(target, carried)}
    assert keys["root"].location is not None
    assert np.ptp(keys["pelvis"].location[:, 1]) < 0.3 * np.ptp(keys["root"].location, axis=0).max()


def test_one_key_and_two_are_motions_too():
    target, _ = moved(root=True)
    for count in (1, 2):
        pose = walking(count / 20.0)
        motion = begin_at(target, solve_motion(pose, target), Standing(np.zeros(2)))
        for carried in (in_place(target, motion, FPS), onto_root(target, motion, FPS)):
            assert np.isfinite(carried.location).all()
            assert len(carried.turns) == count


def test_turns_stay_rotations():
    target, motion = moved(root=True)
    begun = begin_at(target, motion, Standing(np.ones(2), 1.0))
    for each in (begun, onto_root(target, begun, FPS)):
        np.testing.assert_allclose(np.linalg.norm(each.turns, axis=-1), 1.0, atol=1e-9)
        assert rotation.continuous(each.turns) == pytest.approx(each.turns)


def test_from_rest_a_motion_begins_as_the_model_made_it():
    target, motion = moved()
    np.testing.assert_array_equal(begin_at(target, motion, None).location, motion.location)
    there = standing(bone_heads(target, motion)[0], target)
    assert begin_at(target, motion, there) is motion, "made again where it was made"
