"""From a pose to a take, on our own character and on one with controls."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from control_rigs import OWN_MAP, add_controls, plain_target, run_to_end

from momask_blender.contract.skeleton import JOINTS
from momask_blender.retarget.fit import Fit
from momask_blender.retarget.target import bone_heads
from momask_blender.rig.joint_map import JointMap

pytestmark = pytest.mark.blender

NUM_KEYS, FPS, FIRST = 30, 24.0, 11
OWN_JOINTS = JointMap(OWN_MAP)


@pytest.fixture
def controlled(bpy, scene):
    """Our skeleton hanging from FK controls and IK legs, which rule."""
    from momask_blender.rig.character import build_armature

    armature = build_armature("Controlled", scene.collection)
    add_controls(bpy, armature)
    return armature


def take_of(armature, fit: Fit):
    from momask_blender.animation.takes import Take

    return Take(
        prompt="a person waves",
        num_keys=NUM_KEYS,
        fps=FPS,
        first_frame=FIRST,
        character=armature.name,
        fit=asdict(fit),
    )


def play(bpy, armature, pose, fit: Fit = Fit()):  # noqa: B008
    """-> the rig as it was read, the motion, what could not be keyed."""
    from momask_blender.animation.takes import make_take, play_take
    from momask_blender.fitting import fit_motion, read_rig, take_keys

    rig = run_to_end(read_rig(armature, OWN_JOINTS, fit))
    motion = run_to_end(fit_motion(rig, pose, NUM_KEYS, FPS))
    name, said = run_to_end(make_take(armature, take_of(armature, fit), take_keys(rig, motion)))
    play_take(armature, bpy.data.actions[name])
    return rig, motion, said


def paths(armature) -> set[str]:
    from momask_blender.animation.actions import bound_channels

    return {curve.data_path for curve in bound_channels(armature).fcurves}


@pytest.mark.parametrize("ik_feet", [False, True])
def test_a_control_rig_plays_through_its_controls(bpy, scene, controlled, motion, ik_feet):
    plain = plain_target(controlled, OWN_MAP)
    rig, fitted, said = play(bpy, controlled, motion, Fit(ik_feet=ik_feet))
    assert (said, rig.warnings) == ([], ())
    keyed = paths(controlled)
    assert 'pose.bones["ctl pelvis"]["legs"]' in keyed
    assert ('pose.bones["left foot control"].location' in keyed) == ik_feet
    assert ('pose.bones["ctl left_hip"].rotation_quaternion' in keyed) != ik_feet
    assert not any(f'pose.bones["{name}"].' in path for name in JOINTS for path in keyed)
    wanted = bone_heads(rig.target, fitted)
    for key in range(0, NUM_KEYS, 4):
        scene.frame_set(FIRST + key)
        for role, bone in plain.roles.items():
            name = plain.bones[bone]
            head = np.array(controlled.pose.bones[name].head)
            place = wanted[key, rig.target.roles[role]]
            np.testing.assert_allclose(head, place, atol=2e-3 if ik_feet else 2e-5, err_msg=name)


def test_reading_a_rig_changes_nothing(bpy, scene, controlled):
    from momask_blender.fitting import read_rig

    controlled.pose.bones["ctl pelvis"].location = (1.0, 2.0, 3.0)
    kinds = ("objects", "armatures", "scenes", "actions")
    before = {kind: getattr(bpy.data, kind).keys() for kind in kinds}
    steps = read_rig(controlled, OWN_JOINTS, Fit())
    next(steps)
    steps.close()
    assert {kind: getattr(bpy.data, kind).keys() for kind in kinds} == before
    run_to_end(read_rig(controlled, OWN_JOINTS, Fit()))
    assert {kind: getattr(bpy.data, kind).keys() for kind in kinds} == before
    assert tuple(controlled.pose.bones["ctl pelvis"].location) == (1.0, 2.0, 3.0)
    assert controlled.pose.bones["ctl pelvis"]["legs"] == 1.0


def test_a_take_that_is_given_up_is_gone(bpy, scene, character, motion):
    from momask_blender.animation.takes import make_take
    from momask_blender.fitting import fit_motion, read_rig, take_keys

    before = bpy.data.actions.keys()
    rig = run_to_end(read_rig(character, OWN_JOINTS, Fit()))
    keys = take_keys(rig, run_to_end(fit_motion(rig, motion, NUM_KEYS, FPS)))
    steps = make_take(character, take_of(character, Fit()), keys)
    for _ in range(5):
        next(steps)
    assert len(bpy.data.actions) == len(before) + 1
    steps.close()
    assert bpy.data.actions.keys() == before


def test_fewer_keys_spare_what_the_feet_hang_from(bpy, character, motion):
    from momask_blender.animation.actions import bound_channels

    play(bpy, character, motion, Fit(reduce_keys=True))
    counts = {c.data_path: len(c.keyframe_points) for c in bound_channels(character).fcurves}
    feet = ("pelvis", "hip", "knee", "ankle", "foot")
    for path, count in counts.items():
        carries_feet = path.split('"')[1].removeprefix("left_").removeprefix("right_") in feet
        assert count == NUM_KEYS if carries_feet else count < NUM_KEYS, path
    play(bpy, character, motion, Fit(reduce_keys=True, reduce_legs=True))
    fewer = {c.data_path: len(c.keyframe_points) for c in bound_channels(character).fcurves}
    assert sum(fewer.values()) < 0.8 * sum(counts.values())


def test_a_take_tells_how_it_was_fitted(bpy, character, motion):
    from momask_blender.animation.takes import STORED_AS, fit_of, read_take

    fit = Fit(feet="STRICT", ground=0.25, reduce_keys=True)
    play(bpy, character, motion, fit)
    action = character.animation_data.action
    assert fit_of(read_take(action)) == fit
    note = json.loads(action[STORED_AS])
    note["fit"] = {"feet": "X", "ground": float("nan"), "start": 3, "ik_feet": 1, "unknown": 1}
    note["fit"]["travel"] = "IN_PLACE"
    action[STORED_AS] = json.dumps(note)
    assert fit_of(read_take(action)) == Fit(travel="IN_PLACE")
    del note["fit"]
    action[STORED_AS] = json.dumps(note)
    assert fit_of(read_take(action)) == Fit(), "takes of earlier versions have none"


def state_of(bpy, armature) -> dict:
    """All that the animator may have set, bit for bit."""
    from momask_blender.animation.actions import bound_channels

    names = "location rotation_mode rotation_quaternion rotation_euler rotation_axis_angle scale"
    pose = {
        (bone.name, name): value if isinstance(value := getattr(bone, name), str) else tuple(value)
        for bone in armature.pose.bones
        for name in names.split()
    }
    keys = {
        (curve.data_path, curve.array_index): [
            (*k.co, *k.handle_left, *k.handle_right, k.interpolation, k.type)
            for k in curve.keyframe_points
        ]
        for curve in bound_channels(armature).fcurves
    }
    kinds = ("objects", "armatures", "meshes", "actions", "scenes")
    blocks = {kind: getattr(bpy.data, kind).keys() for kind in kinds}
    action = armature.animation_data.action
    return {"pose": pose, "keys": keys, "action": (action.name, action.use_fake_user)} | blocks


def test_one_undo_brings_everything_back_bit_for_bit(bpy, session):
    bpy.ops.momask.generate(prompt="a person walks", seconds=1.0, seed=1, target="NEW")
    armature = bpy.context.object
    armature.animation_data.action = None
    bones = armature.pose.bones
    bones["left_elbow"].rotation_mode = "YXZ"
    bones["left_elbow"].rotation_euler, bones["head"].scale = (0.1, 0.2, 0.3), (1.1, 1.0, 1.0)
    bones["neck"].location = (0.01, 0.0, 0.0)
    bones["head"].keyframe_insert("scale", frame=3)
    bones["left_elbow"].keyframe_insert("rotation_euler", frame=7)
    bpy.ops.ed.undo_push(message="posed")
    before = state_of(bpy, armature)
    bpy.ops.momask.generate(prompt="a person jumps", seconds=1.0, seed=2, target="ACTIVE")
    bpy.context.scene.frame_set(12)
    assert armature.animation_data.action.name == "a person jumps"
    assert tuple(bones["neck"].location) == (0.0, 0.0, 0.0), "held at rest by the take"
    own = bpy.data.actions[before["action"][0]]
    assert own.users > 0, "the animator's Action stays"
    bpy.ops.ed.undo()
    assert state_of(bpy, bpy.context.object) == before


def test_locked_channels_are_reported_with_the_result(bpy, session):
    bpy.ops.momask.generate(prompt="a person walks", seconds=1.0, seed=1, target="NEW")
    bpy.context.object.pose.bones["head"].lock_rotation = (True, True, True)
    bpy.ops.momask.generate(prompt="a person jumps", seconds=1.0, variations=2, target="ACTIVE")
    assert session.result.count("'head' keeps its locked rotation") == 1
