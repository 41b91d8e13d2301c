"""Keys of any target, as Blender plays them."""

from dataclasses import replace

import numpy as np
import pytest
from control_rigs import OWN_MAP, edit_bones, plain_target

from momask_blender.contract import rotation
from momask_blender.contract.skeleton import JOINTS
from momask_blender.retarget.channels import bone_keys, to_euler
from momask_blender.retarget.target import BoneMotion, bone_heads

pytestmark = pytest.mark.blender

MODES = ["QUATERNION", "AXIS_ANGLE", "XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"]
NUM_KEYS, FIRST = 24, 5


@pytest.fixture
def armature(bpy, scene):
    from momask_blender.rig.character import build_armature

    return build_armature("Rig", scene.collection)


def add_bone(bpy, armature, name: str, below: str, above: str = "") -> None:
    """A bone from the root or `above` it to `below`, rolled anyhow."""
    with edit_bones(bpy, armature) as bones:
        bone = bones.new(name)
        bone.head, bone.tail, bone.roll = (0.1, 0.2, 0.3), (0.3, 0.1, 0.4), 0.6
        bone.parent = bones[above] if above else None
        bones[below].parent = bone


def smooth_motion(target, speed: float = 1.0) -> BoneMotion:
    """Every bone turns about an axis of its own, up to a full turn; the carrier travels."""
    rng = np.random.default_rng(1)
    time = speed * np.linspace(0.0, 1.0, NUM_KEYS)
    turns = [
        rotation.about_axis(rotation.normalized(rng.normal(size=3)), rng.uniform(1, 6) * time)
        for _ in target.bones
    ]
    places = [target.heads[bone] + time[:, None] * rng.normal(size=3) for bone in range(2)]
    root = None if target.root < 0 else target.heads[target.root] + places[1] - places[1][0]
    carrier = target.heads[target.carrier] + places[0] - target.heads[0]
    return BoneMotion(np.stack(turns, axis=1), carrier, root)


def write(armature, target, motion, reduce: bool = False) -> list[str]:
    import bpy

    from momask_blender.animation.actions import bind_action
    from momask_blender.animation.pose_keys import write_bone, write_rest_pose
    from momask_blender.rig.present import bones_between

    channels = bind_action(armature, bpy.data.actions.new("take"))
    for bone in bones_between(armature, target):
        write_rest_pose(channels, bone, FIRST)
    keys = bone_keys(target, motion)
    said = [write_bone(channels, armature, each, FIRST, reduce) for each in keys]
    return [words for words in said if words]


def assert_plays(scene, armature, target, motion) -> None:
    """Every driven bone is where the motion has it and turned as the motion has it."""
    heads = bone_heads(target, motion)
    axes = rotation.multiply(target.to_rig, rotation.multiply(motion.turns, target.axes))
    matrices = rotation.to_matrix(axes)
    for key in range(len(motion.turns)):
        scene.frame_set(FIRST + key)
        for bone, name in enumerate(target.bones):
            posed = np.array(armature.pose.bones[name].matrix)
            np.testing.assert_allclose(posed[:3, :3], matrices[key, bone], atol=1e-5)
            wanted = rotation.rotate(target.to_rig, heads[key, bone]) / target.scale
            np.testing.assert_allclose(posed[:3, 3], wanted, atol=1e-5 / min(target.scale, 1.0))


@pytest.mark.parametrize("mode", MODES)
def test_every_rotation_mode_plays_the_same_and_stays(scene, armature, mode):
    for bone in armature.pose.bones:
        bone.rotation_mode = mode
    target = plain_target(armature, OWN_MAP)
    motion = smooth_motion(target)
    assert write(armature, target, motion) == []
    assert_plays(scene, armature, target, motion)
    assert {bone.rotation_mode for bone in armature.pose.bones} == {mode}


@pytest.mark.parametrize("order", MODES[2:])
def test_angles_are_those_of_blender(bpy, order):
    from mathutils import Quaternion

    rng = np.random.default_rng(4)
    for _ in range(50):
        quat = rotation.normalized(rng.normal(size=4))
        angles = to_euler(quat[None], order)[0]
        np.testing.assert_allclose(angles, Quaternion(quat).to_euler(order), atol=2e-6)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_where_the_object_stands_and_how_large_it_is_does_not_matter(scene, armature, scale):
    armature.scale = (scale,) * 3
    armature.location, armature.rotation_euler = (1.0, 2.0, 3.0), (1.5, 0.3, -0.4)
    scene.view_layers[0].update()
    target = plain_target(armature, OWN_MAP)
    assert target.scale == pytest.approx(scale)
    motion = smooth_motion(target)
    write(armature, target, motion)
    assert_plays(scene, armature, target, motion)


def test_rigs_that_face_elsewhere_are_turned(scene, armature):
    target = plain_target(armature, OWN_MAP)
    aside = rotation.about_axis((0.0, 0.0, 1.0), np.array(1.3))
    to_body = rotation.inverse(aside)
    heads = rotation.rotate(to_body, target.heads)
    axes = rotation.multiply(to_body, target.axes)
    turned = replace(target, to_rig=aside, heads=heads, axes=axes)
    motion = smooth_motion(turned)
    write(armature, turned, motion)
    assert_plays(scene, armature, turned, motion)


def test_bones_that_do_not_inherit_rotation_turn_as_the_others(scene, armature):
    free = ("left_knee", "neck", "right_shoulder")
    for name in free:
        armature.data.bones[name].use_inherit_rotation = False
    target = plain_target(armature, OWN_MAP)
    target = replace(target, turns_with_parent=tuple(name not in free for name in target.bones))
    motion = smooth_motion(target)
    write(armature, target, motion)
    assert_plays(scene, armature, target, motion)


@pytest.mark.parametrize("is_carried", [False, True])
def test_hips_without_local_location_are_moved_along_the_parents_axes(
    bpy, scene, armature, is_carried
):
    if is_carried:
        add_bone(bpy, armature, "root", below="pelvis")
    armature.data.bones["pelvis"].use_local_location = False
    target = plain_target(armature, OWN_MAP)
    axes = rotation.IDENTITY
    if is_carried:
        matrix = np.array(armature.data.bones["root"].matrix_local)
        axes = rotation.from_matrix(matrix[:3, :3])
    target = replace(target, location_axes=axes)
    motion = smooth_motion(target)
    write(armature, target, motion)
    assert_plays(scene, armature, target, motion)


def test_bones_above_the_hips_keep_their_pose(bpy, scene, armature):
    from momask_blender.rig.present import with_present_anchor

    add_bone(bpy, armature, "root", below="pelvis")
    root = armature.pose.bones["root"]
    root.rotation_mode, root.rotation_euler, root.location = "XYZ", (0.3, 0.2, 0.9), (1, 2, 3)
    scene.view_layers[0].update()
    target = with_present_anchor(armature, plain_target(armature, OWN_MAP))
    motion = smooth_motion(target)
    write(armature, target, motion)
    assert_plays(scene, armature, target, motion)
    assert tuple(root.location) == (1.0, 2.0, 3.0)


def test_a_root_bone_takes_the_travel(bpy, scene, armature):
    add_bone(bpy, armature, "root", below="pelvis")
    plain = plain_target(armature, OWN_MAP)
    rest = armature.data.bones["root"].matrix_local
    target = replace(
        plain,
        bones=("root", *plain.bones),
        parents=(-1, *(parent + 1 for parent in plain.parents)),
        heads=np.concatenate([[rest.translation], plain.heads]),
        axes=np.concatenate([[rest.to_quaternion()], plain.axes]),
        roles={role: bone + 1 for role, bone in plain.roles.items()},
        carrier=plain.carrier + 1,
        root=0,
    )
    motion = smooth_motion(target)
    write(armature, target, motion)
    assert_plays(scene, armature, target, motion)


def test_poses_that_would_add_to_the_motion_are_held_at_rest(bpy, scene, armature):
    from momask_blender.animation.actions import bound_channels

    add_bone(bpy, armature, "twist", below="left_wrist", above="left_elbow")
    bones = armature.pose.bones
    bones["twist"].rotation_mode = "ZXY"
    bones["twist"].rotation_euler, bones["twist"].location = (0.5, 0.1, 0.2), (0.1, 0.0, 0.0)
    bones["head"].scale = bones["right_knee"].scale = (1.5, 1.5, 1.5)
    bones["left_knee"].location = (0.0, 0.2, 0.0)
    target = plain_target(armature, OWN_MAP)
    motion = smooth_motion(target)
    write(armature, target, motion)
    assert_plays(scene, armature, target, motion)
    curves = bound_channels(armature).fcurves
    held = {curve.data_path for curve in curves if len(curve.keyframe_points) == 1}
    assert held == {
        'pose.bones["twist"].rotation_euler',
        'pose.bones["twist"].location',
        'pose.bones["head"].scale',
        'pose.bones["right_knee"].scale',
        'pose.bones["left_knee"].location',
    }


def test_locked_channels_stay_and_are_named(bpy, scene, armature):
    from momask_blender.animation.actions import bound_channels

    bones = armature.pose.bones
    bones["left_knee"].rotation_mode = "XYZ"
    bones["left_knee"].lock_rotation = (False, True, True)
    bones["head"].lock_rotation = (True, True, True)
    bones["neck"].lock_rotations_4d, bones["neck"].lock_rotation = False, (True, False, False)
    bones["right_wrist"].lock_rotation_w = True
    bones["pelvis"].lock_location = (False, False, True)
    bones["neck"].rotation_quaternion = rotation.about_axis((1.0, 0.0, 0.0), np.array(0.2))
    target = plain_target(armature, OWN_MAP)
    said = write(armature, target, smooth_motion(target, speed=0.2))
    assert sorted(said) == [
        "'head' keeps its locked rotation",
        "'left_knee' keeps its locked rotation Y Z",
        "'neck' keeps its locked rotation X",
        "'pelvis' keeps its locked location Z",
        "'right_wrist' keeps its locked rotation W",
    ]
    written = {(c.data_path, c.array_index) for c in bound_channels(armature).fcurves}
    assert len(written) == 22 * 4 + 3 - 1 - (2 + 1) - 4 - 1
    assert ('pose.bones["left_knee"].rotation_euler', 1) not in written
    assert ('pose.bones["right_wrist"].rotation_quaternion', 0) not in written
    for frame in (FIRST, FIRST + 10):
        scene.frame_set(frame)
        turned = bones["neck"].matrix_basis.to_quaternion().to_euler("XYZ")
        assert turned.x == pytest.approx(0.2, abs=1e-5)


def test_a_bone_may_have_any_name(bpy, scene, armature):
    name = 'a "b" \\ é]'
    armature.data.bones["head"].name = name
    target = plain_target(armature, OWN_MAP | {"head": name})
    motion = smooth_motion(target)
    write(armature, target, motion)
    assert_plays(scene, armature, target, motion)


@pytest.mark.parametrize("mode", ["QUATERNION", "AXIS_ANGLE", "YZX"])
def test_fewer_keys_stay_within_a_quarter_of_a_degree_at_every_frame(scene, armature, mode):
    from momask_blender.animation.actions import bound_channels
    from momask_blender.animation.reduction import TURN

    for bone in armature.pose.bones:
        bone.rotation_mode = mode
    target = plain_target(armature, OWN_MAP)
    motion = smooth_motion(target, speed=0.2)
    still = motion.turns.copy()
    still[:, target.roles["head"]] = still[:, target.roles["neck"]]
    motion = BoneMotion(still, motion.location)
    write(armature, target, motion, reduce=True)
    counts = {c.data_path: len(c.keyframe_points) for c in bound_channels(armature).fcurves}
    assert sum(counts.values()) < 0.7 * NUM_KEYS * len(counts)
    assert min(n for path, n in counts.items() if '"head"' in path) == 1
    full = {each.bone: each.rotations for each in bone_keys(target, motion)}
    for key in range(NUM_KEYS):
        scene.frame_set(FIRST + key)
        for name in target.bones:
            played = np.array(armature.pose.bones[name].matrix_basis.to_quaternion())
            off = rotation.multiply(rotation.inverse(played), full[name][key])
            assert 2.0 * np.arcsin(np.linalg.norm(off[1:])) < TURN + 1e-4


def test_every_joint_has_a_curve_group(armature):
    from momask_blender.animation.actions import bound_channels

    target = plain_target(armature, OWN_MAP)
    write(armature, target, smooth_motion(target))
    curves = bound_channels(armature).fcurves
    assert {curve.group.name for curve in curves} == set(JOINTS)
    assert all(f'"{curve.group.name}"' in curve.data_path for curve in curves)
