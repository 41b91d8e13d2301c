"""Files with one's own character, as the command line opens them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from momask_blender.errors import UserError

pytestmark = pytest.mark.blender
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def two_in_a_file(bpy, scene, tmp_path) -> Path:
    """'Anna' and 'Ben' in a .blend at 30 frames per second."""
    from momask_blender.rig.character import build_character

    for name in ("Anna", "Ben"):
        build_character(name, scene.collection)
    scene.render.fps = 30
    file = tmp_path / "two.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return file


@pytest.mark.parametrize(
    "name",
    [
        "kaykit_knight.glb",
        "cmu_91_48_daz.fbx",
        "cmu_131_03.bvh",
        "vrm0_godette.vrm",
        "rigify_def_mesh2motion.blend",
    ],
)
def test_every_kind_of_file_opens(bpy, shared, name):
    from momask_blender.own_character import open_character

    rigs = json.loads((shared / "rigs" / "rigs.json").read_text())["rigs"]
    known = next(rig for rig in rigs if rig["file"] == name)
    armature = open_character(shared / "rigs" / name)
    assert (armature.name, len(armature.data.bones)) == (known["armature_object"], known["bones"])
    assert bpy.context.scene in armature.users_scene


def test_importing_keeps_the_frame_rate(bpy, shared):
    from momask_blender.own_character import open_character

    open_character(shared / "rigs" / "cmu_91_48_daz.fbx")  # says 30
    assert bpy.context.scene.render.fps == 24


def test_of_several_armatures_one_is_named(bpy, two_in_a_file):
    from momask_blender.own_character import open_character

    assert open_character(two_in_a_file, "Ben").name == "Ben"
    assert bpy.context.scene.render.fps == 30, "a .blend is opened as it is"
    with pytest.raises(UserError, match=r"several armatures, 'Anna', 'Ben': .* --armature"):
        open_character(two_in_a_file)
    with pytest.raises(UserError, match=r"no armature 'Cleo'. It has 'Anna', 'Ben'"):
        open_character(two_in_a_file, "Cleo")


def test_a_file_without_armature_is_refused(bpy, scene, tmp_path):
    from momask_blender.own_character import open_character

    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "empty.blend"))
    with pytest.raises(UserError, match="has no armature"):
        open_character(tmp_path / "empty.blend")


@pytest.mark.parametrize("ending", [".blend", ".fbx", ".glb", ".gltf", ".vrm", ".bvh"])
def test_a_damaged_file_is_refused_in_one_line(bpy, tmp_path, ending):
    from momask_blender.own_character import open_character

    file = tmp_path / f"damaged{ending}"
    file.write_bytes(b"{nothing that anyone can read\x00")
    with pytest.raises(UserError) as refused:
        open_character(file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def generate(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "momask_blender", "generate", "a person walks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=240,
        check=False,
    )


def test_a_motion_goes_onto_a_character_from_a_file(bpy, two_in_a_file, tmp_path):
    out = tmp_path / "walk.fbx"
    character = ("--character", str(two_in_a_file), "--armature", "Ben")
    ended = generate("--seconds", "2", *character, "--out", str(out))
    assert ended.returncode == 0, ended.stderr
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=str(out))
    armatures = [ob for ob in bpy.data.objects if ob.type == "ARMATURE"]
    assert [ob.name for ob in armatures] == ["Ben"]
    assert [child.type for child in armatures[0].children] == ["MESH"]
    assert armatures[0].animation_data.action.frame_range[1] == pytest.approx(60, abs=1)


def test_the_take_is_saved_in_the_animators_own_file(bpy, two_in_a_file, tmp_path):
    out = tmp_path / "walk.blend"
    ended = generate("--character", str(two_in_a_file), "--armature", "Anna", "--out", str(out))
    assert ended.returncode == 0, ended.stderr
    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert bpy.data.objects["Anna"].animation_data.action.name == "a person walks"
    assert bpy.data.objects["Ben"].animation_data is None


def test_a_map_that_does_not_fit_is_refused_before_anything_is_made(two_in_a_file, tmp_path):
    (tmp_path / "map.json").write_text('{"format": "momask joint map"}')
    character = ("--character", str(two_in_a_file), "--armature", "Ben")
    map_file = ("--map", str(tmp_path / "map.json"))
    ended = generate(*character, *map_file, "--out", str(tmp_path / "walk.fbx"))
    assert ended.returncode == 2
    assert "'map.json' is no joint map" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "walk.fbx").exists()
