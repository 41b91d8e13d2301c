"""Our character and its keys, in real Blender."""

import numpy as np
import pytest

from momask_blender.contract.pose import pose_to_joints
from momask_blender.contract.skeleton import JOINTS, PARENTS, REST_JOINTS
from momask_blender.retarget.border import pose_to_blender, resample_pose, to_blender
from momask_blender.retarget.fit import Fit

pytestmark = pytest.mark.blender

NUM_KEYS = 48  # two seconds at 24 fps


def bone_heads(armature) -> np.ndarray:
    """World positions of all bone heads at the current frame, (22, 3)."""
    world = armature.matrix_world
    return np.array([world @ armature.pose.bones[name].head for name in JOINTS])


def curves_of(armature) -> list:
    from momask_blender.animation.actions import bound_channels

    return list(bound_channels(armature).fcurves)


def test_rest_pose_is_the_skeleton(character):
    bones = character.data.bones
    assert {bone.name for bone in bones} == set(JOINTS)
    assert len(bones) == 22
    heads = np.array([bones[name].head_local for name in JOINTS])
    np.testing.assert_allclose(heads, to_blender(REST_JOINTS), atol=1e-6)
    parents = [bones[name].parent.name if bones[name].parent else None for name in JOINTS]
    assert parents == [JOINTS[p] if p >= 0 else None for p in PARENTS]


def test_bones_point_at_their_children(character):
    for bone in character.data.bones:
        if bone.children:
            gaps = [(child.head_local - bone.tail_local).length for child in bone.children]
            assert min(gaps) < 1e-5, bone.name
        assert bone.length > 0.05, bone.name


def test_the_character_stands_on_the_floor_and_faces_minus_y(bpy, character):
    mesh = character.children[0]
    points = np.array([v.co for v in mesh.data.vertices])
    assert -0.02 < points[:, 2].min() < 0.02
    assert 1.6 < points[:, 2].max() < 1.9
    assert points[:, 1].min() < -0.1, "toes point to -Y"
    bones = character.data.bones
    assert bones["left_wrist"].head_local.x > 0.5, "left is +X"


def test_every_vertex_belongs_to_a_bone(character):
    mesh = character.children[0]
    names = {group.index: group.name for group in mesh.vertex_groups}
    for vertex in mesh.data.vertices:
        assert sum(group.weight for group in vertex.groups) == pytest.approx(1.0)
        assert all(names[group.group] in JOINTS for group in vertex.groups)


def test_every_bone_plays_the_pose(scene, character, motion):
    expected = to_blender(pose_to_joints(resample_pose(motion, NUM_KEYS, 24.0)))
    for key in range(NUM_KEYS):
        scene.frame_set(scene.frame_start + key)
        np.testing.assert_allclose(bone_heads(character), expected[key], atol=2e-5)


def test_keys_are_one_per_frame_linear_generated_and_grouped(scene, character):
    curves = curves_of(character)
    assert len(curves) == 22 * 4 + 3
    for curve in curves:
        frames = [key.co.x for key in curve.keyframe_points]
        assert frames == list(range(scene.frame_start, scene.frame_start + NUM_KEYS))
        assert {key.interpolation for key in curve.keyframe_points} == {"LINEAR"}
        assert {key.type for key in curve.keyframe_points} == {"GENERATED"}
        assert curve.group.name in JOINTS
        assert f'"{curve.group.name}"' in curve.data_path


def test_what_is_written_can_be_read(character, motion):
    from momask_blender.animation.actions import bound_channels
    from momask_blender.animation.fcurves import read_channels

    path = 'pose.bones["pelvis"].location'
    frames, values = read_channels(bound_channels(character), path)
    np.testing.assert_array_equal(frames, np.arange(1, NUM_KEYS + 1))
    bone = character.data.bones["pelvis"]
    axes = np.array(bone.matrix_local)[:3, :3]
    heads = np.array(bone.head_local) + values @ axes.T
    pose = pose_to_blender(resample_pose(motion, NUM_KEYS, 24.0))
    np.testing.assert_allclose(heads, pose.root, atol=1e-5)
    with pytest.raises(ValueError, match="tail"):
        read_channels(bound_channels(character), 'pose.bones["tail"].location')


def test_quaternions_never_flip_sign(character):
    from momask_blender.animation.actions import bound_channels
    from momask_blender.animation.fcurves import read_channels

    for name in JOINTS:
        path = f'pose.bones["{name}"].rotation_quaternion'
        _, quats = read_channels(bound_channels(character), path)
        assert np.sum(quats[1:] * quats[:-1], axis=-1).min() > 0.9, path


def test_the_scene_keeps_its_rate_and_frames_its_motion(scene, character):
    assert scene.render.fps == 24
    assert (scene.frame_start, scene.frame_end) == (1, NUM_KEYS)
    assert character.animation_data.action.name == "someone waves"


@pytest.mark.parametrize("fps", [20.0, 23.976, 29.97, 60.0])
def test_any_frame_rate(bpy, motion, fps):
    from momask_blender.generate import count_keys, frame_rate, new_scene, play
    from momask_blender.rig.character import build_character

    scene = new_scene(fps)
    assert frame_rate(scene) == pytest.approx(fps, rel=2e-6)
    armature = build_character("Mannequin", scene.collection)
    num_keys = count_keys(scene, motion, None)
    assert num_keys == round(2.0 * fps)
    play(scene, armature, motion, num_keys, "walk", fit=Fit(feet="OFF"))
    source = to_blender(pose_to_joints(motion))
    for frame in (0, 10, 20, 37):  # the last key rests on the last frame
        key = frame * fps / 20.0
        scene.frame_set(int(scene.frame_start + key), subframe=key % 1.0)
        tolerance = 2e-5 if fps == 20.0 else 4e-3  # between keys, Blender interpolates
        np.testing.assert_allclose(bone_heads(armature), source[frame], atol=tolerance)


@pytest.mark.parametrize(
    ("fps", "parts"),
    [
        (24.0, (24, 1.0)),
        (23.976, (24, 1.001)),
        (23.98, (24, 1.001)),
        (29.97, (30, 1.001)),
        (59.94, (60, 1.001)),
        (12.5, (12, 0.96)),
        (1.0, (1, 1.0)),
    ],
)
def test_rates_are_what_broadcasters_mean(fps, parts):
    pytest.importorskip("bpy", reason="the bpy module is not installed")
    from momask_blender.generate import split_rate

    assert split_rate(fps) == pytest.approx(parts)


def test_action_names_fit_blender():
    pytest.importorskip("bpy", reason="the bpy module is not installed")
    from momask_blender.animation.takes import action_name

    assert action_name("  walk \n slowly ") == "walk slowly"
    assert len(action_name("é" * 200).encode()) <= 63
