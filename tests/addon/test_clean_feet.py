"""Clean Up Feet: any Action on any mapped rig, in a copy."""

import numpy as np
import pytest
from control_rigs import OWN_MAP, rigify_map, run_to_end

from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose
from momask_blender.contract.skeleton import FPS, JOINTS, NUM_JOINTS
from momask_blender.errors import UserError
from momask_blender.rig.joint_map import JointMap

pytestmark = pytest.mark.blender

SECONDS, DRIFT = 2.0, 0.08  # m/s that a standing body slides to its left
FEET = ("left_ankle", "right_ankle", "left_foot", "right_foot")


def sliding() -> Pose:
    """A body on bent knees that nods, and slides over the floor as a whole."""
    time = np.arange(round(SECONDS * FPS)) / FPS
    rotations = np.tile(rotation.IDENTITY, (len(time), NUM_JOINTS, 1))
    bend = 0.35 + 0.1 * np.sin(4.0 * time)
    for side in ("left", "right"):
        for joint, sign in (("hip", -1.0), ("knee", 1.0)):
            turn = rotation.about_axis((1.0, 0.0, 0.0), sign * bend)
            rotations[:, JOINTS.index(f"{side}_{joint}")] = turn
    rotations[:, JOINTS.index("neck")] = rotation.about_axis((1.0, 0.0, 0.0), bend)
    height = 0.9565 - 0.818 * (1.0 - np.cos(bend))
    return Pose(np.column_stack([DRIFT * time, height, 0.0 * time]), rotations)


@pytest.fixture
def slider(session, bpy):
    """Our character, active, which plays an Action that slides; keys are not our takes."""
    from momask_blender.animation.takes import STORED_AS, Take, make_take
    from momask_blender.fitting import fit_motion, read_rig, take_keys
    from momask_blender.retarget.fit import Fit
    from momask_blender.rig.character import build_character

    scene = bpy.context.scene
    armature = build_character("Slider", scene.collection)
    bpy.context.view_layer.objects.active = armature
    rig = run_to_end(read_rig(armature, JointMap(OWN_MAP), Fit(feet="OFF")))
    motion = run_to_end(fit_motion(rig, sliding(), 48, 24.0))
    take = Take(prompt="slide", num_keys=48, fps=24.0, first_frame=1)
    name, _ = run_to_end(make_take(armature, take, take_keys(rig, motion)))
    action = bpy.data.actions[name]
    del action[STORED_AS]
    from momask_blender.animation.actions import bind_action

    bind_action(armature, action)
    return armature


def shown(bpy, armature, bones, frames=range(1, 49)) -> np.ndarray:
    """World places of heads (T, B, 3)."""
    places = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        world = armature.matrix_world
        places.append([(world @ armature.pose.bones[name].head)[:] for name in bones])
    return np.array(places)


def curves(armature) -> dict[tuple[str, int], np.ndarray]:
    from momask_blender.animation.actions import bound_channels

    found = {}
    for curve in bound_channels(armature).fcurves:
        co = np.empty((len(curve.keyframe_points), 2), np.float32)
        curve.keyframe_points.foreach_get("co", co.reshape(-1))
        found[curve.data_path, curve.array_index] = co
    return found


def test_feet_that_slid_stand_still(bpy, slider):
    before = shown(bpy, slider, FEET)
    assert np.ptp(before[:, :, 0], axis=0).min() > 0.12
    assert bpy.ops.momask.clean_up_feet() == {"FINISHED"}
    after = shown(bpy, slider, FEET)
    assert np.ptp(after, axis=0).max() < 5e-4
    pelvis = shown(bpy, slider, ["pelvis"])
    assert np.ptp(pelvis[:, 0, 0]) > 0.12


def test_strips_below_the_action_are_covered_by_it(bpy, slider):
    from momask_blender.animation.actions import playing

    track = slider.animation_data.nla_tracks.new()
    track.strips.new("below", 20, playing(slider)[0].copy())
    bpy.ops.momask.clean_up_feet()
    assert np.ptp(shown(bpy, slider, FEET), axis=0).max() < 5e-4


def test_only_legs_and_height_change_in_a_copy(bpy, slider, session):
    own, before = slider.animation_data.action, curves(slider)
    bpy.ops.momask.clean_up_feet()
    made, after = slider.animation_data.action, curves(slider)
    assert (made.name, own.name) == ("slide clean feet", "slide")
    assert "'slide clean feet'" in session.result
    legs = ("hip", "knee", "ankle", "foot")
    changed = {path for path, index in after if not same(before, after, (path, index))}
    assert changed
    assert all(any(part in path for part in legs) or "location" in path for path in changed)
    slider.animation_data.action = own
    now = curves(slider)
    assert before.keys() == now.keys()
    assert all(np.array_equal(before[key], now[key]) for key in before)


def same(before, after, key) -> bool:
    return key in before and np.array_equal(before[key], after[key])


def test_a_rig_that_is_turned_scaled_and_moved_is_cleaned_in_its_own_rotation_modes(bpy, slider):
    from math import radians

    slider.matrix_world = slider.matrix_world.Rotation(radians(70.0), 4, "Z") * 0.01
    slider.matrix_world[3][3] = 1.0
    slider.location = (3.0, -2.0, 0.5)
    bpy.context.view_layer.update()
    to_euler(slider, ("left_knee", "right_hip"))
    before = shown(bpy, slider, FEET)
    bpy.ops.momask.clean_up_feet()
    after = shown(bpy, slider, FEET)
    drift = [np.linalg.norm(np.ptp(points, axis=0), axis=-1) for points in (before, after)]
    assert drift[0].min() > 0.0012  # a hundredth in size
    assert drift[1].max() < 1e-5


def to_euler(armature, names) -> None:
    """The same Action with other rotation modes."""
    from momask_blender.animation.action_bones import read_bone
    from momask_blender.animation.actions import bound_channels
    from momask_blender.animation.fcurves import write_channels
    from momask_blender.animation.pose_keys import rotation_values

    channels, frames = bound_channels(armature), np.arange(1, 49)
    for name in names:
        bone = armature.pose.bones[name]
        rotations = read_bone(channels, bone, frames).rotations
        bone.rotation_mode = "ZXY"
        path = f'pose.bones["{name}"].rotation_euler'
        write_channels(channels, path, name, frames, rotation_values(bone, rotations))


def test_bones_above_the_hips_may_move_too(bpy, slider):
    """The travel on a root bone, with a helper between it and the hips that is keyed as well."""
    bpy.ops.object.mode_set(mode="EDIT")
    bones = slider.data.edit_bones
    for name, parent in (("root", None), ("helper", "root")):
        bone = bones.new(name)
        bone.head, bone.tail = (0.0, 0.0, 0.0), (0.0, 0.3, 0.1)
        bone.parent = bones[parent] if parent else None
    bones["pelvis"].parent = bones["helper"]
    bpy.ops.object.mode_set(mode="OBJECT")
    for name, frame, place in (
        *(("root", 1, (0.0, 0.0, 0.0)), ("root", 48, (0.03, 0.05, 0.0))),
        *(("helper", 1, (0.0, 0.0, 0.0)), ("helper", 48, (-0.05, 0.0, 0.01))),
    ):
        slider.pose.bones[name].location = place
        slider.pose.bones[name].keyframe_insert("location", frame=frame)
    before = shown(bpy, slider, FEET)
    bpy.ops.momask.clean_up_feet()
    after = shown(bpy, slider, FEET)
    assert np.ptp(before, axis=0).max(axis=-1).min() > 0.1
    assert np.ptp(after, axis=0).max() < 1e-3


def test_it_can_be_cancelled_at_any_step(bpy, slider, session):
    from momask_blender.clean_feet import Cleaned, Cleaning, clean_feet
    from momask_blender.refs import Ref

    wanted = Cleaning(armature=Ref.of(slider), joint_map=JointMap(OWN_MAP), fps=24.0)
    own, actions = slider.animation_data.action, len(bpy.data.actions)
    count = sum(1 for _ in clean_feet(wanted, Cleaned()))
    slider.animation_data.action = own
    bpy.data.actions.remove(bpy.data.actions["slide clean feet"])
    shares = []
    for stop in range(1, count, 3):
        steps = clean_feet(wanted, Cleaned())
        shares = [next(steps) for _ in range(stop)]
        steps.close()
        assert slider.animation_data.action == own
        assert len(bpy.data.actions) == actions
        assert len(bpy.data.scenes) == 1
    assert shares == sorted(shares)
    assert shares[-1] <= 1.0


def test_what_cannot_be_cleaned_is_said_and_changes_nothing(bpy, slider, session):
    def refused(words: str) -> None:
        with pytest.raises(RuntimeError, match=words):
            bpy.ops.momask.clean_up_feet()
        assert len(bpy.data.actions) == actions

    actions = len(bpy.data.actions)
    slider.location.z = 0.0
    bpy.context.scene.momask.ground = -0.5
    refused("No foot stands still")
    bpy.context.scene.momask.ground = 0.0
    slider.pose.bones["left_knee"].constraints.new("IK").target = target_of(bpy)
    refused("constraints move it|moved by IK")
    constraint = slider.pose.bones["left_knee"].constraints[0]
    slider.pose.bones["left_knee"].constraints.remove(constraint)
    track = slider.animation_data.nla_tracks.new()
    track.strips.new("more", 1, slider.animation_data.action)
    slider.animation_data.action_blend_type = "ADD"
    refused("Mute its tracks")
    slider.animation_data.action_blend_type = "REPLACE"
    slider.animation_data.action = None
    refused("plays no Action")


def target_of(bpy):
    empty = bpy.data.objects.new("goal", None)
    bpy.context.scene.collection.objects.link(empty)
    empty.location = (0.3, -0.3, 0.4)
    return empty


def test_a_control_rig_is_cleaned_in_fk_and_refused_in_ik(bpy, session, add_rigify):
    from momask_blender.animation.actions import bind_action, bound_channels
    from momask_blender.animation.takes import Take, make_take
    from momask_blender.clean_feet import Cleaned, Cleaning, clean_feet
    from momask_blender.fitting import fit_motion, read_rig, take_keys
    from momask_blender.refs import Ref
    from momask_blender.retarget.fit import Fit

    human = add_rigify(bpy.context.scene)
    joint_map = JointMap(rigify_map())
    rig = run_to_end(read_rig(human, joint_map, Fit(feet="OFF")))
    motion = run_to_end(fit_motion(rig, sliding(), 48, 24.0))
    take = Take(prompt="slide", num_keys=48, fps=24.0, first_frame=1)
    name, _ = run_to_end(make_take(human, take, take_keys(rig, motion)))
    bind_action(human, bpy.data.actions[name])
    feet = ("ORG-foot.L", "ORG-foot.R", "ORG-toe.L", "ORG-toe.R")
    before = shown(bpy, human, feet)
    wanted = Cleaning(armature=Ref.of(human), joint_map=joint_map, fps=24.0)
    cleaned = Cleaned()
    run_to_end(clean_feet(wanted, cleaned))
    assert np.ptp(before[:, :, 0], axis=0).min() > 0.1
    assert np.ptp(shown(bpy, human, feet), axis=0).max() < 2e-3
    channels = bound_channels(human)
    for curve in [c for c in channels.fcurves if "IK_FK" in c.data_path]:
        channels.fcurves.remove(curve)
    for bone in human.pose.bones:
        if "IK_FK" in bone:
            bone["IK_FK"] = 0.0
    bpy.context.view_layer.update()
    with pytest.raises(UserError, match="moved by IK"):
        run_to_end(clean_feet(wanted, Cleaned()))
