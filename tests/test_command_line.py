"""The command line as a user meets it: a file, or one clear line and exit status 2."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str, module: str = "momask_blender", cwd: Path, **environment: str):
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        timeout=240,
        check=False,
    )


BAD_INPUT = {
    "empty prompt": (["", "--out", "a.fbx"], "prompt is empty"),
    "broken text": (["walk \udcff", "--out", "a.fbx"], "UTF-8"),
    "zero seconds": (["walk", "--out", "a.fbx", "--seconds", "0"], "9.8 seconds"),
    "negative seconds": (["walk", "--out", "a.fbx", "--seconds=-2"], "9.8 seconds"),
    "seconds in words": (["walk", "--out", "a.fbx", "--seconds", "two"], "invalid float"),
    "no number": (["walk", "--out", "a.fbx", "--seconds", "nan"], "9.8 seconds"),
    "too long": (["walk", "--out", "a.fbx", "--seconds", "60"], "9.8 seconds"),
    "too many frames": (["walk", "--out", "a.fbx", "--frames", "197"], "196"),
    "half a frame": (["walk", "--out", "a.fbx", "--frames", "1.5"], "invalid int"),
    "two lengths": (["walk", "--out", "a.fbx", "--frames", "9", "--seconds", "1"], "not allowed"),
    "unknown ending": (["walk", "--out", "a.obj"], ".fbx or .glb or .bvh or .blend"),
    "no folder": (["walk", "--out", "nowhere/a.fbx"], "no folder"),
    "a folder": (["walk", "--out", "folder.fbx"], "is a folder"),
    "no rate": (["walk", "--out", "a.fbx", "--fps", "0"], "1 to 240"),
    "unknown weights": (["walk", "--out", "a.npz", "--weights", "gigantic"], "starter"),
    "preview of arrays": (["walk", "--out", "a.npz", "--preview", "a.png"], "needs a character"),
    "preview ending": (["walk", "--out", "a.fbx", "--preview", "a.jpg"], ".png"),
    "unknown preset": (["walk", "--out", "a.fbx", "--preset", "maya"], "unreal"),
    "preset of glTF": (["walk", "--out", "a.glb", "--preset", "unity"], "is for FBX"),
    "no character": (["walk", "--out", "a.fbx", "--character", "b.fbx"], "no file b.fbx"),
    "odd character": (["walk", "--out", "a.fbx", "--character", "folder.obj"], "end in one of"),
    "map of nobody": (["walk", "--out", "a.fbx", "--map", "a.json"], "give that too"),
    "armature of nobody": (["walk", "--out", "a.fbx", "--armature", "A"], "give that too"),
    "unknown feet": (["walk", "--out", "a.fbx", "--feet", "glued"], "strict"),
    "huge seed": (["walk", "--out", "a.fbx", "--seed", "4294967296"], "2147483647"),
}


@pytest.mark.parametrize(("arguments", "words"), BAD_INPUT.values(), ids=list(BAD_INPUT))
def test_bad_input_is_one_line_and_status_2(tmp_path, arguments, words):
    (tmp_path / "folder.fbx").mkdir()
    ended = run("generate", *arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert ended.stdout == ""
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.fbx"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    target = "/proc" if os.geteuid() == 0 else str(tmp_path)  # root may write anywhere else
    tmp_path.chmod(0o500)
    ended = run("generate", "walk", "--out", f"{target}/a.fbx", cwd=ROOT)
    tmp_path.chmod(0o700)
    assert ended.returncode == 2
    assert "Cannot write to the folder" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_without_bpy_the_user_hears_which_python_has_it(tmp_path):
    """A Python that has no bpy: this one, told that there is none."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['bpy'] = None")
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    ended = run("generate", "walk", "--out", "a.fbx", cwd=tmp_path, PYTHONPATH=path)
    assert ended.returncode == 2
    assert "3.11" in ended.stderr
    assert "pip install bpy" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_missing_system_library_is_named_with_its_package(tmp_path):
    """A bpy whose import fails as the real one's does where libXi is missing."""
    message = "libXi.so.99: cannot open shared object file: No such file or directory"
    (tmp_path / "bpy.py").write_text(f"raise ImportError({message!r})")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    ended = run("generate", "walk", "--out", "a.fbx", cwd=tmp_path, PYTHONPATH=path)
    assert ended.returncode == 2
    assert "libXi.so.99" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_known_libraries_come_with_their_debian_package():
    from momask_blender.blender_module import explain_import_error

    message = "libXi.so.6: cannot open shared object file: No such file or directory"
    assert "apt-get install libxi6" in explain_import_error(message)


def test_a_terminal_that_cannot_show_the_name_is_no_error(tmp_path):
    arguments = ["generate", "walk", "--frames", "20", "--out", "走.npz"]
    ended = run(*arguments, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "走.npz").exists()


@pytest.mark.parametrize("module", ["momask_blender", "model_runtime"])
def test_arrays_come_without_blender(tmp_path, module):
    arguments = ["generate", "a person jumps", "--frames", "40", "--seed", "3", "--out", "a b.npz"]
    ended = run(*arguments, module=module, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.splitlines()) == 1
    assert "Wrote a b.npz" in ended.stdout
    with np.load(tmp_path / "a b.npz", allow_pickle=False) as arrays:
        assert arrays["joints"].shape == (40, 22, 3)


def start(*arguments: str, cwd: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "momask_blender", "generate", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def wait_for_child(process: int) -> None:
    """Until it has started one, which only Linux tells."""
    children = Path(f"/proc/{process}/task/{process}/children")
    while children.exists() and not children.read_text(encoding="utf-8"):
        time.sleep(0.02)


@pytest.mark.blender
@pytest.mark.skipif(os.name != "posix", reason="sends Ctrl-C as POSIX does")
@pytest.mark.parametrize("moment", ["at once", "in the model", "while rendering", "while filming"])
def test_an_interrupt_ends_it_at_once_and_leaves_nothing_half_done(tmp_path, moment):
    pytest.importorskip("bpy", reason="the bpy module is not installed")
    preview = "a.mp4" if moment == "while filming" else "a.png"
    lasting = ["--seconds", "9.8", "--steps", "100"] if moment == "in the model" else []
    running = start("walk", "--out", "a.fbx", "--preview", preview, *lasting, cwd=tmp_path)
    if moment == "in the model":
        wait_for_child(running.pid)
    time.sleep(0.3)
    is_late = moment.startswith("while")
    if is_late:
        while not (tmp_path / "a.fbx").exists():
            assert running.poll() is None
            time.sleep(0.02)
        time.sleep(1.0)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: the worker hears it too
    interrupted = time.monotonic()
    said, complained = running.communicate(timeout=60)
    assert time.monotonic() - interrupted < 3.0
    assert running.returncode in (130, -signal.SIGINT)  # the latter before our code runs
    assert said == ""
    if running.returncode == 130:
        assert complained == ""
    left = {entry.name for entry in tmp_path.iterdir()}
    assert left == ({"a.fbx"} if is_late else set())


@pytest.mark.blender
@pytest.mark.slow
def test_words_become_an_fbx_that_moves_as_the_arrays_say(tmp_path):
    """The whole chain: prompt, FBX, back into Blender, against `joints_rig` of the same seed."""
    bpy = pytest.importorskip("bpy", reason="the bpy module is not installed")
    from momask_blender.contract.skeleton import JOINTS
    from momask_blender.retarget.border import to_blender

    arguments = ["generate", "a person walks forward", "--seconds", "2.5", "--seed", "1"]
    ended = run(*arguments, "--fps", "20", "--feet", "off", "--out", "walk.fbx", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.splitlines()) == 1, ended.stdout
    assert run(*arguments, "--out", "walk.npz", cwd=tmp_path).returncode == 0
    with np.load(tmp_path / "walk.npz", allow_pickle=False) as arrays:
        expected = to_blender(arrays["joints_rig"])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = 20
    bpy.ops.import_scene.fbx(filepath=str(tmp_path / "walk.fbx"))
    armature = next(ob for ob in bpy.data.objects if ob.type == "ARMATURE")
    first, last = (round(frame) for frame in bpy.data.actions[0].frame_range)
    assert last - first + 1 == len(expected) == 50
    for frame, joints in enumerate(expected):
        bpy.context.scene.frame_set(first + frame)
        heads = [armature.matrix_world @ armature.pose.bones[name].head for name in JOINTS]
        assert np.linalg.norm(np.array(heads) - joints, axis=-1).max() < 1e-3


@pytest.mark.blender
@pytest.mark.slow
def test_a_film_and_a_glb_from_words(tmp_path):
    pytest.importorskip("bpy", reason="the bpy module is not installed")
    arguments = ["generate", "a person runs", "--seconds", "0.5", "--out", "a.glb"]
    ended = run(*arguments, "--preview", "ein Film é.mp4", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("Wrote a.glb and ein Film é.mp4")
    assert len(ended.stdout.splitlines()) == 1
    assert ended.stderr == "", "progress is for terminals"
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.glb", "ein Film é.mp4"}


@pytest.mark.blender
def test_a_blend_knows_how_its_take_was_made(tmp_path):
    bpy = pytest.importorskip("bpy", reason="the bpy module is not installed")
    from momask_blender.animation.takes import read_take

    arguments = ["generate", "a person jumps", "--frames", "40", "--seed", "7", "--steps", "5"]
    ended = run(*arguments, "--out", "jump.blend", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "jump.blend"))
    take = read_take(bpy.data.actions["a person jumps"])
    assert (take.prompt, take.seed, take.num_frames) == ("a person jumps", 7, 40)
    assert (take.settings["model"], take.settings["steps"]) == ("starter", 5)
