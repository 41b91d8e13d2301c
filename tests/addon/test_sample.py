"""Reading what an armature shows, whatever makes it show that."""

import numpy as np
import pytest
from control_rigs import OWN_MAP, follow, run_to_end

from momask_blender.contract.resample import catmull_rom
from momask_blender.contract.skeleton import FPS
from momask_blender.retarget.border import pose_to_blender
from momask_blender.retarget.read import read_pose
from momask_blender.retarget.target import bone_heads
from momask_blender.rig.joint_map import JointMap

pytestmark = pytest.mark.blender

NUM_KEYS = 48  # of the character's two seconds at 24 fps


def target_of(armature):
    from momask_blender.rig.driven import driven_bones
    from momask_blender.rig.rest import read_rest

    return driven_bones(read_rest(armature), JointMap(OWN_MAP))


def read(armature, frames):
    from momask_blender.rig.sample import sample_bones

    target = target_of(armature)
    return run_to_end(sample_bones(armature, target.bones, frames)).motion(target)


def shown(scene, armature, frames) -> np.ndarray:
    heads = []
    for frame in frames:
        scene.frame_set(int(frame), subframe=frame - int(frame))
        heads.append([armature.pose.bones[name].head[:] for name in target_of(armature).bones])
    return np.array(heads)


def test_a_motion_comes_back_as_it_was_written(bpy, scene, character, motion):
    frames = [scene.frame_start + 24.0 * k / FPS for k in range(len(motion.root))]
    pose = read_pose(target_of(character), read(character, frames[:-1]))
    wanted = pose_to_blender(motion)
    begins = wanted.root[0] * (1.0, 1.0, 0.0) - pose.root[0] * (1.0, 1.0, 0.0)
    np.testing.assert_allclose(pose.root + begins, wanted.root[:-1], atol=2e-3)
    same = np.abs(np.sum(pose.rotations * wanted.rotations[:-1], axis=-1))
    assert same.min() > 1.0 - 1e-4
    assert catmull_rom(pose.root, np.array([0.5])).shape == (1, 3)


def test_constraints_strips_and_parts_of_frames_are_read_as_shown(bpy, scene, character):
    track = character.animation_data.nla_tracks.new()
    action = character.animation_data.action
    strip = track.strips.new("walk", 10, action)
    strip.scale = 1.5
    character.animation_data.action = None
    follow(character, "left_wrist", "COPY_ROTATION", "head")
    character.pose.bones["right_elbow"].constraints.new("LIMIT_ROTATION").use_limit_z = True
    frames = [12.0, 13.25, 40.5, 60.0]
    target = target_of(character)
    np.testing.assert_allclose(
        bone_heads(target, read(character, frames)), shown(scene, character, frames), atol=2e-5
    )


def test_reading_leaves_the_scene_alone(bpy, scene, character):
    from momask_blender.rig.sample import remove_leftovers, sample_bones

    scene.frame_set(7)
    posed = np.array([bone.matrix_basis for bone in character.pose.bones])
    steps = sample_bones(character, target_of(character).bones, list(range(1, NUM_KEYS)))
    for _ in range(3):
        next(steps)
        assert scene.frame_current == 7
    steps.close()
    assert [each.name for each in bpy.data.scenes] == [scene.name]
    assert character.users_scene == (scene,)
    np.testing.assert_array_equal(
        posed, np.array([bone.matrix_basis for bone in character.pose.bones])
    )
    steps = sample_bones(character, target_of(character).bones, list(range(1, NUM_KEYS)))
    next(steps)
    name = character.name
    remove_leftovers()
    assert bpy.data.objects[name] == character, "only the scene goes"
