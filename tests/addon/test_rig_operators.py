"""Which bone plays which part: set by hand, remembered, exchanged as files, taken back."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.blender

RIGHT = {
    "l_forearm": "left_elbow",
    "r_forearm": "right_elbow",
    "l_upperarm": "left_shoulder",
    "hips": "pelvis",
    "head": "head",
}


@pytest.fixture
def folder(session, tmp_path: Path) -> Path:
    """The user's own folder, empty."""
    from momask_blender.rig.known_maps import known_maps

    known_maps.open(tmp_path / "user")
    yield tmp_path / "user"
    known_maps.open(None)


@pytest.fixture
def hero(bpy, folder):
    return add_character(bpy, "Hero")


def add_character(bpy, name: str):
    from momask_blender.rig.character import build_character

    armature = build_character(name, bpy.context.scene.collection)
    make_active(bpy, armature)
    return armature


def make_active(bpy, ob) -> None:
    bpy.context.view_layer.objects.active = ob


def known(armature):
    from momask_blender.rig.known_maps import known_maps

    return known_maps.look_up(armature)


def bones(armature) -> dict[str, str]:
    return known(armature).joint_map.bones


def test_the_bones_of_a_character_are_found(bpy, hero):
    assert {role: bones(hero)[role] for role in RIGHT} == RIGHT
    assert not known(hero).is_own


def test_drawing_asks_and_never_computes(bpy, hero):
    from momask_blender.rig.known_maps import known_maps

    assert known_maps.peek(hero) is None
    found = known_maps.look_up(hero)
    assert known_maps.peek(hero) is found
    hero.data.bones["head"].name = "Kopf"
    assert known_maps.peek(hero) is None, "other bones: looked at anew"


def test_a_wrong_role_is_set_with_its_counterpart(bpy, hero):
    assert bpy.ops.momask.set_role(role="l_forearm", bone="left_wrist") == {"FINISHED"}
    now = bones(hero)
    assert (now["l_forearm"], now["r_forearm"]) == ("left_wrist", "right_wrist")
    assert not {"l_hand", "r_hand"} & set(now), "a bone plays one part"
    assert known(hero).is_own


def test_one_side_alone_can_be_set(bpy, hero):
    bpy.ops.momask.set_role(role="l_forearm", bone="left_wrist", mirror=False)
    assert (bones(hero)["l_forearm"], bones(hero)["r_forearm"]) == ("left_wrist", "right_elbow")


def test_the_active_bone_is_taken(bpy, hero):
    with pytest.raises(RuntimeError, match="No bone of 'Hero' is active"):
        bpy.ops.momask.set_role(role="spine1")
    hero.data.bones.active = hero.data.bones["spine2"]
    bpy.ops.momask.set_role(role="spine1")
    assert bones(hero)["spine1"] == "spine2"


def test_a_mesh_stands_for_its_armature(bpy, hero):
    make_active(bpy, hero.children[0])
    bpy.ops.momask.clear_role(role="neck")
    assert "neck" not in bones(hero)


def test_a_fix_is_remembered_for_the_same_skeleton(bpy, hero):
    bpy.ops.momask.set_role(role="l_forearm", bone="left_wrist")
    twin = add_character(bpy, "Twin")
    assert bones(twin) == bones(hero)
    assert "skeleton" in known(twin).joint_map.source


def test_another_skeleton_hears_nothing_of_it(bpy, hero):
    bpy.ops.momask.set_role(role="l_forearm", bone="left_wrist")
    other = add_character(bpy, "Other")
    other.data.bones["spine1"].name = "spine_low"
    assert bones(other)["l_forearm"] == "left_elbow"


def test_a_fix_comes_back_with_the_file(bpy, hero, tmp_path):
    from momask_blender.rig.known_maps import known_maps

    bpy.ops.momask.clear_role(role="l_collar")
    before = bones(hero)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "hero.blend"))
    known_maps.open(tmp_path / "another computer")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "hero.blend"))
    assert bones(bpy.data.objects["Hero"]) == before
    assert "file" in known(bpy.data.objects["Hero"]).joint_map.source


def test_undo_takes_a_fix_back_everywhere(bpy, hero, folder):
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.momask.set_role("EXEC_DEFAULT", True, role="l_forearm", bone="left_wrist")
    bpy.ops.ed.undo()
    assert bones(bpy.data.objects["Hero"])["l_forearm"] == "left_elbow"
    assert list(folder.rglob("*.json")) == []
    bpy.ops.ed.redo()
    assert bones(bpy.data.objects["Hero"])["l_forearm"] == "left_wrist"
    assert len(list(folder.rglob("*.json"))) == 1


def test_changes_can_be_forgotten(bpy, hero, folder):
    found = bones(hero)
    bpy.ops.momask.clear_role(role="head")
    assert bpy.ops.momask.forget_map() == {"FINISHED"}
    assert bones(hero) == found
    assert not known(hero).is_own
    assert list(folder.rglob("*.json")) == []


def test_a_map_goes_out_and_comes_in(bpy, hero, tmp_path):
    bpy.ops.momask.set_role(role="l_forearm", bone="left_wrist", mirror=False)
    wanted, file = bones(hero), tmp_path / "hero.json"
    assert bpy.ops.momask.export_map(filepath=str(tmp_path / "hero")) == {"FINISHED"}
    bpy.ops.momask.forget_map()
    assert bones(hero) != wanted
    assert bpy.ops.momask.import_map(filepath=str(file)) == {"FINISHED"}
    assert bones(hero) == wanted


def test_a_map_of_another_character_changes_nothing(bpy, hero, tmp_path):
    file, before = tmp_path / "map.json", bones(hero)
    bpy.ops.momask.export_map(filepath=str(file))
    card = json.loads(file.read_text())
    card["roles"]["head"] = "Kopf"
    file.write_text(json.dumps(card))
    with pytest.raises(RuntimeError, match=r"'map.json' wants 'Kopf' as the head"):
        bpy.ops.momask.import_map(filepath=str(file))
    with pytest.raises(RuntimeError, match="no folder"):
        bpy.ops.momask.export_map(filepath=str(tmp_path / "nowhere" / "map.json"))
    assert bones(hero) == before
    assert not known(hero).is_own


def test_a_damaged_map_in_a_file_is_not_used(bpy, hero):
    found = bones(hero)
    for text in ("{", "[" * 100_000, '{"format": "momask joint map", "version": 1, "roles": {}}'):
        hero.data["momask_map"] = text
        assert bones(hero) == found
        assert "Not used" in known(hero).joint_map.warnings[0]
    hero.data["momask_map"] = 3
    assert bones(hero) == found


def link_hero(bpy, hero, tmp_path):
    file = str(tmp_path / "library.blend")
    bpy.data.libraries.write(file, {hero})
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(file, link=True) as (_, wanted):
        wanted.objects = ["Hero"]
    linked = bpy.data.objects["Hero"]
    bpy.context.scene.collection.objects.link(linked)
    make_active(bpy, linked)
    return linked


def test_a_linked_armature_is_remembered_in_the_users_folder(bpy, hero, folder, tmp_path):
    linked = link_hero(bpy, hero, tmp_path)
    bpy.ops.momask.clear_role(role="neck")
    assert "neck" not in bones(linked)
    assert linked.data.get("momask_map") is None
    assert len(list(folder.rglob("*.json"))) == 1


def test_a_linked_armature_without_a_folder_cannot_be_set(bpy, hero, tmp_path):
    from momask_blender.rig.known_maps import known_maps

    linked = link_hero(bpy, hero, tmp_path)
    (tmp_path / "a file").write_text("")
    known_maps.open(tmp_path / "a file")
    with pytest.raises(RuntimeError, match="Make Local"):
        bpy.ops.momask.clear_role(role="neck")
    assert "neck" in bones(linked)


def test_a_folder_that_cannot_be_written_costs_the_saving_only(bpy, hero, tmp_path):
    from momask_blender.rig.known_maps import known_maps

    (tmp_path / "a file").write_text("")
    known_maps.open(tmp_path / "a file")
    bpy.ops.momask.clear_role(role="neck")
    assert "neck" not in bones(hero)


def test_what_is_no_humanoid_hears_why(bpy, folder):
    bpy.ops.object.armature_add()
    assert known(bpy.context.object).joint_map is None
    with pytest.raises(RuntimeError):
        bpy.ops.momask.detect_bones()
    bpy.ops.mesh.primitive_cube_add()
    assert not bpy.ops.momask.detect_bones.poll()
