"""Filling gaps through the panel's operators, with the real worker."""

import numpy as np
import pytest
from test_fill import keys_of, same_outside, shown

from momask_blender.timeline.ranges import Frames

pytestmark = pytest.mark.blender


@pytest.fixture
def walker(bpy, session):
    """Our character, walking for three seconds; its frames fill the scene."""
    bpy.ops.momask.generate(prompt="a person walks forward", seconds=3.0, seed=1, target="NEW")
    armature = bpy.context.object
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, 72
    scene.momask.feet = "ON"
    return armature


def keep(bpy, *ranges) -> None:
    for first, last in ranges:
        item = bpy.context.scene.momask.kept.add()
        item.first, item.last = first, last


def test_the_rest_of_the_scene_is_made(bpy, walker, session):
    scene = bpy.context.scene
    keep(bpy, (1, 24), (49, 72))
    before, own = keys_of(walker), walker.animation_data.action.name
    poses = shown(scene, walker, [*range(1, 25), *range(49, 73)])
    assert bpy.ops.momask.fill(what="RANGES", prompt="a person jumps", seed=3) == {"FINISHED"}
    assert "frames 25 to 48" in session.result
    assert f"'{own}'" not in session.result, "takes of ours stay anyway"
    same_outside(before, keys_of(walker), [Frames(25, 48)])
    np.testing.assert_allclose(
        shown(scene, walker, [*range(1, 25), *range(49, 73)]), poses, atol=1e-5
    )
    heads = shown(scene, walker, range(20, 54))[..., :3, 3]
    steps = np.linalg.norm(np.diff(heads, axis=0), axis=-1)
    for edge in (4, 28):
        assert steps[edge].max() < 1.5 * max(steps[edge - 2 : edge + 3].max(), 0.01)


def test_each_variation_is_a_take_and_all_are_one_undo_step(bpy, walker, session):
    scene, own = bpy.context.scene, walker.animation_data.action.name
    keep(bpy, (1, 20), (60, 72))
    scene.momask.variations, scene.momask.use_prompt = 2, False
    bpy.ops.ed.undo_push(message="before")
    count = len(bpy.data.actions)
    assert bpy.ops.momask.fill(what="RANGES", seed=5) == {"FINISHED"}
    assert len(bpy.data.actions) == count + 2
    first, second = (action for action in bpy.data.actions if action.name != own)
    assert bpy.ops.momask.play_take(take=second.name) == {"FINISHED"}
    assert walker.animation_data.action == second
    assert first.use_fake_user
    bpy.ops.ed.undo()  # the switch
    bpy.ops.ed.undo()
    assert bpy.context.object.animation_data.action.name == own
    assert len(bpy.data.actions) == count


@pytest.mark.parametrize(
    ("what", "frames"), [("BEFORE", "-23 to 0"), ("AFTER", "73 to 96"), ("SELECTION", "30 to 40")]
)
def test_quick_ways_to_say_which_frames(bpy, walker, session, what, frames):
    scene = bpy.context.scene
    scene.momask.extension = 1.0
    scene.use_preview_range = True
    scene.frame_preview_start, scene.frame_preview_end = 30, 40
    for curve in (
        __import__("momask_blender.animation.actions", fromlist=["x"])
        .bound_channels(walker)
        .fcurves
    ):
        curve.keyframe_points.foreach_set(
            "select_control_point", [False] * len(curve.keyframe_points)
        )
    before = keys_of(walker)
    assert bpy.ops.momask.fill(what=what) == {"FINISHED"}
    assert f"frames {frames}" in session.result
    first, last = (int(each) for each in frames.split(" to "))
    same_outside(before, keys_of(walker), [Frames(first, last)])


def test_between_two_poses_of_an_animator(bpy, walker, session):
    """Two keyed poses, two seconds apart, and nothing else."""
    bones = walker.pose.bones
    walker.animation_data.action = None
    bpy.context.scene.frame_set(1)
    for frame, turn in ((1, 0.0), (49, 0.6)):
        bones["left_shoulder"].rotation_quaternion = (1.0, 0.0, turn, 0.2)
        bones["pelvis"].location = (0.0, 0.0, 2.0 * turn)
        for bone in bones:
            bone.keyframe_insert("rotation_quaternion", frame=frame)
        bones["pelvis"].keyframe_insert("location", frame=frame)
    bpy.context.scene.frame_set(20)
    before, own = keys_of(walker), walker.animation_data.action.name
    assert bpy.ops.momask.fill(what="BETWEEN", prompt="a person walks") == {"FINISHED"}
    assert "frames 2 to 48" in session.result
    assert f"'{own}' stays in the file" in session.result
    same_outside(before, keys_of(walker), [Frames(2, 48)])
    assert len(keys_of(walker)['pose.bones["pelvis"].location', 0]) == 49


def test_a_gap_between_two_moments_of_the_model_is_interpolated(bpy, walker, session):
    """At 60 fps one frame lies between two frames of the model's 20."""
    scene = bpy.context.scene
    scene.render.fps = 60
    keep(bpy, (1, 32), (34, 72))
    before = keys_of(walker)
    heads = shown(scene, walker, range(31, 36))[..., :3, 3]
    assert bpy.ops.momask.fill(what="RANGES") == {"FINISHED"}
    same_outside(before, keys_of(walker), [Frames(33, 33)])
    moved = np.linalg.norm(shown(scene, walker, range(31, 36))[..., :3, 3] - heads, axis=-1)
    assert moved.max() < 0.02


def test_what_cannot_be_filled_is_said_and_changes_nothing(bpy, walker, session):
    before = len(bpy.data.actions)
    with pytest.raises(RuntimeError, match="No frames are kept"):
        bpy.ops.momask.fill(what="RANGES")
    keep(bpy, (1, 72))
    with pytest.raises(RuntimeError, match="there is nothing to make"):
        bpy.ops.momask.fill(what="RANGES")
    walker.animation_data.action = None
    bpy.context.scene.frame_set(10)
    with pytest.raises(RuntimeError, match="plays no Action with keys"):
        bpy.ops.momask.fill(what="BETWEEN")
    bpy.context.view_layer.objects.active = None
    with pytest.raises(RuntimeError, match="No character is selected"):
        bpy.ops.momask.fill(what="BETWEEN")
    assert len(bpy.data.actions) == before


def test_ranges_come_from_the_playhead_markers_and_selection(bpy, walker):
    scene = bpy.context.scene
    scene.frame_set(12)
    assert bpy.ops.momask.keep_frames(source="CURRENT") == {"FINISHED"}
    for frame in (30, 40):
        scene.timeline_markers.new("m", frame=frame).select = True
    assert bpy.ops.momask.keep_frames(source="MARKERS") == {"FINISHED"}
    scene.use_preview_range = True
    scene.frame_preview_start, scene.frame_preview_end = 50, 60
    assert bpy.ops.momask.keep_frames(source="PREVIEW") == {"FINISHED"}
    ranges = [(each.first, each.last) for each in scene.momask.kept]
    assert ranges == [(12, 12), (30, 40), (50, 60)]
    scene.timeline_markers[0].select = False
    with pytest.raises(RuntimeError, match="select two for each range"):
        bpy.ops.momask.keep_frames(source="MARKERS")
    assert bpy.ops.momask.forget_frames(index=0) == {"FINISHED"}
    assert len(scene.momask.kept) == 2
    assert bpy.ops.momask.forget_frames() == {"FINISHED"}
    assert not len(scene.momask.kept)
