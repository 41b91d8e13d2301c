"""Filling gaps on real rigs: what is kept stays, bit for bit, and nothing pops.

What comes between is the motion that was read, bent a little: how it is made is another test's.
"""

import numpy as np
import pytest
from control_rigs import run_to_end

from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose
from momask_blender.retarget.border import pose_to_model
from momask_blender.retarget.fit import Fit
from momask_blender.timeline.ranges import Frames

pytestmark = pytest.mark.blender

FPS = 24.0


def fill(bpy, armature, gaps, whole, **wish):
    """-> the name of the new Action, which plays."""
    from momask_blender.animation.takes import Take, play_take
    from momask_blender.rig.known_maps import known_maps
    from momask_blender.timeline.fill import Wish, made_keys, read_filling
    from momask_blender.timeline.write import play_fill, write_fill

    asked = Wish(gaps=tuple(gaps), whole=whole, fps=FPS, **wish)
    joint_map = known_maps.map_of(armature)
    filling = run_to_end(read_filling(armature, joint_map, asked))
    keys = run_to_end(made_keys(filling, bent(filling), bent(filling)))
    take = Take(prompt="fill", num_keys=sum(map(len, gaps)), fps=FPS, first_frame=gaps[0].first)
    written = run_to_end(write_fill(armature, filling, keys, take))
    action = bpy.data.actions[written.action]
    if filling.destination.in_strips:
        play_fill(armature, action, filling, True)
    else:
        play_take(armature, action)
    return action, written.warnings


def bent(filling) -> Pose:
    """What was read, nodding and swaying in the gaps only."""
    pose = pose_to_model(filling.shown.pose)
    made = np.ones(len(pose.root), bool)
    for first, last in filling.kept_moments():
        made[first : last + 1] = False
    root, rotations = pose.root.copy(), pose.rotations.copy()
    for rows in np.split(
        np.flatnonzero(made), np.flatnonzero(np.diff(np.flatnonzero(made)) > 1) + 1
    ):
        swell = np.sin(np.linspace(0.0, np.pi, len(rows) + 2))[1:-1] ** 2
        root[rows, 0] += 0.1 * swell
        nod = rotation.about_axis((1.0, 0.0, 0.0), 0.5 * swell)[:, None]
        rotations[rows, 15:] = rotation.multiply(nod, rotations[rows, 15:])
    return Pose(root, rotations)


def keys_of(armature) -> dict:
    from momask_blender.animation.actions import bound_channels
    from momask_blender.animation.fcurves import read_keys

    curves = bound_channels(armature).fcurves
    return {(curve.data_path, curve.array_index): read_keys(curve) for curve in curves}


def shown(scene, armature, frames) -> np.ndarray:
    poses = []
    for frame in frames:
        scene.frame_set(frame)
        poses.append([np.array(bone.matrix) for bone in armature.pose.bones])
    return np.array(poses)


def same_outside(before: dict, after: dict, gaps) -> None:
    """Keys outside the gaps are the same, but for handles of those that end a gap."""
    for channel, old in before.items():
        now = {float(key["co"][0]): key for key in after[channel]}
        times = old["co"][:, 0]
        edges = set()
        for gap in gaps:
            edges |= {
                *times[times <= gap.first - 1][-1:].tolist(),
                *times[times >= gap.last + 1][:1].tolist(),
            }
        for key in old:
            time = float(key["co"][0])
            if any(gap.first - 1 < time < gap.last + 1 for gap in gaps):
                continue
            if time in edges:
                for name in ("co", "interpolation", "type"):
                    assert np.array_equal(now[time][name], key[name]), (channel, time, name)
            else:
                assert now[time] == key, (channel, time)


def no_pops(scene, armature, gaps) -> None:
    """Steps into and out of a gap are like those around them."""
    for gap in gaps:
        frames = list(range(gap.first - 6, gap.last + 7))
        heads = shown(scene, armature, frames)[..., :3, 3]
        steps = np.linalg.norm(np.diff(heads, axis=0), axis=-1).max(axis=1)
        for frame in (gap.first, gap.last + 1):
            edge = frames.index(frame) - 1
            around = [*steps[max(edge - 2, 0) : edge], *steps[edge + 1 : edge + 3]]
            assert steps[edge] < 1.5 * max(around) + 1e-3


@pytest.mark.parametrize(
    ("gaps", "names"),
    [
        ([Frames(12, 20), Frames(31, 38)], ("frames 12 to 20", "frames 31 to 38")),
        ([Frames(12, 15), Frames(17, 20)], ("frames 12 to 15, frames 17 to 20",)),
        ([Frames(1, 9), Frames(40, 48)], ("frames 1 to 9", "frames 40 to 48")),
    ],
)
def test_what_the_model_fills_is_called_by_the_frames_of_the_scene(bpy, character, gaps, names):
    from momask_blender.rig.known_maps import known_maps
    from momask_blender.timeline.fill import Wish, read_filling

    wish = Wish(gaps=tuple(gaps), whole=Frames(1, 48), fps=FPS)
    filling = run_to_end(read_filling(character, known_maps.map_of(character), wish))
    assert filling.gap_names() == names
    assert len(filling.kept_moments()) == len(names) + (1 if gaps[0].first > 1 else -1)


@pytest.mark.parametrize("feet", ["OFF", "ON"])
def test_dense_keys_stay_and_the_gap_is_new(bpy, scene, character, feet):
    gaps, whole = [Frames(12, 20), Frames(31, 38)], Frames(1, 48)
    kept = [f for f in range(1, 49) if not any(g.first <= f <= g.last for g in gaps)]
    before, poses = keys_of(character), shown(scene, character, kept)
    own = character.animation_data.action
    action, _ = fill(bpy, character, gaps, whole, fit=Fit(feet=feet))
    assert action != own
    assert own.name in bpy.data.actions
    same_outside(before, keys_of(character), gaps)
    np.testing.assert_allclose(shown(scene, character, kept), poses, atol=1e-5)
    no_pops(scene, character, gaps)
    changed = keys_of(character)['pose.bones["head"].rotation_quaternion', 1]
    assert not np.array_equal(
        changed["co"], before['pose.bones["head"].rotation_quaternion', 1]["co"]
    )


def hand_keyed(armature, rotation_mode: str = "QUATERNION") -> None:
    """A few poses with Blender's own handles, not on every bone, and on frames of any kind."""
    bones = armature.pose.bones
    for bone in bones:
        bone.rotation_mode = rotation_mode
    rng = np.random.default_rng(3)
    for frame in (1, 9.5, 20, 33, 48, 60):
        for name in ("pelvis", "spine2", "left_shoulder", "right_elbow", "left_hip", "right_knee"):
            if rotation_mode == "QUATERNION":
                quat = rotation.normalized(np.array([1.0, *rng.normal(size=3) * 0.25]))
                bones[name].rotation_quaternion = quat
            else:
                bones[name].rotation_euler = rng.normal(size=3) * 0.4 + (0.0, 0.0, 6.0)
            bones[name].keyframe_insert(
                "rotation_quaternion" if rotation_mode == "QUATERNION" else "rotation_euler",
                frame=frame,
            )
        bones["pelvis"].location = rng.normal(size=3) * 0.1
        bones["pelvis"].keyframe_insert("location", frame=frame)


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ", "ZXY"])
@pytest.mark.parametrize("gap", [(24, 30), (10, 40), (49, 59), (2, 8), (34, 36)])
def test_few_keys_of_an_animator_keep_their_curves(bpy, scene, mode, gap):
    from momask_blender.rig.character import build_character

    armature = build_character("Hero", scene.collection)
    hand_keyed(armature, mode)
    gaps, whole = [Frames(*gap)], Frames(1, 60)
    kept = [f for f in range(-3, 66) if not gap[0] <= f <= gap[1]]
    before, poses = keys_of(armature), shown(scene, armature, kept)
    fill(bpy, armature, gaps, whole, fit=Fit(feet="OFF"))
    same_outside(before, keys_of(armature), gaps)
    np.testing.assert_allclose(shown(scene, armature, kept), poses, atol=1e-5)
    no_pops(scene, armature, gaps)


def test_on_a_mixamo_character_keys_stay_too(bpy, shared, motion):
    from momask_blender.generate import play
    from momask_blender.own_character import open_character

    armature = open_character(shared / "rigs" / "mixamo_mpfb.glb")
    scene = bpy.context.scene
    play(scene, armature, motion, 48, "someone waves")
    gaps = [Frames(15, 34)]
    kept = [*range(1, 15), *range(35, 49)]
    before, poses = keys_of(armature), shown(scene, armature, kept)
    fill(bpy, armature, gaps, Frames(1, 48))
    same_outside(before, keys_of(armature), gaps)
    np.testing.assert_allclose(shown(scene, armature, kept), poses, atol=1e-5)
    no_pops(scene, armature, gaps)


def test_who_shares_the_action_keeps_a_part_in_the_copy(bpy, scene, character):
    """Since Blender 4.4 one Action may move several objects, each by a slot of its own."""
    action = character.animation_data.action
    if not hasattr(action, "slots"):
        pytest.skip("Actions of this Blender have no slots")
    from momask_blender.rig.character import build_character

    other = build_character("Another", scene.collection)
    other.animation_data_create().action = action
    other.animation_data.action_slot = action.slots.new(id_type="OBJECT", name="Another")
    for frame in (1, 48):
        other.pose.bones["head"].rotation_quaternion = (1.0, 0.0, frame / 48.0, 0.0)
        other.pose.bones["head"].keyframe_insert("rotation_quaternion", frame=frame)
    first, before = keys_of(character), keys_of(other)
    copy, _ = fill(bpy, other, [Frames(10, 30)], Frames(1, 48))
    same_outside(before, keys_of(other), [Frames(10, 30)])
    assert other.animation_data.action_slot.identifier == "OBAnother"
    assert [slot.identifier for slot in copy.slots] == [slot.identifier for slot in action.slots]
    assert character.animation_data.action == action
    assert all(np.array_equal(keys, first[channel]) for channel, keys in keys_of(character).items())


def test_without_keys_before_or_after_the_open_side_is_new(bpy, scene, character):
    poses = shown(scene, character, range(1, 49))
    fill(bpy, character, [Frames(1, 10)], Frames(1, 48))
    np.testing.assert_allclose(shown(scene, character, range(11, 49)), poses[10:], atol=1e-5)
    fill(bpy, character, [Frames(49, 80)], Frames(1, 80))
    np.testing.assert_allclose(shown(scene, character, range(11, 49)), poses[10:], atol=1e-5)
    no_pops(scene, character, [Frames(49, 70)])


@pytest.mark.parametrize("gap", [(1, 25), (2, 25)], ids=["before a key", "between two keys"])
def test_a_single_key_after_the_gap_is_known_to_the_model(bpy, scene, gap):
    """Frame 26 at 24 fps lies between two frames of the model's."""
    from momask_blender.rig.character import build_character
    from momask_blender.rig.known_maps import known_maps
    from momask_blender.timeline.fill import Wish, read_filling

    armature = build_character("Hero", scene.collection)
    hand_keyed(armature)
    wish = Wish(gaps=(Frames(*gap),), whole=Frames(1, 26), fps=FPS)
    filling = run_to_end(read_filling(armature, known_maps.map_of(armature), wish))
    first, last = filling.kept_moments()[-1]
    assert last == len(filling.shown.pose.root) - 1
    assert 26 <= filling.window.first + filling.step * first < 27.2
    assert filling.gap_names() == (f"frames {gap[0]} to {gap[1]}",)


def test_strips_keep_what_they_show(bpy, scene, character):
    data = character.animation_data
    track = data.nla_tracks.new()
    strip = track.strips.new("walk", 5, data.action)
    data.action = None
    gaps, whole = [Frames(20, 30)], Frames(5, 50)
    frames = [f for f in range(5, 53) if not 20 <= f <= 30]
    poses, below = shown(scene, character, frames), shown(scene, character, range(20, 31))
    fill(bpy, character, gaps, whole)
    assert data.action is None
    assert (strip.frame_start, len(data.nla_tracks)) == (5, 2)
    np.testing.assert_allclose(shown(scene, character, frames), poses, atol=1e-5)
    assert np.abs(shown(scene, character, range(20, 31)) - below).max() > 0.05
    no_pops(scene, character, gaps)


def test_a_motion_spread_over_action_and_strips_is_refused(bpy, scene, character):
    from momask_blender.errors import UserError

    data = character.animation_data
    data.nla_tracks.new().strips.new("walk", 5, data.action)
    data.action = None
    character.pose.bones["head"].keyframe_insert("rotation_quaternion", frame=3)
    with pytest.raises(UserError, match="Push the Action down"):
        fill(bpy, character, [Frames(20, 30)], Frames(1, 50))
    curve = next(iter(keys_of(character)))
    assert curve[0].startswith('pose.bones["head"]')


def test_locked_curves_are_refused_by_name(bpy, scene, character):
    from momask_blender.animation.actions import bound_channels
    from momask_blender.errors import UserError

    bound_channels(character).fcurves.find(
        'pose.bones["spine2"].rotation_quaternion', index=1
    ).lock = True
    with pytest.raises(UserError, match="'spine2' are locked"):
        fill(bpy, character, [Frames(20, 30)], Frames(1, 48))


def test_modifiers_become_keys_that_look_the_same(bpy, scene, character):
    from momask_blender.animation.actions import bound_channels

    curve = bound_channels(character).fcurves.find(
        'pose.bones["head"].rotation_quaternion', index=2
    )
    curve.modifiers.new("NOISE").strength = 0.2
    kept = [f for f in range(1, 49) if not 20 <= f <= 30]
    poses = shown(scene, character, kept)
    _, said = fill(bpy, character, [Frames(20, 30)], Frames(1, 48))
    assert said == ("Modifiers of the F-curves of 'head' were made into keys in the new Action.",)
    np.testing.assert_allclose(shown(scene, character, kept), poses, atol=1e-5)


def test_only_the_parts_that_are_asked_for_are_keyed(bpy, scene, character):
    before = keys_of(character)
    fill(bpy, character, [Frames(20, 30)], Frames(1, 48), parts=frozenset({"head", "neck"}))
    changed = {
        channel[0].split('"')[1]
        for channel, keys in keys_of(character).items()
        if not np.array_equal(keys, before[channel])
    }
    assert changed == {"head", "neck"}


def animated_in_ik(armature) -> None:
    bones = armature.pose.bones
    rng = np.random.default_rng(5)
    for frame in (1, 15, 30, 45, 60):
        for name in ("torso", "hand_ik.L", "hand_ik.R", "foot_ik.L", "foot_ik.R"):
            place = rng.normal(size=3) * (0.04, 0.04, 0.02) - (
                0.0,
                0.0,
                0.03 if name == "torso" else 0,
            )
            bones[name].location = place
            bones[name].keyframe_insert("location", frame=frame)
        bones["chest"].rotation_quaternion = (1.0, *rng.normal(size=3) * 0.05)
        bones["chest"].keyframe_insert("rotation_quaternion", frame=frame)


def test_a_rigify_rig_in_ik_stays_in_ik_outside_the_gap(bpy, scene, add_rigify):
    armature = add_rigify(scene)
    animated_in_ik(armature)
    switch = armature.pose.bones["thigh_parent.L"]
    assert switch["IK_FK"] == 0.0
    gaps = [Frames(21, 40)]
    kept = [f for f in range(1, 61) if not 21 <= f <= 40]
    before, poses = keys_of(armature), shown(scene, armature, kept)
    deforming = [bone.name.startswith("DEF-") for bone in armature.pose.bones]
    fill(bpy, armature, gaps, Frames(1, 60), fit=Fit(feet="OFF"))
    same_outside(before, keys_of(armature), gaps)
    now = shown(scene, armature, kept)
    np.testing.assert_allclose(now[:, deforming], poses[:, deforming], atol=2e-5)
    for frame, value in ((20, 0.0), (21, 1.0), (40, 1.0), (41, 0.0)):
        scene.frame_set(frame)
        assert switch["IK_FK"] == value
    heads = shown(scene, armature, range(15, 47))[..., :3, 3][:, deforming]
    steps = np.linalg.norm(np.diff(heads, axis=0), axis=-1).max(axis=1)
    assert steps[[5, 25]].max() < 1.5 * steps[[3, 4, 6, 24, 26, 27]].max()
