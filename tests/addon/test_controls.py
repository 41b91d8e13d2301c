"""Which bones of a control rig are keyed: probed on a copy, checked on the rig itself."""

import numpy as np
import pytest
from control_rigs import (
    OWN_MAP,
    add_controls,
    drive,
    edit_bones,
    follow,
    plain_target,
    pose_bones,
    random_motion,
    rigify_map,
    run_to_end,
)

from momask_blender.contract import rotation
from momask_blender.contract.skeleton import JOINTS
from momask_blender.retarget.target import bone_heads

pytestmark = pytest.mark.blender


@pytest.fixture
def rigify(scene, add_rigify):
    return add_rigify(scene)


@pytest.fixture
def own(bpy, scene):
    """Our own skeleton: all bones deform, none is constrained."""
    from momask_blender.rig.character import build_armature

    return build_armature("Own", scene.collection)


def controls_of(armature, bones, **options):
    from momask_blender.rig.controls import find_controls

    return run_to_end(find_controls(armature, plain_target(armature, bones), **options))


def turn_of(armature, name):
    """How a bone is turned away from its rest. (4,)."""
    rest = np.array(armature.data.bones[name].matrix_local.to_quaternion())
    posed = np.array(armature.pose.bones[name].matrix.to_quaternion())
    return rotation.multiply(posed, rotation.inverse(rest))


def degrees_between(a, b):
    return np.degrees(2.0 * np.arccos(np.clip(abs(np.sum(a * b)), 0.0, 1.0)))


def assert_it_plays(scene, armature, controls, bones, left_out=()):
    """The tree of controls is the rig's, and mapped bones turn as their roles are told to."""
    for seed in range(3):
        motion = random_motion(controls.target, seed)
        pose_bones(scene, armature, controls, motion)
        target = controls.target
        heads = [armature.pose.bones[name].head for name in target.bones]
        gaps = np.linalg.norm(np.array(heads) - bone_heads(target, motion)[0], axis=-1)
        assert gaps.max() < 1e-4, target.bones[int(gaps.argmax())]
        for role, name in bones.items():
            told = motion.turns[0, target.roles[role]]
            if role not in left_out:
                assert degrees_between(turn_of(armature, name), told) < 0.1, role


def test_rigify_is_keyed_by_its_fk_controls(scene, rigify):
    controls = controls_of(rigify, rigify_map())
    target = controls.target
    played = {role: target.bones[bone] for role, bone in target.roles.items()}
    assert played["hips"] == "spine_fk"
    assert played["l_thigh"] == "thigh_fk.L"
    assert played["r_toe"] == "toe_fk.R"
    assert played["l_collar"] == "shoulder.L"
    assert played["head"] == "head"
    assert target.bones[target.carrier] == "torso"
    assert controls.warnings == ()
    assert controls.unkeyed == frozenset()
    switches = {(switch.bone, switch.property): switch.value for switch in controls.switches}
    limbs = [f"{limb}_parent.{side}" for limb in ("upper_arm", "thigh") for side in "LR"]
    follows = {("torso", "neck_follow"): 1.0, ("torso", "head_follow"): 1.0}
    assert switches == {(limb, "IK_FK"): 1.0 for limb in limbs} | follows
    spine = ("spine1", "spine2")  # ORG bones between hips and chest share in their neighbours' turn
    assert_it_plays(scene, rigify, controls, rigify_map(), left_out=spine)


def test_rigify_bones_of_the_spine_point_as_told(scene, rigify):
    controls = controls_of(rigify, rigify_map())
    target = controls.target
    motion = random_motion(target, 7)
    pose_bones(scene, rigify, controls, motion)
    for role, name in (("spine1", "DEF-spine.001"), ("spine2", "DEF-spine.002")):
        rest, posed = rigify.data.bones[name], rigify.pose.bones[name]
        told = rotation.rotate(
            motion.turns[0, target.roles[role]], np.array(rest.tail_local - rest.head_local)
        )
        way = np.array(posed.tail - posed.head)
        cosine = told @ way / np.linalg.norm(told) / np.linalg.norm(way)
        assert np.degrees(np.arccos(min(cosine, 1.0))) < 0.1, name


def test_a_rig_with_names_that_nobody_knows_is_probed(scene, rigify):
    """Rigify under other names, without what is known of it: controls, and what blends IK."""
    for number, bone in enumerate(rigify.data.bones):
        if not bone.name.startswith(("ORG-", "DEF-", "MCH-", "VIS")):
            bone.name = f"part {number}"
    renamed = {"IK_FK": "b1", "neck_follow": "b2", "head_follow": "b3"}
    for bone in rigify.pose.bones:
        for old, new in renamed.items():
            if old in bone:
                bone[new] = bone[old]
                del bone[old]
    for curve in rigify.animation_data.drivers:
        for variable in curve.driver.variables:
            for source in variable.targets:
                for old, new in renamed.items():
                    source.data_path = source.data_path.replace(f'["{old}"]', f'["{new}"]')
    controls = controls_of(rigify, rigify_map())
    assert controls.unkeyed == frozenset()
    assert {"b1", "b2", "b3"} == {switch.property for switch in controls.switches}
    trunk = ("spine1", "spine2")
    assert_it_plays(scene, rigify, controls, rigify_map(), left_out=trunk)


def test_controls_that_others_copy_are_found_and_ik_is_switched_off(bpy, scene, own):
    add_controls(bpy, own)
    controls = controls_of(own, OWN_MAP)
    assert set(controls.target.bones) == {f"ctl {name}" for name in JOINTS}
    assert [(s.bone, s.property, s.value) for s in controls.switches] == [
        ("ctl pelvis", "legs", 0.0)
    ]
    assert controls.switches[0].path == 'pose.bones["ctl pelvis"]["legs"]'
    assert controls.unkeyed == frozenset()
    assert_it_plays(scene, own, controls, OWN_MAP)


def test_a_bone_that_follows_something_else_is_named(bpy, scene, own):
    with edit_bones(bpy, own) as bones:
        for name, place in (("target", "left_ankle"), ("arm", "left_elbow")):
            bone = bones.new(name)
            bone.head, bone.tail = bones[place].head, bones[place].tail
            bone.use_deform = False
        bones["arm"].parent = bones["left_shoulder"]
    follow(own, "left_knee", "IK", "target", chain_count=2).name = "Leg IK"
    follow(own, "left_elbow", "COPY_ROTATION", "arm")
    drive(own.pose.bones["right_wrist"], "rotation_quaternion", own, "location.x", 1)
    controls = controls_of(own, OWN_MAP)
    assert controls.unkeyed == {"left_hip", "left_knee", "right_wrist"}
    assert controls.target.bones[controls.target.roles["l_forearm"]] == "arm"
    assert controls.target.bones[controls.target.carrier] == "pelvis"
    told = "mute it or set its influence to 0 to animate it."
    assert f"'left_knee' follows the constraint 'Leg IK': {told}" in controls.warnings
    assert f"'left_hip' follows the constraint 'Leg IK' of 'left_knee': {told}" in controls.warnings
    driven = "'right_wrist' is moved by a driver: remove or mute it to animate it."
    assert driven in controls.warnings
    assert len(controls.warnings) == 3


def test_a_rig_that_obeys_needs_no_controls(bpy, own):
    assert controls_of(own, OWN_MAP) is None
    follow(own, "left_knee", "COPY_ROTATION", "right_knee").mute = True
    assert controls_of(own, OWN_MAP) is None


def test_the_travel_can_go_onto_the_root_control(rigify):
    target = controls_of(rigify, rigify_map(), root_bone=True).target
    assert target.bones[target.root] == "root"
    assert target.parents[target.carrier] == target.root


def test_what_stands_elsewhere_now_is_the_anchor(scene, rigify):
    rigify.pose.bones["root"].location = (0.3, -0.2, 0.0)
    rigify.pose.bones["root"].rotation_quaternion = (0.8, 0.0, 0.0, 0.6)
    turn, shift = controls_of(rigify, rigify_map()).target.anchor
    np.testing.assert_allclose(turn, (0.8, 0.0, 0.0, 0.6), atol=1e-5)
    np.testing.assert_allclose(shift, (0.3, -0.2, 0.0), atol=1e-5)


def test_probing_changes_nothing(bpy, scene, rigify):
    def state():
        pose = [(list(map(list, b.matrix_basis)), b.rotation_mode) for b in rigify.pose.bones]
        values = {k: v for b in rigify.pose.bones for k, v in b.items() if isinstance(v, float)}
        kinds = ("objects", "armatures", "scenes", "actions")
        return pose, values, [sorted(x.name for x in getattr(bpy.data, kind)) for kind in kinds]

    rigify.pose.bones["hand_ik.L"].location.x = 0.2
    before = state()
    assert controls_of(rigify, rigify_map()) is not None
    assert state() == before
