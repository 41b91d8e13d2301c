"""What is written can be read again, by Blender itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from momask_blender.contract.pose import pose_to_joints
from momask_blender.contract.skeleton import JOINTS, PARENTS
from momask_blender.errors import UserError
from momask_blender.retarget.border import resample_pose, to_blender
from momask_blender.retarget.fit import Fit

pytestmark = pytest.mark.blender

NUM_KEYS = 48


@pytest.fixture
def imported(bpy, character, tmp_path):
    """The exported FBX, read into an empty scene."""
    from momask_blender.animation.export import export_take
    from momask_blender.generate import new_scene

    file = tmp_path / "a walk é.fbx"
    export_take(character, file)
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name], "nothing left behind"
    scene = new_scene(24.0)
    bpy.ops.import_scene.fbx(filepath=str(file))
    return scene


def test_fbx_holds_one_clean_armature(bpy, imported):
    armatures = [ob for ob in bpy.data.objects if ob.type == "ARMATURE"]
    assert len(armatures) == 1
    assert sorted(bone.name for bone in armatures[0].data.bones) == sorted(JOINTS)
    assert [action.name for action in bpy.data.actions] == ["Mannequin|someone waves"]
    assert tuple(bpy.data.actions[0].frame_range) == (1, NUM_KEYS), "the take starts at time zero"
    assert list(armatures[0].scale) == pytest.approx([1.0] * 3, abs=1e-6)


def test_fbx_holds_the_skinned_mesh(bpy, imported):
    meshes = [ob for ob in bpy.data.objects if ob.type == "MESH"]
    assert len(meshes) == 1
    assert [m.type for m in meshes[0].modifiers] == ["ARMATURE"]
    assert {group.name for group in meshes[0].vertex_groups} == set(JOINTS)


def skin(bpy, scene, frame: int) -> np.ndarray:
    """World positions (V, 3) of the mesh as the armature bends it."""
    scene.frame_set(frame)
    graph = bpy.context.evaluated_depsgraph_get()
    mesh = next(ob for ob in scene.objects if ob.type == "MESH").evaluated_get(graph)
    return np.array([mesh.matrix_world @ vertex.co for vertex in mesh.data.vertices])


def test_fbx_skin_moves_as_ours_does(bpy, scene, character, tmp_path):
    from momask_blender.animation.export import export_take

    ours = [skin(bpy, scene, frame) for frame in (1, 20, NUM_KEYS)]
    export_take(character, tmp_path / "walk.fbx")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=str(tmp_path / "walk.fbx"))
    theirs = [skin(bpy, bpy.context.scene, frame) for frame in (1, 20, NUM_KEYS)]
    assert np.linalg.norm(np.array(ours) - np.array(theirs), axis=-1).max() < 1e-3


def test_the_character_plays_on_after_its_export(bpy, scene, character, tmp_path):
    from momask_blender.animation.export import export_take

    data = character.animation_data
    other = data.nla_tracks.new()
    before = (data.action.name, skin(bpy, scene, 20))
    export_take(character, tmp_path / "walk.fbx")
    assert [track.mute for track in data.nla_tracks] == [False]
    assert data.nla_tracks[0] == other
    assert data.action.name == before[0]
    np.testing.assert_array_equal(skin(bpy, scene, 20), before[1])


def test_fbx_joints_are_within_a_millimetre(bpy, imported, motion):
    armature = next(ob for ob in bpy.data.objects if ob.type == "ARMATURE")
    expected = to_blender(pose_to_joints(resample_pose(motion, NUM_KEYS, 24.0)))
    lengths = []
    for key in range(NUM_KEYS):
        imported.frame_set(1 + key)
        world = armature.matrix_world
        heads = np.array([world @ armature.pose.bones[name].head for name in JOINTS])
        assert np.linalg.norm(heads - expected[key], axis=-1).max() < 1e-3
        lengths.append(np.linalg.norm(heads[1:] - heads[list(PARENTS[1:])], axis=-1))
    assert np.ptp(lengths, axis=0).max() < 1e-4, "bones keep their length"


def test_fbx_keeps_time_at_broadcast_rates(bpy, motion, tmp_path):
    """Read by Blender's newer importer: the older one takes 29.97 for 30 on its way in."""
    if "fbx_import" not in dir(bpy.ops.wm):
        pytest.skip("this Blender has no importer that knows broadcast rates")
    from momask_blender.animation.export import export_take
    from momask_blender.generate import count_keys, new_scene, play
    from momask_blender.rig.character import build_character

    scene = new_scene(29.97)
    armature = build_character("Mannequin", scene.collection)
    num_keys = count_keys(scene, motion, None)
    play(scene, armature, motion, num_keys, "walk", fit=Fit(feet="OFF"))
    export_take(armature, tmp_path / "walk.fbx")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.fbx_import(filepath=str(tmp_path / "walk.fbx"))
    assert bpy.context.scene.render.fps_base == pytest.approx(1.001, abs=2e-6)
    assert tuple(bpy.data.actions[0].frame_range) == pytest.approx((1, num_keys), abs=1e-3)


def test_blend_opens_with_the_motion(bpy, character, tmp_path):
    from momask_blender.animation.export import save_blend

    file = tmp_path / "walk.blend"
    save_blend(file)
    bpy.ops.wm.open_mainfile(filepath=str(file))
    armature = bpy.data.objects["Mannequin"]
    assert armature.animation_data.action.name == "someone waves"
    assert bpy.context.scene.frame_end == NUM_KEYS


def test_a_blend_saved_elsewhere_finds_its_textures(bpy, scene, tmp_path):
    from momask_blender.animation.export import save_blend

    picture = bpy.data.images.new("skin", 2, 2)
    picture.filepath_raw, picture.file_format = str(tmp_path / "skin.png"), "PNG"
    picture.save()
    picture.use_fake_user = True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "own.blend"))
    picture = bpy.data.images["skin"]
    picture.source, picture.filepath = "FILE", "//skin.png"
    (tmp_path / "out").mkdir()
    save_blend(tmp_path / "out" / "walk.blend")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "out" / "walk.blend"))
    assert bpy.data.images["skin"].filepath.replace("\\", "/") == "//../skin.png"


@contextmanager
def full_disk() -> Iterator[None]:
    """Writing more than 16 kB to any file fails, as on a full disk."""
    resource = pytest.importorskip("resource", reason="no resource limits on this system")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("ending", ["fbx", "glb", "bvh", "blend", "png"])
def test_a_full_disk_leaves_the_old_file(scene, character, tmp_path, monkeypatch, ending):
    from momask_blender.animation import export, preview

    file = tmp_path / f"walk.{ending}"
    file.write_text("old")
    write = {
        "fbx": lambda: export.export_take(character, file),
        "glb": lambda: export.export_take(character, file),
        "bvh": lambda: export.export_take(character, file),
        "blend": lambda: export.save_blend(file),
        "png": lambda: preview.render_contact_sheet(scene, character, "a wave", file),
    }
    monkeypatch.setattr(preview, "SAMPLES", 1)
    with pytest.raises(UserError, match="Could not write"), full_disk():
        write[ending]()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_contact_sheet_is_a_picture_and_leaves_nothing(
    bpy, scene, character, tmp_path, monkeypatch
):
    from momask_blender.animation import preview

    monkeypatch.setattr(preview, "SAMPLES", 1)
    monkeypatch.setattr(preview, "PIXELS_PER_METRE", 20)
    kinds = ("objects", "meshes", "materials", "scenes", "worlds", "curves", "cameras", "lights")
    before = {kind: len(getattr(bpy.data, kind)) for kind in kinds}
    file = tmp_path / "sheet.png"
    preview.render_contact_sheet(scene, character, "someone waves", file)
    assert {kind: len(getattr(bpy.data, kind)) for kind in kinds} == before
    picture = bpy.data.images.load(str(file))
    pixels = np.array(picture.pixels[:]).reshape(picture.size[1], picture.size[0], 4)
    assert picture.size[0] == 230
    dark = (pixels[..., :3].max(axis=-1) < 0.35).mean()
    assert 0.005 < dark < 0.3, "figures are on it"
    assert list(tmp_path.iterdir()) == [file]
