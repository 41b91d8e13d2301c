"""A motion lands right on every rig: found, fitted, written, and measured as Blender shows it."""

from pathlib import Path

import numpy as np
import pytest
from known_rigs import known_rigs, open_known
from measures import WIDER, shortfalls
from playing import measure
from rigs import build
from tortures import TORTURES

from momask_blender.retarget.roles import ROLES

pytestmark = pytest.mark.blender

FPS = 30.0
SHARED_RIGS = Path(__file__).resolve().parents[3] / "shared" / "rigs"
FILES = [entry["file"] for entry in known_rigs(SHARED_RIGS)] if SHARED_RIGS.is_dir() else []


def is_whole(joint_map) -> bool:
    return set(joint_map.bones) >= set(ROLES) - {"l_toe", "r_toe"}


def find(armature):
    from momask_blender.rig.joint_map import find_joint_map
    from momask_blender.rig.rest import read_rest

    return find_joint_map(read_rest(armature))


@pytest.fixture
def walk(starter_pose):
    return starter_pose("a person walks forward", 4.0)


@pytest.mark.parametrize("name", TORTURES)
def test_a_walk_lands_right_on_a_rig_of_any_build(bpy, scene, walk, name):
    armature, right = build(bpy, scene, name, TORTURES[name])
    joint_map = find(armature)
    assert right.accepts(joint_map.bones) == []
    found = measure(bpy, armature, joint_map, walk, FPS, right.facing)
    assert shortfalls(found, is_whole(joint_map), WIDER.get(name)) == []


@pytest.mark.parametrize("file", FILES)
def test_a_walk_lands_right_on_a_third_partys_rig(bpy, walk, file):
    entry = next(entry for entry in known_rigs(SHARED_RIGS) if entry["file"] == file)
    armature, right = open_known(bpy, SHARED_RIGS, entry)
    joint_map = find(armature)
    assert right.accepts(joint_map.bones) == []
    found = measure(bpy, armature, joint_map, walk, FPS, right.facing)
    assert shortfalls(found, is_whole(joint_map), WIDER.get(file)) == []


def test_a_walk_lands_right_on_a_generated_rigify_human(bpy, scene, walk, add_rigify):
    armature = add_rigify(scene)
    joint_map = find(armature)
    assert set(joint_map.bones) == set(ROLES)
    found = measure(bpy, armature, joint_map, walk, FPS, np.array([0.0, -1.0, 0.0]))
    assert shortfalls(found, wider=WIDER["Rigify human"]) == []


def test_a_walk_lands_right_on_a_library_override(bpy, scene, walk, tmp_path):
    how = TORTURES["turned, scale 0.01, A-pose"]
    _, right = build(bpy, scene, "Hero", how)
    file = str(tmp_path / "library.blend")
    bpy.ops.wm.save_as_mainfile(filepath=file, copy=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(file, link=True) as (_, wanted):
        wanted.objects = ["Hero"]
    bpy.context.scene.collection.objects.link(bpy.data.objects["Hero"])
    armature = bpy.data.objects["Hero"].override_create(remap_local_usages=True)
    joint_map = find(armature)
    found = measure(bpy, armature, joint_map, walk, FPS, right.facing)
    assert shortfalls(found) == []
