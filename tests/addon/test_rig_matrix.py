"""A motion lands right on every rig: found, fitted, written, and measured as Blender shows it."""

from pathlib import Path

import pytest
from known_rigs import known_rigs, open_known
from measures import WIDER, shortfalls
from playing import measure
from rigify_human import add_rigify, rigify_file  # noqa: F401
from rigs import build
from starter_motions import starter_pose  # noqa: F401
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
def walk(starter_pose):  # noqa: F811
    return starter_pose("a person walks forward", 3.0)


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
