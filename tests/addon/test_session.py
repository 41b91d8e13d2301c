"""While a motion is being made: the session ticked by hand, as a window's timer does."""

import os
import signal
import time
from pathlib import Path

import pytest

from momask_blender.contract.messages import OUT_OF_MEMORY, WEIGHTS
from momask_blender.errors import UserError

pytestmark = pytest.mark.blender


def start(bpy, session, **changes) -> None:
    """What the button does in a window."""
    from momask_blender.inputs import placement_from, request_from

    settings = bpy.context.scene.momask
    for name, value in ({"prompt": "a person jumps", "seconds": 2.0} | changes).items():
        setattr(settings, name, value)
    session.start(request_from(settings, seed=3), placement_from(bpy.context, settings))


@pytest.fixture
def character(bpy, session, tick_on):
    """One of ours, made and played; the target of the next motion."""
    start(bpy, session, target="NEW")
    tick_on(session)
    assert session.error is None
    return bpy.context.object


def test_a_motion_arrives_tick_by_tick(bpy, session, tick_on):
    start(bpy, session, target="NEW", variations=2)
    phases = []
    tick_on(session, lambda: phases.append(session.phase))
    assert {"Generating motion", "Writing keys"} <= set(phases)
    assert len(bpy.data.actions) == 2
    assert session.tick() is not None, "an idle worker is still watched"


def test_nothing_starts_twice(bpy, session, tick_on):
    start(bpy, session, target="NEW")
    with pytest.raises(UserError, match="is being made"):
        start(bpy, session, target="NEW")
    tick_on(session)
    assert len(bpy.data.actions) == 1


def test_a_character_renamed_meanwhile_gets_its_motion(bpy, session, character, tick_on):
    start(bpy, session, prompt="a person walks")
    character.name = "Hero"
    bpy.data.objects.new("Mannequin", None)
    tick_on(session)
    assert session.error is None
    assert bpy.data.objects["Hero"].animation_data.action.name == "a person walks"


def test_a_character_deleted_meanwhile_loses_nothing(bpy, session, character, tick_on):
    start(bpy, session, prompt="a person walks")
    bpy.data.objects.remove(character)
    tick_on(session)
    assert "'Mannequin' was deleted" in session.error.message
    assert [action.name for action in bpy.data.actions] == ["a person jumps"]
    bpy.context.scene.momask.target = "NEW"
    assert bpy.ops.momask.apply_again() == {"FINISHED"}
    assert bpy.context.object.animation_data.action.name == "a person walks"


def test_undo_meanwhile_leaves_no_dead_reference(bpy, session, character, tick_on):
    bpy.ops.ed.undo_push(message="one")
    character.location.x = 5.0
    bpy.ops.ed.undo_push(message="moved")
    start(bpy, session, prompt="a person walks")
    bpy.ops.ed.undo()
    tick_on(session)
    assert session.error is None
    armature = bpy.data.objects["Mannequin"]
    assert armature.location.x == 0.0
    assert armature.animation_data.action.name == "a person walks"


def test_undo_that_takes_the_character_away_is_told(bpy, session, tick_on):
    bpy.ops.ed.undo_push(message="empty")
    start(bpy, session, target="NEW")
    tick_on(session)
    start(bpy, session, prompt="a person walks")
    bpy.ops.ed.undo()
    tick_on(session)
    assert "was deleted meanwhile" in session.error.message
    assert session.can_apply_again


def test_an_action_edited_meanwhile_stays(bpy, session, character, tick_on):
    start(bpy, session, prompt="a person walks")
    bone = character.pose.bones["head"]
    bone.rotation_quaternion = (0.9, 0.1, 0.2, 0.3)
    bone.keyframe_insert("rotation_quaternion", frame=500)
    tick_on(session)
    assert session.error is None
    assert bpy.data.actions["a person jumps"].frame_range[1] == 500


def test_a_character_in_pose_mode_gets_its_motion(bpy, session, character, tick_on):
    bpy.ops.object.mode_set(mode="POSE")
    start(bpy, session, prompt="a person walks")
    tick_on(session)
    assert session.error is None
    assert character.mode == "POSE"
    assert character.animation_data.action.name == "a person walks"


def test_a_motion_waits_for_the_end_of_edit_mode(bpy, session, character, tick_on):
    start(bpy, session, prompt="a person walks")
    bpy.ops.object.mode_set(mode="EDIT")
    tick_on(session, lambda: session.suspended)
    assert "Leave Edit Mode" in session.phase
    assert character.animation_data.action.name == "a person jumps"
    bpy.ops.object.mode_set(mode="OBJECT")
    tick_on(session)
    assert character.animation_data.action.name == "a person walks"


def test_a_motion_that_waits_can_be_given_up(bpy, session, character, tick_on):
    start(bpy, session, prompt="a person walks")
    bpy.ops.object.mode_set(mode="EDIT")
    tick_on(session, lambda: session.suspended)
    session.cancel()
    assert not session.is_busy
    bpy.ops.object.mode_set(mode="OBJECT")
    assert session.result == "Cancelled. Nothing was changed"
    assert character.animation_data.action.name == "a person jumps"


def test_a_linked_character_is_told_what_to_do(bpy, session, character, tick_on, tmp_path):
    file = str(tmp_path / "library.blend")
    bpy.ops.wm.save_as_mainfile(filepath=file, copy=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(file, link=True) as (_, wanted):
        wanted.objects = ["Mannequin"]
    linked = bpy.data.objects["Mannequin"]
    bpy.context.scene.collection.objects.link(linked)
    bpy.context.view_layer.objects.active = linked
    with pytest.raises(UserError, match="is linked"):
        start(bpy, session, target="ACTIVE")
    take = bpy.data.actions.new("walk")
    with pytest.raises(RuntimeError, match="library override"):
        bpy.ops.momask.play_take(take=take.name)
    override = linked.override_create(remap_local_usages=True)
    bpy.context.view_layer.objects.active = override
    start(bpy, session, target="ACTIVE", prompt="a person walks")
    tick_on(session)
    assert session.error is None
    assert override.animation_data.action.name == "a person walks"


def test_opening_a_file_drops_the_motion(bpy, session, tick_on, tmp_path):
    file = str(tmp_path / "other.blend")
    bpy.ops.wm.save_as_mainfile(filepath=file, copy=True)
    start(bpy, session, target="NEW", seconds=9.8, variations=8)
    tick_on(session, lambda: session.job.phase == "Generating motion")
    bpy.ops.wm.open_mainfile(filepath=file)
    tick_on(session)
    assert (len(bpy.data.actions), session.error) == (0, None)
    start(bpy, session, target="NEW")
    tick_on(session)
    assert len(bpy.data.actions) == 1


def test_the_scene_that_asked_gets_the_motion(bpy, session, tick_on):
    first = bpy.context.scene
    first.render.fps = 30
    start(bpy, session, target="NEW")
    second = bpy.data.scenes.new("Second")
    bpy.context.window.scene = second
    tick_on(session)
    assert [ob.type for ob in first.objects] == ["ARMATURE", "MESH"]
    assert len(second.objects) == 0
    assert tuple(bpy.data.actions[0].frame_range) == (1, 60)


def test_a_scene_deleted_meanwhile_is_told(bpy, session, tick_on):
    other = bpy.data.scenes.new("Other")
    bpy.context.window.scene = other
    start(bpy, session, target="NEW")
    bpy.data.scenes.remove(other)
    tick_on(session)
    assert "'Other' was deleted" in session.error.message
    assert len(bpy.data.actions) == 0


@pytest.mark.parametrize("phase", ["Starting", "Loading the model", "Generating motion"])
def test_cancel_answers_soon_and_changes_nothing(bpy, session, tick_on, phase):
    session.shut_down()
    start(bpy, session, target="NEW", seconds=9.8, variations=8)
    tick_on(session, lambda: session.job.phase == phase)
    asked = time.monotonic()
    session.cancel()
    tick_on(session)
    assert time.monotonic() - asked < 0.3
    assert session.result == "Cancelled. Nothing was changed"
    assert (len(bpy.data.actions), len(bpy.data.objects), session.error) == (0, 0, None)
    start(bpy, session, target="NEW", seconds=1.0, variations=1)
    tick_on(session)
    assert len(bpy.data.actions) == 1


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_a_worker_killed_in_the_middle_is_told_and_replaced(bpy, session, tick_on):
    start(bpy, session, target="NEW", seconds=9.8, variations=8)
    tick_on(session, lambda: session.job.phase == "Generating motion")
    os.kill(session.worker.pid, signal.SIGKILL)
    tick_on(session)
    assert session.error.code == OUT_OF_MEMORY
    assert (len(bpy.data.actions), len(bpy.data.objects)) == (0, 0)
    start(bpy, session, target="NEW", seconds=1.0, variations=1)
    assert session.error is None
    tick_on(session)
    assert len(bpy.data.actions) == 1


def test_missing_and_damaged_weights_are_told(bpy, session, tick_on, tmp_path, monkeypatch):
    import shutil

    from momask_blender import settings
    from momask_blender.inputs import SHIPPED_WEIGHTS

    folder = tmp_path / "é weights"
    shutil.copytree(SHIPPED_WEIGHTS / "starter", folder / "broken")
    file = folder / "broken" / "rvq.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    monkeypatch.setattr(settings._DEFAULTS, "weights_folder", str(folder), raising=False)
    for model, words in (("broken", "rvq.safetensors is damaged"), ("gone", "no model 'gone'")):
        monkeypatch.setattr(settings._DEFAULTS, "model", model, raising=False)
        start(bpy, session, target="NEW")
        tick_on(session)
        assert session.error.code == WEIGHTS
        assert words in session.error.message
    session.look_around()
    assert session.models == ["starter", "broken"]
    assert session.lack.text == "There is no model 'gone'"


def test_a_worker_that_does_not_start_is_told(bpy, session, monkeypatch, tmp_path):
    monkeypatch.setattr("momask_blender.worker_client.sys.executable", str(tmp_path / "python"))
    session.shut_down()
    with pytest.raises(RuntimeError, match="could not be started"):
        bpy.ops.momask.generate(seconds=1.0)
    assert not session.is_busy


def test_no_room_for_results_is_told(bpy, session, monkeypatch, tmp_path):
    session.shut_down()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(RuntimeError, match="temporary folder"):
        bpy.ops.momask.generate(seconds=1.0)


def test_prompts_are_remembered_between_sessions(tmp_path):
    from momask_blender.history import History

    history = History(tmp_path)
    for prompt in ("walk", "run é", "walk"):
        history.add(prompt)
    assert History(tmp_path).prompts == ["walk", "run é"]
    (tmp_path / "prompts.json").write_text('{"a": 1}')
    assert History(tmp_path).prompts == []
    (tmp_path / "prompts.json").write_text("[1, null")
    assert History(tmp_path).prompts == []


def test_a_folder_that_cannot_be_written_costs_only_the_history():
    from momask_blender.history import History

    history = History(Path("/proc/nowhere"))
    history.add("walk")
    assert history.prompts == ["walk"]


def contents(bpy) -> dict[str, list[str]]:
    kinds = ("objects", "meshes", "armatures", "actions", "scenes")
    return {kind: sorted(block.name for block in getattr(bpy.data, kind)) for kind in kinds}


def test_an_error_while_applying_leaves_the_file_as_it_was(bpy, session, character):
    result = next(session._private_folder().iterdir())
    result.write_bytes(result.read_bytes()[:1000])
    before = contents(bpy)
    bpy.context.scene.momask.target = "NEW"
    with pytest.raises(RuntimeError, match="cannot be read"):
        bpy.ops.momask.apply_again()
    assert contents(bpy) == before
    assert character.animation_data.action.name == "a person jumps"


def test_a_mistake_of_ours_is_told_and_does_not_stick(bpy, session, tick_on, monkeypatch):
    def broken(*_arguments):
        raise ZeroDivisionError("by zero")

    with monkeypatch.context() as patched:
        patched.setattr("momask_blender.placement.make_take", broken)
        start(bpy, session, target="NEW")
        with pytest.raises(ZeroDivisionError):
            tick_on(session)
    assert not session.is_busy
    assert "ZeroDivisionError: by zero" in session.error.message
    start(bpy, session, target="NEW")
    tick_on(session)
    assert session.error is None


def test_an_idle_worker_goes_and_comes_back(bpy, session, tick_on, monkeypatch):
    from momask_blender import settings

    monkeypatch.setattr(settings._DEFAULTS, "idle_minutes", 0.005)
    start(bpy, session, target="NEW", seconds=1.0)
    tick_on(session)
    deadline = time.monotonic() + 10.0
    while session.tick() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (session.worker, session.runs_on) == (None, "")
    start(bpy, session, target="ACTIVE", seconds=1.0)
    tick_on(session)
    assert len(bpy.data.actions) == 2


def test_results_do_not_pile_up(bpy, session, tick_on):
    for _ in range(3):
        start(bpy, session, target="NEW", variations=2)
        tick_on(session)
    assert len(list(session._private_folder().iterdir())) == 2, "the last motion's files"
    folder = session._private_folder()
    session.shut_down()
    assert not folder.exists()


def test_work_on_the_file_shows_how_far_it_is_and_can_be_cancelled(bpy, session, tick_on):
    from momask_blender.steps import Steps

    scene = bpy.context.scene

    def moved_frame_by_frame():
        before = scene.frame_current
        try:
            for step in range(1000):
                scene.frame_set(before + step)
                time.sleep(0.004)
                yield step / 1000
        except GeneratorExit:
            scene.frame_set(before)
            raise

    steps = Steps("Moving", moved_frame_by_frame(), "Move", 0.0, can_be_cancelled=True)
    session.carry_out(steps, lambda: "moved")
    tick_on(session, lambda: session.share > 0.0)
    assert (session.phase, session.is_running, scene.frame_current > 1) == ("Moving", True, True)
    with pytest.raises(UserError, match="is being made"):
        session.load()
    session.cancel()
    assert (session.is_busy, scene.frame_current) == (False, 1)
    assert "Nothing was changed" in session.result
    session.carry_out(Steps("Moving", iter([0.5, 1.0]), "Move"), lambda: "moved")
    tick_on(session)
    assert session.result == "moved"
