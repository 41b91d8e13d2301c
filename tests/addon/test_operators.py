"""The add-on's operators as scripts call them, with the real worker and its starter model."""

import json

import numpy as np
import pytest

from momask_blender.contract.messages import MAX_SEED
from momask_blender.contract.skeleton import JOINTS

pytestmark = pytest.mark.blender


def generate(bpy, **arguments) -> None:
    wanted = {"prompt": "a person walks forward", "seconds": 2.0, "seed": 4} | arguments
    assert bpy.ops.momask.generate(**wanted) == {"FINISHED"}


def keys(bpy, action) -> dict:
    """Every channel's keys, bit for bit: path and index -> coordinates, handles, types."""
    from momask_blender.animation.actions import new_channels

    found = {}
    for curve in new_channels(action, bpy.context.object).fcurves:
        rows = [
            (*k.co, *k.handle_left, *k.handle_right, k.interpolation, k.type)
            for k in curve.keyframe_points
        ]
        found[curve.data_path, curve.array_index] = rows
    return found


def test_words_become_a_new_character_that_plays_them(bpy, session):
    generate(bpy)
    armature = bpy.context.object
    assert (armature.name, [child.type for child in armature.children]) == ("Mannequin", ["MESH"])
    action = armature.animation_data.action
    assert (action.name, len(bpy.data.actions)) == ("a person walks forward", 1)
    curves = keys(bpy, action)
    assert len(curves) == 22 * 4 + 3
    assert {len(rows) for rows in curves.values()} == {48}, "2 s at 24 fps"
    bpy.context.scene.frame_set(1)
    start = armature.pose.bones["pelvis"].head.copy()
    bpy.context.scene.frame_set(48)
    assert (armature.pose.bones["pelvis"].head - start).length > 0.8, "it walks"
    assert "48 keys" in session.result
    assert len(bpy.data.scenes) == 1


def test_the_scene_stays_as_it_was(bpy, session):
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end, scene.render.fps = 10, 77, 30
    scene.frame_set(23)
    bpy.context.scene.cursor.location = (1.0, 2.0, 3.0)
    generate(bpy)
    assert (scene.frame_start, scene.frame_end, scene.frame_current) == (10, 77, 23)
    assert scene.render.fps == 30
    assert list(bpy.context.object.location) == [1.0, 2.0, 3.0]
    rows = next(iter(keys(bpy, bpy.context.object.animation_data.action).values()))
    assert [rows[0][0], rows[-1][0]] == [23.0, 82.0], "from the current frame, 60 keys"
    assert "ends at frame 82, after the scene's last frame 77" in session.result


def test_the_next_motion_goes_onto_the_same_character(bpy, session):
    generate(bpy)
    generate(bpy, prompt="a person jumps")
    assert [ob.name for ob in bpy.data.objects if ob.type == "ARMATURE"] == ["Mannequin"]
    assert sorted(bpy.data.actions.keys()) == ["a person jumps", "a person walks forward"]
    assert bpy.context.object.animation_data.action.name == "a person jumps"


def test_the_users_own_action_stays_untouched(bpy, session):
    generate(bpy)
    armature = bpy.context.object
    armature.animation_data.action = None
    bone = armature.pose.bones["head"]
    for frame, angle in ((1, 0.0), (13, 0.4), (40, -0.2)):
        bone.rotation_quaternion = (1.0, angle, 0.0, 0.0)
        bone.keyframe_insert("rotation_quaternion", frame=frame)
    own = armature.animation_data.action
    own.name = "my head"
    before = keys(bpy, own)
    generate(bpy, prompt="a person jumps")
    assert armature.animation_data.action.name == "a person jumps"
    assert keys(bpy, bpy.data.actions["my head"]) == before
    assert bpy.data.actions["my head"].users > 0, "it will be saved"
    assert "'my head' stays" in session.result


def test_variations_are_takes_to_switch_between(bpy, session):
    from momask_blender.animation.takes import read_take

    generate(bpy, variations=3)
    armature, scene = bpy.context.object, bpy.context.scene
    names = [action.name for action in bpy.data.actions]
    assert len(names) == 3
    assert [read_take(bpy.data.actions[name]).seed for name in sorted(names)] == [4, 5, 6]
    poses = []
    for name in names:
        assert bpy.ops.momask.play_take(take=name) == {"FINISHED"}
        assert armature.animation_data.action.name == name
        scene.frame_set(30)
        poses.append(np.array([armature.pose.bones[joint].head for joint in JOINTS]))
    assert min(np.abs(poses[a] - poses[b]).max() for a, b in ((0, 1), (0, 2), (1, 2))) > 0.02


@pytest.mark.parametrize("length", ["SECONDS", "MODEL"])
def test_a_take_can_be_made_again(bpy, session, length):
    settings = bpy.context.scene.momask
    settings.own_settings, settings.steps, settings.temperature = False, 7, 0.8
    settings.length, settings.lock_seed, settings.seed = length, True, 11
    settings.prompt, settings.seconds = "someone waves", 1.7
    settings.feet, settings.reduce_keys, settings.quality = "OFF", True, "DRAFT"
    assert bpy.ops.momask.generate() == {"FINISHED"}
    first = bpy.context.object.animation_data.action
    settings.prompt, settings.seed, settings.steps, settings.seconds = "x", 1, 20, 9.0
    settings.lock_seed, settings.length, settings.temperature = False, "SECONDS", 1.0
    settings.feet, settings.reduce_keys, settings.quality = "ON", False, "FULL"
    assert bpy.ops.momask.reuse_take(take=first.name) == {"FINISHED"}
    assert bpy.ops.momask.generate() == {"FINISHED"}
    second = bpy.context.object.animation_data.action
    assert second != first
    assert keys(bpy, second) == keys(bpy, first)


def test_an_unlocked_seed_changes_and_a_locked_one_stays(bpy, session):
    settings = bpy.context.scene.momask
    settings.seconds, settings.seed = 1.0, 5
    seeds = set()
    for _ in range(2):
        assert bpy.ops.momask.generate() == {"FINISHED"}
        seeds.add(settings.seed)
    assert len(seeds | {5}) == 3
    settings.lock_seed, settings.seed = True, MAX_SEED
    assert bpy.ops.momask.generate() == {"FINISHED"}
    assert settings.seed == MAX_SEED


def test_it_can_fill_the_scenes_or_the_preview_range(bpy, session):
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 5, 64
    scene.momask.length = "SCENE"
    assert bpy.ops.momask.generate() == {"FINISHED"}
    assert tuple(bpy.context.object.animation_data.action.frame_range) == (5, 64)
    scene.use_preview_range = True
    scene.frame_preview_start, scene.frame_preview_end = 20, 49
    scene.momask.length = "PREVIEW"
    assert bpy.ops.momask.generate() == {"FINISHED"}
    assert tuple(bpy.context.object.animation_data.action.frame_range) == (20, 49)


def test_one_undo_step_takes_all_of_it_back(bpy, session):
    bpy.ops.ed.undo_push(message="before")
    generate(bpy, variations=2)
    assert len(bpy.data.actions) == 2
    bpy.ops.ed.undo()
    assert (len(bpy.data.actions), len(bpy.data.objects)) == (0, 0)
    bpy.ops.ed.redo()
    assert (len(bpy.data.actions), len(bpy.data.objects)) == (2, 2)


def refused(bpy, session, words: str, **arguments) -> None:
    """The operator says why, the panel keeps it, nothing has changed."""
    before = (len(bpy.data.actions), len(bpy.data.objects))
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.momask.generate(**arguments)
    assert (len(bpy.data.actions), len(bpy.data.objects)) == before
    assert session.error is not None
    assert not session.is_busy


def test_an_empty_prompt_is_refused(bpy, session):
    refused(bpy, session, "prompt is empty", prompt=" ")


def test_a_target_that_is_no_character_is_refused_with_a_button(bpy, session):
    refused(bpy, session, "No character is selected", target="ACTIVE")
    bpy.ops.mesh.primitive_cube_add()
    refused(bpy, session, "'Cube' has no armature", target="ACTIVE")
    bpy.ops.object.armature_add()
    refused(bpy, session, "human", target="ACTIVE")
    assert session.error.fix == "momask.use_new_character"
    bpy.ops.momask.use_new_character()
    generate(bpy)


def test_a_range_that_is_too_long_is_refused(bpy, session):
    bpy.context.scene.momask.length = "SCENE"
    bpy.context.scene.frame_end = 251
    refused(bpy, session, r"251 are 10\.5 seconds.*9\.8")


def test_a_missing_preview_range_is_refused(bpy, session):
    bpy.context.scene.momask.length = "PREVIEW"
    refused(bpy, session, "no preview range")


def test_edit_mode_is_refused_in_scripts(bpy, session):
    bpy.ops.object.armature_add()
    bpy.ops.object.mode_set(mode="EDIT")
    refused(bpy, session, "Leave Edit Mode")
    bpy.ops.object.mode_set(mode="OBJECT")
    generate(bpy)


def test_a_strip_that_is_being_tweaked_is_left_alone(bpy, session):
    generate(bpy)
    armature = bpy.context.object
    data, action = armature.animation_data, armature.animation_data.action
    slot = getattr(data, "action_slot", None)
    data.action = None
    strip = data.nla_tracks.new().strips.new("walk", 1, action)
    if slot is not None:
        strip.action_slot = slot
    strip.select = True
    data.nla_tracks.active = data.nla_tracks[0]
    data.use_tweak_mode = True
    refused(bpy, session, "Leave tweak mode", seconds=1.0)
    assert (strip.action, len(bpy.data.actions)) == (action, 1)
    data.use_tweak_mode = False
    assert bpy.ops.momask.apply_again() == {"FINISHED"}
    assert data.action is not None
    assert strip.action == action


def test_another_objects_edit_mode_does_not_break_building(bpy, session):
    """Bones are built in edit mode; that of the user's object must survive it."""
    from momask_blender.rig.character import build_character

    bpy.ops.object.armature_add()
    bpy.ops.object.mode_set(mode="EDIT")
    other = bpy.context.object
    build_character("Mannequin", bpy.context.scene.collection)
    assert (other.mode, bpy.context.object) == ("EDIT", other)
    bpy.ops.object.mode_set(mode="OBJECT")


def test_a_notice_names_prompts_that_work(bpy, session):
    generate(bpy, prompt="a horse gallops")
    assert "trained on nothing like" in session.notice.text
    assert session.notice.prompts
    bpy.ops.momask.use_prompt(prompt=session.notice.prompts[0])
    assert bpy.ops.momask.generate(seconds=2.0) == {"FINISHED"}
    assert session.notice is None


def test_a_notice_names_the_unknown_action_of_several(bpy, session):
    generate(bpy, prompt="a person walks forward, then swims in the sea")
    notice = session.notice
    assert "nothing like 'a person swims in the sea', so" in notice.text
    for near, whole in notice.offers():
        assert whole == f"a person walks forward, then {near}"
    bpy.ops.momask.use_prompt(prompt=notice.offers()[0][1])
    assert bpy.ops.momask.generate(seconds=2.0) == {"FINISHED"}
    assert session.notice is None


def test_a_deleted_take_leaves_the_others(bpy, session):
    generate(bpy, variations=2)
    first, second = bpy.data.actions.keys()
    assert bpy.ops.momask.delete_take(take=first) == {"FINISHED"}
    assert bpy.data.actions.keys() == [second]
    with pytest.raises(RuntimeError, match="no take"):
        bpy.ops.momask.play_take(take=first)


@pytest.mark.parametrize(
    "note",
    [
        "{",
        "[]",
        "3",
        '{"prompt": 3}',
        '{"prompt": "a", "num_keys": "many", "fps": 24, "first_frame": 1}',
        '{"prompt": "a", "num_keys": 2, "fps": 24, "first_frame": 1, "program": "/bin/sh"}',
        "[" * 100_000,
    ],
)
def test_a_strangers_note_on_an_action_is_no_take(bpy, session, note):
    from momask_blender.animation.takes import STORED_AS, read_take

    action = bpy.data.actions.new("from a stranger")
    action[STORED_AS] = note
    assert read_take(action) is None
    with pytest.raises(RuntimeError, match="does not say how"):
        bpy.ops.momask.reuse_take(take=action.name)


def test_what_a_stranger_notes_stays_within_the_panels_limits(bpy, session):
    from momask_blender.animation.takes import STORED_AS

    action = bpy.data.actions.new("from a stranger")
    wild = {"steps": 10**9, "guidance_scale": -5.0, "residual_guidance_scale": 1e30}
    note = {"prompt": "walk", "num_keys": 10**9, "fps": 24.0, "first_frame": 1, "seed": -3}
    note |= {"num_frames": 10**6, "settings": wild | {"temperature": 9.0}}
    action[STORED_AS] = json.dumps(note)
    assert bpy.ops.momask.reuse_take(take=action.name) == {"FINISHED"}
    settings = bpy.context.scene.momask
    assert (settings.steps, settings.guidance, settings.residual_guidance) == (100, 0.0, 20.0)
    assert settings.seconds == pytest.approx(9.8)
    generate(bpy, seconds=0.5)


def test_no_setting_in_a_file_names_a_file_or_a_program(bpy, session):
    properties = bpy.types.Scene.bl_rna.properties["momask"].fixed_type.properties
    assert "prompt" in properties
    for each in properties:
        if each.type == "STRING":
            assert each.subtype not in ("FILE_PATH", "DIR_PATH", "FILE_NAME"), each.identifier
    assert [p.identifier for p in properties if p.type == "STRING"] == ["name", "prompt"]


@pytest.mark.parametrize("name", ["/etc", "../starter", "a\\b", ""])
def test_a_model_is_a_plain_name(bpy, session, monkeypatch, name):
    from momask_blender import settings

    monkeypatch.setattr(settings._DEFAULTS, "model", name, raising=False)
    refused(bpy, session, "no name of a model|no model")


def test_the_report_holds_what_a_developer_needs(bpy, session):
    from momask_blender.ui.report import error_report

    refused(bpy, session, "prompt is empty", prompt=" ")
    report = error_report(bpy.context)
    for words in ("prompt is empty", bpy.app.version_string, "Protocol", "device"):
        assert words in report
    assert bpy.ops.momask.show_log() == {"FINISHED"}
    assert "prompt is empty" in bpy.data.texts["MoMask log"].as_string()


@pytest.mark.parametrize("ending", [".fbx", ".glb", ".bvh"])
def test_the_take_can_be_exported(bpy, session, tmp_path, ending):
    generate(bpy)
    file = tmp_path / f"é walk{ending}"
    assert bpy.ops.momask.export(filepath=str(file), ending=ending) == {"FINISHED"}
    assert file.stat().st_size > 10_000
    with pytest.raises(RuntimeError, match="no folder"):
        bpy.ops.momask.export(filepath=str(tmp_path / "nowhere" / "a"), ending=ending)


def test_freeing_memory_and_going_on(bpy, session):
    generate(bpy)
    assert session.runs_on.startswith("CPU")
    assert bpy.ops.momask.unload() == {"FINISHED"}
    assert session.runs_on == ""
    assert bpy.ops.momask.load() == {"FINISHED"}
    assert session.runs_on.startswith("CPU")
    generate(bpy)
