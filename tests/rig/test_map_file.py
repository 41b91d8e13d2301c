"""Joint maps as text: what goes out comes in, and nothing else does."""

import json

import pytest

from momask_blender.errors import UserError
from momask_blender.retarget.roles import ROLES
from momask_blender.rig.joint_map import JointMap
from momask_blender.rig.map_file import (
    MAX_BYTES,
    SavedMaps,
    map_to_text,
    read_map_file,
    write_map_file,
)
from momask_blender.rig.mirror import mirrored_bone, mirrored_role

BONES = {role: f"骨 {role}" for role in ROLES if role != "neck"}
TEXT = map_to_text(JointMap(BONES), "0123")


def with_roles(**roles) -> str:
    return json.dumps(json.loads(TEXT) | {"roles": roles})


def test_a_map_comes_back_from_its_file(tmp_path):
    file = tmp_path / "map.json"
    write_map_file(file, TEXT)
    found = read_map_file(file, BONES.values())
    assert found.bones == BONES
    assert set(found.confidence.values()) == {1.0}
    assert [entry.name for entry in tmp_path.iterdir()] == ["map.json"]


def test_the_text_is_stable_and_readable():
    backwards = JointMap(dict(reversed(BONES.items())))
    assert map_to_text(backwards, "0123") == TEXT
    assert '"l_thigh": "骨 l_thigh"' in TEXT


DAMAGED = {
    "no JSON": ("{", "is not JSON"),
    "too deep": ("[" * 60_000, "is not JSON"),
    "a list": ("[]", "no joint map"),
    "other JSON": ("{}", "no joint map"),
    "another version": (json.dumps(json.loads(TEXT) | {"version": 2}), "another version"),
    "roles in a list": (json.dumps(json.loads(TEXT) | {"roles": ["hips"]}), "no joint map"),
    "no roles": (with_roles(), "names no bones"),
    "unknown role": (with_roles(tail="骨 hips"), "unknown role, 'tail'"),
    "no name": (with_roles(hips=3), "no bone name for the hips"),
    "missing bone": (with_roles(l_forearm="x"), "wants 'x' as the left forearm"),
    "a bone twice": (with_roles(hips="骨 hips", head="骨 hips"), "to both the hips and the head"),
    "a role twice": (TEXT.replace('"l_thigh"', '"hips"'), "'hips' is there twice"),
}


@pytest.mark.parametrize(("text", "words"), DAMAGED.values(), ids=list(DAMAGED))
def test_a_damaged_map_is_refused_by_name(tmp_path, text, words):
    file = tmp_path / "theirs.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=words) as refused:
        read_map_file(file, BONES.values())
    assert "'theirs.json'" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_no_text_or_too_large_is_refused(tmp_path):
    file = tmp_path / "theirs.json"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not text"):
        read_map_file(file, ())
    file.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(UserError, match="too large"):
        read_map_file(file, ())
    with pytest.raises(UserError, match="Cannot read"):
        read_map_file(tmp_path / "nothing.json", ())


def test_saved_maps_are_found_again(tmp_path):
    assert SavedMaps(tmp_path).save("0123", TEXT)
    assert SavedMaps(tmp_path).find("0123") == TEXT
    assert SavedMaps(tmp_path).find("4567") is None
    assert SavedMaps(tmp_path).save("0123", None)
    assert SavedMaps(tmp_path).find("0123") is None


def test_without_a_folder_nothing_is_saved(tmp_path):
    (tmp_path / "a file").write_text("")
    for maps in (SavedMaps(), SavedMaps(tmp_path / "a file")):
        assert not maps.save("0123", TEXT)
        assert maps.find("0123") is None


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("mixamorig:LeftArm", "mixamorig:RightArm"),
        ("upperarm_l", "upperarm_r"),
        ("DEF-upper_arm.L.001", "DEF-upper_arm.R.001"),
        ("lCollar", "rCollar"),
        ("Bip01 L Thigh", "Bip01 R Thigh"),
        ("J_Bip_L_Hand", "J_Bip_R_Hand"),
        ("handL", "handR"),
        ("左足", "右足"),
        ("leftLower_l", "rightLower_r"),
    ],
)
def test_the_counterpart_has_the_mirrored_name(left, right):
    assert mirrored_bone(left, {left, right}) == right
    assert mirrored_bone(right, {left, right}) == left
    assert mirrored_bone(left, {left}) == ""


def test_what_is_in_the_middle_has_no_counterpart():
    assert mirrored_bone("pelvis", {"pelvis", "pervis", "rpelvis"}) == ""
    assert (mirrored_role("l_foot"), mirrored_role("spine1")) == ("r_foot", "")
