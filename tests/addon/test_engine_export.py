"""From an animator's own skinned character to an engine and back: found, fitted, exported, read."""

import numpy as np
import pytest

pytestmark = pytest.mark.blender

FPS, SECONDS, FIRST = 30.0, 1.0, 11
NUM_KEYS = round(SECONDS * FPS)
KEYS = (0, 1, 9, 17, NUM_KEYS - 1)
PROMPT = "a person walks forward"
CHARACTERS = {"mixamo_mpfb.glb": "UNITY", "ue4_mesh2motion.glb": "UNREAL"}
MILLIMETRE = 1e-3


@pytest.fixture
def walking(bpy, shared, starter_pose, request):
    """Opens a character and lets it walk. -> its scene, its armature."""
    from momask_blender.generate import at_rate, new_scene, play
    from momask_blender.own_character import open_character

    def walk(name):
        if name == "rigify":
            armature = request.getfixturevalue("add_rigify")(new_scene(None))
        else:
            armature = open_character(shared / "rigs" / name)
        scene = at_rate(armature.users_scene[0], FPS)
        scene.frame_start = FIRST
        play(scene, armature, starter_pose(PROMPT, SECONDS), NUM_KEYS, PROMPT)
        return scene, armature

    return walk


def heads(scene, armature, names, first) -> np.ndarray:
    """(keys, bones, 3) in the world."""
    found = []
    for key in KEYS:
        scene.frame_set(first + key)
        world = armature.matrix_world
        found.append([world @ armature.pose.bones[name].head for name in names])
    return np.array(found)


def deforming(armature) -> list[str]:
    return [bone.name for bone in armature.data.bones if bone.use_deform]


def skins(bpy, armature) -> list:
    meshes = [ob for ob in bpy.data.objects if ob.type == "MESH"]
    return [ob for ob in meshes if ob.vertex_groups and ob.find_armature() == armature]


def there_and_back(bpy, scene, armature, file, preset):
    """-> the armature as it came back, and the largest gap of each deform bone in metres."""
    from momask_blender.animation.export import export_take
    from momask_blender.generate import new_scene

    names = deforming(armature)
    expected = heads(scene, armature, names, FIRST)
    assert np.ptp(expected, axis=0).max() > 0.3, "it walks"
    export_take(armature, file, preset)
    scene = new_scene(FPS)
    bpy.ops.import_scene.fbx(filepath=str(file))
    (back,) = [ob for ob in bpy.data.objects if ob.type == "ARMATURE"]
    first = round(bpy.data.actions[0].frame_range[0])
    gaps = np.linalg.norm(heads(scene, back, names, first) - expected, axis=-1).max(axis=0)
    return back, dict(zip(names, gaps, strict=True))


def only_take(bpy):
    (action,) = bpy.data.actions
    first, last = action.frame_range
    assert last - first == pytest.approx(NUM_KEYS - 1, abs=1e-3)
    return action.name


@pytest.mark.parametrize(("name", "preset"), CHARACTERS.items())
def test_an_own_character_walks_into_an_engine(bpy, walking, tmp_path, name, preset):
    scene, armature = walking(name)
    (skin,) = skins(bpy, armature)
    faces, bones = len(skin.data.polygons), [bone.name for bone in armature.data.bones]
    back, gaps = there_and_back(bpy, scene, armature, tmp_path / "hero.fbx", preset)
    assert {bone: gap for bone, gap in gaps.items() if gap > MILLIMETRE} == {}
    assert [bone.name for bone in back.data.bones if bone.name not in bones] == []
    assert PROMPT in only_take(bpy)
    (skin,) = skins(bpy, back)
    assert len(skin.data.polygons) == faces
    assert {group.name for group in skin.vertex_groups} <= set(bones)


def test_a_rigify_character_walks_into_an_engine_as_one_deform_skeleton(bpy, walking, tmp_path):
    scene, armature = walking("rigify")
    names = deforming(armature)
    back, gaps = there_and_back(bpy, scene, armature, tmp_path / "human.fbx", "UNREAL")
    assert {bone: gap for bone, gap in gaps.items() if gap > MILLIMETRE} == {}
    assert sorted(bone.name for bone in back.data.bones) == sorted(names)
    assert [bone.name for bone in back.data.bones if bone.parent is None] == ["DEF-spine"]
    assert PROMPT in only_take(bpy)
    (skin,) = skins(bpy, back)
    assert {group.name for group in skin.vertex_groups} == set(names)
