"""What holds of any map, and what happens to rigs that are no whole humanoid."""

from dataclasses import replace

import numpy as np
import pytest
from bodies import HEADS, Body, human

from momask_blender.contract import rotation
from momask_blender.errors import UserError
from momask_blender.retarget.roles import ROLES
from momask_blender.rig.joint_map import find_joint_map
from momask_blender.rig.names import conventions
from momask_blender.rig.role_map import JointMap
from momask_blender.rig.sanity import check

CONVENTIONS = {convention.title: convention.bones for convention in conventions()}
MIXAMO = CONVENTIONS["Mixamo"]
ARMS = [f"{s}_{part}" for s in "lr" for part in ("collar", "upperarm", "forearm", "hand")]
SWAP = {"l_": "r_", "r_": "l_"}
MIRRORED = {role: MIXAMO[SWAP.get(role[:2], role[:2]) + role[2:]] for role in MIXAMO}


def without(bones, *parts):
    return {role: name for role, name in bones.items() if not role.endswith(parts)}


def turned(rest, quaternion):
    turn = np.array(quaternion)
    return replace(
        rest, heads=rotation.rotate(turn, rest.heads), tails=rotation.rotate(turn, rest.tails)
    )


@pytest.mark.parametrize("axis", [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.6, 0.0, 0.8)])
@pytest.mark.parametrize("angle", [0.5, 1.5708, 3.1416])
@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_where_a_rig_looks_and_how_large_it_is_does_not_matter(axis, angle, scale):
    rest = turned(human(MIXAMO), rotation.about_axis(axis, angle))
    rest = replace(rest, heads=rest.heads * scale, tails=rest.tails * scale)
    found = find_joint_map(rest)
    assert found.bones == MIXAMO
    assert found.confidence == dict.fromkeys(MIXAMO, 1.0)
    assert found.warnings == ()


def test_left_is_where_the_character_has_its_left():
    found = find_joint_map(human(MIRRORED))
    assert found.bones == MIRRORED, "its toes say which side is left, whatever names say"
    assert "'LeftUpLeg' lies on the character's right" in " ".join(found.warnings)


def test_without_toes_names_are_believed():
    bones = without(MIRRORED, "toe")
    assert find_joint_map(human(bones)).bones == without(MIXAMO, "toe")


def test_sides_of_different_length_are_doubted_and_named():
    rest = human(MIXAMO)
    rest.heads[rest.index["LeftHand"]] += (0.2, 0.0, 0.0)
    found = find_joint_map(rest)
    assert found.confidence["l_forearm"] < found.confidence["l_thigh"]
    assert any("'LeftForeArm' and 'RightForeArm'" in warning for warning in found.warnings)


def test_a_leg_must_go_down_and_hang_together():
    rest = human(MIXAMO)
    wrong = MIXAMO | {"l_shin": MIXAMO["l_foot"], "l_foot": MIXAMO["l_shin"]}
    checked = check(rest, JointMap(wrong, dict.fromkeys(wrong, 1.0)))
    assert checked.joint_map.confidence["l_foot"] < 0.5
    assert checked.worth < check(rest, JointMap(MIXAMO, dict.fromkeys(MIXAMO, 1.0))).worth
    assert any("'LeftLeg' (left foot)" in problem for problem in checked.problems)


def test_a_bone_plays_one_part():
    twice = MIXAMO | {"l_toe": MIXAMO["l_foot"]}
    checked = check(human(MIXAMO), JointMap(twice, dict.fromkeys(twice, 1.0)))
    assert list(checked.joint_map.bones.values()).count("LeftFoot") == 1
    assert "LeftFoot" in checked.problems[0]


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (("l_collar", "l_upperarm", "l_forearm", "l_hand"), "Left arm: no bones found"),
        (("r_thigh", "r_shin", "r_foot", "r_toe"), "Right leg: no bones found"),
        (("l_hand",), "Left hand: no bone found"),
        (("head",), "Head: no bone found"),
        (("neck", "head", *ARMS), "Right arm: no bones found"),
    ],
)
def test_what_a_rig_lacks_is_said_and_the_rest_is_mapped(lacking, said):
    bones = {role: name for role, name in MIXAMO.items() if role not in lacking}
    found = find_joint_map(human(bones))
    assert found.bones == bones
    assert any(warning.startswith(said) for warning in found.warnings)


def test_what_many_characters_lack_is_no_warning():
    bones = without(MIXAMO, "toe", "collar", "neck", "spine2")
    assert find_joint_map(human(bones)).warnings == ()


def test_no_bones_are_refused():
    with pytest.raises(UserError, match="no bones"):
        find_joint_map(Body().rest())


def test_a_chain_is_refused():
    chain = Body()
    for number in range(20):
        chain.add(f"spine{number}", f"spine{number - 1}" if number else "", (0, 0, 0.1 * number))
    with pytest.raises(UserError, match="no humanoid"):
        find_joint_map(chain.rest())


def quadruped(rename):
    """A body on all fours, its limbs called as a human's are."""
    rest = human(MIXAMO, rename)
    forward = {"thigh": 0.0, "shin": 0.0, "foot": 0.0, "toe": -0.1}
    forward |= {"collar": -0.6, "upperarm": -0.7, "forearm": -0.7, "hand": -0.7}
    height = {"collar": 0.9, "upperarm": 0.85, "forearm": 0.45, "hand": 0.05}
    trunk = {"hips": 0.0, "spine1": -0.15, "spine2": -0.3, "spine3": -0.45}
    trunk |= {"neck": -0.7, "head": -0.9}
    for role in ROLES:
        bone = rest.index[rename(MIXAMO[role])]
        part = role[2:] if role[:2] in SWAP else role
        side = {"l_": 0.1, "r_": -0.1}.get(role[:2], 0.0)
        y = trunk.get(part, forward.get(part))
        rest.heads[bone] = (side, y, height.get(part, 0.9 if part in trunk else HEADS[role][2]))
    return rest


@pytest.mark.parametrize("rename", [str, "x{}".format])
def test_a_quadruped_is_refused_and_a_leg_of_it_named(rename):
    with pytest.raises(UserError, match=r"four legs.*Left(Hand|ForeArm)") as refused:
        find_joint_map(quadruped(rename))
    assert refused.value.fix == "momask.use_new_character"


PAIRS = {
    "namespaces": ("hero:{}", "villain:{}"),
    "numbered namespaces": ("mixamorig:{}", "mixamorig1:{}"),
    "Blender's numbers": ("{}", "{}.001"),
    "prefixes": ("A_{}", "B_{}"),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("root", ["", "World"])
@pytest.mark.parametrize("place", [(1.2, 0.0, 0.0), (0.0, 0.0, 0.0)])
def test_two_characters_in_one_armature_are_refused_and_both_named(pair, root, place):
    first, second = PAIRS[pair]
    if pair == "prefixes" and not any(place):
        return  # no character stands in another: it is one, with its controls
    both = Body()
    if root:
        both.add(root, "", (0.0, 0.0, 0.0))
    for sign, where in ((first, (0.0, 0.0, 0.0)), (second, place)):
        bones = {role: sign.format(name) for role, name in MIXAMO.items()}
        both.add_human(bones, above=root, place=where)
    with pytest.raises(UserError, match="two characters") as refused:
        find_joint_map(both.rest())
    assert first.format("Hips") in str(refused.value)
    assert second.format("Hips") in str(refused.value)


def test_a_body_that_is_there_several_times_over_is_one_character():
    """As in control rigs and what is exported of them: deform, control and mechanism bones."""
    bones = CONVENTIONS["Rigify meta-rig"]
    rig = Body()
    for prefix in ("", "DEF-", "MCH-", "ORG-"):
        rig.add_human(bones, rename=lambda name, prefix=prefix: prefix + name)
    assert find_joint_map(rig.rest()).bones == CONVENTIONS["Rigify"]


def nameless(bones):
    return {role: f"Bone.{number:03}" for number, role in enumerate(bones)}


def test_names_that_say_nothing_are_no_hindrance():
    bones = nameless(MIXAMO)
    found = find_joint_map(human(bones))
    assert found.bones == bones
    assert found.source == "structure"


def test_two_nameless_characters_are_refused_too():
    first, second = nameless(MIXAMO), {role: f"x{bone}" for role, bone in nameless(MIXAMO).items()}
    both = Body().add_human(first).add_human(second, place=(1.5, 0.0, 0.0))
    with pytest.raises(UserError, match="two characters"):
        find_joint_map(both.rest())


def test_names_that_tell_little_do_not_stand_in_the_way_of_structure():
    some = ("l_thigh", "l_shin", "r_thigh", "r_shin", "head")
    bones = nameless(MIXAMO) | {role: MIXAMO[role] for role in some}
    assert find_joint_map(human(bones)).bones == bones


def test_what_an_add_on_stored_comes_before_names():
    """And what it left out is still found by names."""
    told = without(MIXAMO, "toe") | {"spine1": "Spine1", "spine3": "Spine2"}
    del told["spine2"]
    rest = replace(human(MIXAMO), metadata={"VRM": told})
    found = find_joint_map(rest)
    toes = {f"{side}_toe": MIXAMO[f"{side}_toe"] for side in "lr"}
    assert found.bones == told | toes
    assert found.source == "VRM add-on"


def test_what_an_add_on_stored_is_not_believed_where_it_cannot_be():
    legs = {f"{side}_{part}": MIXAMO[f"l_{part}"] for side in "lr" for part in ("thigh", "shin")}
    rest = replace(human(MIXAMO), metadata={"VRM": MIXAMO | legs | {"hips": "gone"}})
    assert find_joint_map(rest).bones == MIXAMO
