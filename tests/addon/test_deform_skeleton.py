"""A control rig comes out of FBX and glTF as one clean skeleton of its deform bones."""

import numpy as np
import pytest

from momask_blender.contract import rotation

pytestmark = pytest.mark.blender

FRAMES = range(11, 31)
FORMATS = [("fbx", "GENERIC"), ("fbx", "UNITY"), ("fbx", "UNREAL"), ("glb", "GENERIC")]


@pytest.fixture
def rigify(bpy, scene, add_rigify):
    """The Rigify human, moved by its controls in FK and in IK, away from the origin."""
    from momask_blender.animation.actions import bind_action
    from momask_blender.animation.fcurves import write_channels

    rig = add_rigify(scene)
    rig.location, rig.rotation_euler.z = (2.0, -1.0, 0.3), 0.8
    channels = bind_action(rig, bpy.data.actions.new("Größe: wave"))
    frames = np.array(FRAMES, dtype=float)
    swing = 0.7 * np.sin(0.4 * frames)
    for name in ("upper_arm_fk.L", "forearm_fk.L", "torso", "neck", "spine_fk.002", "chest"):
        rig.pose.bones[name].rotation_mode = "QUATERNION"
        turns = rotation.about_axis((0.48, 0.6, 0.64), swing)
        write_channels(channels, f'pose.bones["{name}"].rotation_quaternion', name, frames, turns)
    for name, height in (("foot_ik.L", 0.1), ("torso", -0.2)):  # low: no leg is stretched
        steps = np.stack([0.01 * frames, 0.1 * swing, height + 0.05 * swing], axis=-1)
        write_channels(channels, f'pose.bones["{name}"].location', name, frames, steps)
    for name in ("upper_arm_parent.L", "upper_arm_parent.R"):
        rig.pose.bones[name]["IK_FK"] = 1.0
    scene.frame_start, scene.frame_end = FRAMES[0], FRAMES[-1]
    return rig


def heads(scene, armature, names, frames):
    found = []
    for frame in frames:
        scene.frame_set(frame)
        world = armature.matrix_world
        found.append([world @ armature.pose.bones[name].head for name in names])
    return np.array(found)


@pytest.mark.parametrize(("ending", "preset"), FORMATS)
def test_rigify_comes_out_as_one_tree_of_deform_bones(bpy, scene, rigify, tmp_path, ending, preset):
    from momask_blender.animation.export import export_take
    from momask_blender.generate import new_scene

    names = [bone.name for bone in rigify.data.bones if bone.use_deform]
    expected = heads(scene, rigify, names, FRAMES)
    file = tmp_path / f"human.{ending}"
    export_take(rigify, file, preset)

    back = new_scene(24.0)
    importer = bpy.ops.import_scene.fbx if ending == "fbx" else bpy.ops.import_scene.gltf
    importer(filepath=str(file))
    (armature,) = [ob for ob in bpy.data.objects if ob.type == "ARMATURE"]
    bones = armature.data.bones
    assert sorted(bone.name for bone in bones) == sorted(names)
    assert [bone.name for bone in bones if bone.parent is None] == ["DEF-spine"]
    parents = {bone.name: bone.parent.name for bone in bones if bone.parent}
    assert parents["DEF-thigh.L"] == "DEF-spine"
    assert parents["DEF-upper_arm.R"] == "DEF-shoulder.R"
    assert parents["DEF-shoulder.L"] == "DEF-spine.003"
    assert parents["DEF-shin.L"] == "DEF-thigh.L.001"
    assert len(bpy.data.actions) == 1
    assert "Größe: wave" in bpy.data.actions[0].name
    first = round(bpy.data.actions[0].frame_range[0])
    found = heads(back, armature, names, range(first, first + len(FRAMES)))
    gaps = dict(zip(names, np.linalg.norm(found - expected, axis=-1).max(axis=0), strict=True))
    assert {name: gap for name, gap in gaps.items() if gap > 1e-3} == {}
    (skin,) = [ob for ob in bpy.data.objects if ob.type == "MESH" and ob.vertex_groups]
    assert skin.find_armature() == armature
    assert {group.name for group in skin.vertex_groups} == set(names)


def test_the_users_rig_stays_as_it_is(bpy, scene, rigify, tmp_path):
    from momask_blender.animation.export import export_take

    def state():
        return (
            [(bone.name, len(bone.constraints)) for bone in rigify.pose.bones],
            len(rigify.animation_data.drivers),
            rigify.animation_data.action.name,
            sorted(block.name for block in (*bpy.data.objects, *bpy.data.actions)),
            scene.frame_current,
        )

    before = state()
    export_take(rigify, tmp_path / "human.fbx")
    assert state() == before


def test_a_root_bone_that_travels_stays_on_top(bpy, scene, rigify, tmp_path):
    from momask_blender.animation.actions import bound_channels
    from momask_blender.animation.export import export_take
    from momask_blender.animation.fcurves import write_channels
    from momask_blender.generate import new_scene

    frames = np.array(FRAMES, dtype=float)
    travel = np.outer(frames - frames[0], (0.0, -0.1, 0.0))
    path = 'pose.bones["root"].location'
    write_channels(bound_channels(rigify), path, "root", frames, travel)
    expected = heads(scene, rigify, ["root", "DEF-hand.L"], FRAMES)
    export_take(rigify, tmp_path / "human.fbx", "UNREAL")
    back = new_scene(24.0)
    bpy.ops.import_scene.fbx(filepath=str(tmp_path / "human.fbx"))
    (armature,) = [ob for ob in bpy.data.objects if ob.type == "ARMATURE"]
    assert [bone.name for bone in armature.data.bones if bone.parent is None] == ["root"]
    first = round(bpy.data.actions[0].frame_range[0])
    found = heads(back, armature, ["root", "DEF-hand.L"], range(first, first + len(FRAMES)))
    assert np.linalg.norm(found - expected, axis=-1).max() < 1e-3
