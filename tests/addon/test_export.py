"""One character and one take out of a crowded file, read back by Blender's own importers."""

import json
import struct

import numpy as np
import pytest

from momask_blender.contract.skeleton import JOINTS
from momask_blender.errors import UserError

pytestmark = pytest.mark.blender

NUM_KEYS = 48
FIRST = 101  # of the take, far from the scene's range
FORMATS = [("fbx", "GENERIC"), ("fbx", "UNITY"), ("fbx", "UNREAL"), ("glb", ""), ("bvh", "")]
RATE = 30.0 / 1.001


@pytest.fixture
def crowd(bpy, motion):
    """Two characters, the first with a second Action and an NLA track, away from the origin."""
    from momask_blender.generate import new_scene, play
    from momask_blender.rig.character import build_character

    scene = new_scene(24.0)
    scene.frame_start = FIRST
    hero = build_character("Héroïne à vélo", scene.collection)
    other = build_character("Other", scene.collection)
    play(scene, hero, motion, NUM_KEYS, "another take")
    stashed = hero.animation_data.action
    play(scene, other, motion, NUM_KEYS, "not me")
    play(scene, hero, motion, NUM_KEYS, "Größe: someone waves")
    track = hero.animation_data.nla_tracks.new()
    track.name = "stashed"
    track.strips.new("stashed", 1, stashed)
    track.mute = True
    hero.location, hero.rotation_euler.z = (3.0, 1.0, 0.0), 0.7
    hero.children[0].name = "Kleid"
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "POINT"))
    lamp.parent = hero
    scene.collection.objects.link(lamp)
    scene.frame_start, scene.frame_end = 1, 5
    scene.frame_set(3)
    return scene


def heads(scene, armature, frame: int) -> np.ndarray:
    scene.frame_set(frame)
    world = armature.matrix_world
    return np.array([world @ armature.pose.bones[name].head for name in JOINTS])


def joints(scene, armature, first: int) -> np.ndarray:
    return np.array([heads(scene, armature, first + key) for key in range(NUM_KEYS)])


def hero_of(bpy):
    return bpy.data.objects["Héroïne à vélo"]


def export(bpy, file, preset):
    from momask_blender.animation.export import export_take

    export_take(hero_of(bpy), file, preset or "GENERIC")


def read_back(bpy, file, rate: float = 24.0):
    """-> scene, the armatures in it."""
    from momask_blender.generate import new_scene

    scene = new_scene(rate)
    if file.suffix == ".fbx":
        bpy.ops.import_scene.fbx(filepath=str(file))
    elif file.suffix == ".glb":
        bpy.ops.import_scene.gltf(filepath=str(file))
    else:
        import addon_utils

        addon_utils.enable("io_anim_bvh")
        bpy.ops.import_anim.bvh(filepath=str(file), update_scene_fps=False)
    return scene, [ob for ob in bpy.data.objects if ob.type == "ARMATURE"]


@pytest.mark.parametrize(("ending", "preset"), FORMATS)
def test_one_character_and_one_take_come_back_within_a_millimetre(
    bpy, crowd, tmp_path, ending, preset
):
    expected = joints(crowd, hero_of(bpy), FIRST)
    export(bpy, tmp_path / f"Ein Weg é.{ending}", preset)
    scene, armatures = read_back(bpy, tmp_path / f"Ein Weg é.{ending}")
    assert len(armatures) == 1
    assert [bone.name for bone in armatures[0].data.bones if bone.name not in JOINTS] == []
    assert len(bpy.data.actions) == 1
    first, last = bpy.data.actions[0].frame_range
    assert last - first == pytest.approx(NUM_KEYS - 1, abs=1e-3)
    gaps = np.linalg.norm(joints(scene, armatures[0], round(first)) - expected, axis=-1)
    assert gaps.max() < 1e-3
    assert not [ob for ob in bpy.data.objects if ob.type == "LIGHT"]
    skins = [ob for ob in bpy.data.objects if ob.type == "MESH" and ob.vertex_groups]
    assert len(skins) == (0 if ending == "bvh" else 1)
    if ending == "fbx":
        assert bpy.data.actions[0].name.endswith("|Größe: someone waves")
    elif ending == "glb":
        assert bpy.data.actions[0].name.startswith("Größe: someone waves")
    if preset == "UNREAL":
        assert armatures[0].name == "root", "the rig has no root bone at its origin"
    elif ending != "bvh":
        assert armatures[0].name == "Héroïne à vélo"


@pytest.mark.parametrize(("ending", "preset"), FORMATS[:4])
def test_the_skin_moves_as_before(bpy, crowd, tmp_path, ending, preset):
    def points(scene, mesh, frame):
        scene.frame_set(frame)
        posed = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
        found = np.array([posed.matrix_world @ vertex.co for vertex in posed.data.vertices])
        return np.stack([found.min(axis=0), found.max(axis=0), found.mean(axis=0)])

    frames = (0, 20, NUM_KEYS - 1)
    expected = [points(crowd, bpy.data.objects["Kleid"], FIRST + frame) for frame in frames]
    export(bpy, tmp_path / f"a.{ending}", preset)
    scene, armatures = read_back(bpy, tmp_path / f"a.{ending}")
    mesh = next(ob for ob in bpy.data.objects if ob.type == "MESH" and ob.vertex_groups)
    assert mesh.find_armature() == armatures[0]
    first = round(bpy.data.actions[0].frame_range[0])
    found = [points(scene, mesh, first + frame) for frame in frames]
    corners = 2 if ending == "glb" else 3  # glTF splits vertices: their mean is another
    np.testing.assert_allclose(
        np.array(found)[:, :corners], np.array(expected)[:, :corners], atol=1e-3
    )


def state(bpy) -> dict:
    """All that an export could disturb."""
    window, scene = bpy.context.window, bpy.context.scene
    hero = hero_of(bpy)
    data = hero.animation_data
    kinds = ("objects meshes armatures actions scenes materials collections images").split()
    return {
        "window": (window.scene.name, window.view_layer.name),
        "frame": (scene.frame_current, scene.frame_start, scene.frame_end),
        "active": active.name if (active := bpy.context.view_layer.objects.active) else "",
        "modes": {ob.name: ob.mode for ob in bpy.data.objects},
        "selected": {ob.name for ob in bpy.context.view_layer.objects if ob.select_get()},
        "plays": (data.action.name, getattr(data.action_slot, "identifier", ""))
        if hasattr(data, "action_slot")
        else data.action.name,
        "tracks": [(t.name, t.mute, t.is_solo, len(t.strips)) for t in data.nla_tracks],
        "names": {kind: sorted(block.name for block in getattr(bpy.data, kind)) for kind in kinds},
        "hidden": {ob.name: (ob.hide_viewport, ob.hide_select) for ob in bpy.data.objects},
        "places": {ob.name: [list(row) for row in ob.matrix_world] for ob in bpy.data.objects},
        "pose": [list(row) for bone in hero.pose.bones for row in bone.matrix_basis],
        "addons": sorted(bpy.context.preferences.addons.keys()),
    }


@pytest.mark.parametrize("mode", ["OBJECT", "POSE", "EDIT", "other EDIT"])
@pytest.mark.parametrize("ending", ["fbx", "glb", "bvh"])
def test_the_scene_is_as_before(bpy, crowd, tmp_path, ending, mode):
    worked_on = bpy.data.objects["Other"].children[0] if "other" in mode else hero_of(bpy)
    for ob in crowd.objects:
        ob.select_set(ob.name == "Other")
    bpy.context.view_layer.objects.active = worked_on
    bpy.ops.object.mode_set(mode=mode.split()[-1])
    before = state(bpy)
    export(bpy, tmp_path / f"a.{ending}", "UNREAL")
    assert state(bpy) == before
    assert bpy.context.mode.startswith(mode.split()[-1])
    bpy.ops.object.mode_set(mode="OBJECT")
    expected = joints(crowd, hero_of(bpy), FIRST)
    scene, armatures = read_back(bpy, tmp_path / f"a.{ending}")
    first = round(bpy.data.actions[0].frame_range[0])
    gaps = np.linalg.norm(joints(scene, armatures[0], first) - expected, axis=-1)
    assert gaps.max() < 1e-3, "edit mode shows the rest pose, the file has the motion"


def hide(bpy, scene):
    for ob in (hero_of(bpy), hero_of(bpy).children[0]):
        ob.hide_set(True)
        ob.hide_viewport = ob.hide_select = True


def exclude(bpy, scene):
    away = bpy.data.collections.new("away")
    scene.collection.children.link(away)
    for ob in (hero_of(bpy), *hero_of(bpy).children):
        scene.collection.objects.unlink(ob)
        away.objects.link(ob)
    bpy.context.view_layer.layer_collection.children["away"].exclude = True


def leave(bpy, scene):
    bpy.context.window.scene = bpy.data.scenes.new("other scene")


def rest(bpy, scene):
    hero_of(bpy).data.pose_position = "REST"


def unparent(bpy, scene):
    mesh = bpy.data.objects["Kleid"]
    world = mesh.matrix_world.copy()
    mesh.parent, mesh.matrix_world = None, world


def solo(bpy, scene):
    track = hero_of(bpy).animation_data.nla_tracks[0]
    track.mute, track.is_solo = False, True


@pytest.mark.parametrize("trouble", [hide, exclude, leave, rest, unparent, solo])
def test_it_comes_out_whatever_its_scene_does_with_it(bpy, crowd, tmp_path, trouble):
    expected = joints(crowd, hero_of(bpy), FIRST)
    trouble(bpy, crowd)
    for ending in ("fbx", "glb"):
        export(bpy, tmp_path / f"a.{ending}", "")
    for ending in ("fbx", "glb"):
        scene, armatures = read_back(bpy, tmp_path / f"a.{ending}")
        first = round(bpy.data.actions[0].frame_range[0])
        gaps = np.linalg.norm(joints(scene, armatures[0], first) - expected, axis=-1)
        assert gaps.max() < 1e-3, ending
        assert len([ob for ob in bpy.data.objects if ob.vertex_groups]) == 1


@pytest.mark.parametrize("moves", [False, True], ids=["stands", "moves"])
def test_a_parent_that_is_not_exported_leaves_the_character_where_it_is(
    bpy, crowd, tmp_path, moves
):
    hero, parent = hero_of(bpy), bpy.data.objects.new("cart", None)
    crowd.collection.objects.link(parent)
    hero.parent = parent
    parent.location, parent.rotation_euler.z, parent.scale = (1.0, 2.0, 0.0), 0.5, (1.5,) * 3
    for frame in (FIRST, FIRST + NUM_KEYS - 1) if moves else ():
        parent.keyframe_insert("location", frame=frame)
        parent.keyframe_insert("rotation_euler", frame=frame)
        parent.location.x, parent.rotation_euler.z = 3.0, 5.0
    expected = joints(crowd, hero, FIRST)
    for ending, preset in (("fbx", ""), ("fbx", "UNREAL"), ("glb", "")):
        export(bpy, tmp_path / f"a{preset}.{ending}", preset)
    assert (hero.parent, len(hero.constraints)) == (parent, 0)
    for name in ("a.fbx", "aUNREAL.fbx", "a.glb"):
        scene, armatures = read_back(bpy, tmp_path / name)
        first = round(bpy.data.actions[0].frame_range[0])
        gaps = np.linalg.norm(joints(scene, armatures[0], first) - expected, axis=-1)
        assert gaps.max() < 1e-3, name


def test_constraints_follow_the_copy(bpy, crowd, tmp_path):
    """An arm that copies the other one's turn, from the same armature."""
    hero = hero_of(bpy)
    constraint = hero.pose.bones["left_knee"].constraints.new("COPY_ROTATION")
    constraint.target, constraint.subtarget = hero, "left_elbow"
    expected = joints(crowd, hero, FIRST)
    for ending, preset in FORMATS:
        export(bpy, tmp_path / f"a{preset}.{ending}", preset)
    for ending, preset in FORMATS:
        scene, armatures = read_back(bpy, tmp_path / f"a{preset}.{ending}")
        first = round(bpy.data.actions[0].frame_range[0])
        gaps = np.linalg.norm(joints(scene, armatures[0], first) - expected, axis=-1)
        assert gaps.max() < 1e-3, (ending, preset)


def take_seconds(file) -> list[float]:
    """Start and end of the one animation of a .glb, as written."""
    content = file.read_bytes()
    (length,) = struct.unpack_from("<I", content, 12)
    card = json.loads(content[20 : 20 + length])
    assert len(card["animations"]) == 1
    times = {sampler["input"] for sampler in card["animations"][0]["samplers"]}
    accessors = [card["accessors"][index] for index in times]
    return [min(a["min"][0] for a in accessors), max(a["max"][0] for a in accessors)]


def test_time_is_right_at_broadcast_rates(bpy, crowd, tmp_path):
    crowd.render.fps, crowd.render.fps_base = 30, 1.001
    export(bpy, tmp_path / "a.glb", "")
    export(bpy, tmp_path / "a.bvh", "")
    assert take_seconds(tmp_path / "a.glb") == pytest.approx([0.0, (NUM_KEYS - 1) / RATE], abs=1e-4)
    motion = (tmp_path / "a.bvh").read_text(encoding="utf-8").split("MOTION\n")[1].splitlines()
    assert motion[0] == f"Frames: {NUM_KEYS}"
    assert float(motion[1].split()[-1]) == pytest.approx(1.0 / RATE, abs=1e-6)
    assert len(motion) == 2 + NUM_KEYS


def test_bvh_is_y_up_and_names_have_no_spaces(bpy, crowd, tmp_path):
    hero_of(bpy).data.bones["neck"].name = "der Hals"
    export(bpy, tmp_path / "a.bvh", "")
    lines = (tmp_path / "a.bvh").read_text(encoding="utf-8").splitlines()
    assert "der_Hals" in " ".join(lines)
    offset = next(line for line in lines if "OFFSET" in line)
    assert float(offset.split()[2]) > 0.7, "the pelvis is above the floor along Y"


def test_unreal_gets_centimetres_and_no_scale(bpy, crowd, tmp_path):
    """Read with the importer's unit switched off: the numbers are what Unreal takes."""
    from io_scene_fbx import parse_fbx

    export(bpy, tmp_path / "a.fbx", "UNREAL")
    root, _ = parse_fbx.parse(str(tmp_path / "a.fbx"))
    elements = {element.id: element for element in root.elems}
    settings = {prop.props[0]: prop.props[4] for prop in elements[b"GlobalSettings"].elems[1].elems}
    assert settings[b"UnitScaleFactor"] == pytest.approx(1.0)
    assert (settings[b"UpAxis"], settings[b"FrontAxis"], settings[b"FrontAxisSign"]) == (2, 1, -1)
    for model in elements[b"Objects"].elems:
        if model.id == b"Model":
            properties = next(e for e in model.elems if e.id == b"Properties70").elems
            scale = next((p.props[4:] for p in properties if p.props[0] == b"Lcl Scaling"), [1.0])
            assert list(scale) == pytest.approx([1.0] * len(scale), abs=1e-4), model.props[1]


def test_refusals_are_one_line(bpy, crowd, tmp_path):
    from momask_blender.animation.export import export_take

    with pytest.raises(UserError, match="must end in"):
        export(bpy, tmp_path / "a.obj", "")
    with pytest.raises(UserError, match="Could not write"):
        export(bpy, tmp_path / "no folder" / "a.fbx", "")
    before = state(bpy)
    with pytest.raises(UserError, match="Could not write"):
        export(bpy, tmp_path / "no folder" / "a.glb", "")
    assert state(bpy) == before
    hero_of(bpy).animation_data.action = None
    with pytest.raises(UserError, match="plays no Action"):
        export_take(hero_of(bpy), tmp_path / "a.fbx")
