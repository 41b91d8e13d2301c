"""Bones found by names alone: whole conventions, names bent in many ways, and single words."""

import re

import pytest
from bodies import HEADS, Body, human

from momask_blender.retarget.roles import ROLES
from momask_blender.rig.joint_map import find_joint_map
from momask_blender.rig.names import conventions
from momask_blender.rig.words import split, with_sides

CONVENTIONS = {convention.title: convention.bones for convention in conventions()}
MIXAMO = CONVENTIONS["Mixamo"]


def restyled(bones, join, side_last, left, right, spelled=str.lower):
    """The same words, put together in another way."""
    sides = {"l": [left], "r": [right], "": []}
    found = {}
    words = with_sides([split(name) for name in bones.values()])
    for role, name in zip(bones, words, strict=True):
        parts = [spelled(word) for word in name.words]
        side = sides[name.side]
        found[role] = join.join(parts + side if side_last else side + parts)
    return found


STYLES = {
    "as it is": dict,
    "lower case": lambda bones: {r: n.lower() for r, n in bones.items()},
    "capitals": lambda bones: {r: n.upper() for r, n in bones.items()},
    "hand_left": lambda bones: restyled(bones, "_", True, "left", "right"),
    "l_hand": lambda bones: restyled(bones, "_", False, "l", "r"),
    "Hand.L": lambda bones: restyled(bones, ".", True, "L", "R", str.capitalize),
    "RHand": lambda bones: restyled(bones, "", False, "L", "R", str.capitalize),
    "HandRight": lambda bones: restyled(bones, "", True, "Left", "Right", str.capitalize),
    "links hand": lambda bones: restyled(bones, " ", False, "links", "rechts"),
    "hand-der": lambda bones: restyled(bones, "-", True, "izq", "der"),
}
AFFIXES = ["mixamorig:", "mixamorig7:", "Armature|mixamorig:", "Hero_", "DEF-", "npc03_", "SK ->"]
AFFIXES += ["-> _Armature", "-> .001", "-> _jnt", "Char_A_ -> _bind"]


@pytest.mark.parametrize("title", CONVENTIONS)
def test_every_convention_is_found_however_it_is_spelled(title):
    for style, respell in STYLES.items():
        bones = respell(CONVENTIONS[title])
        if len(set(bones.values())) == len(bones):  # 'toe.L' and 'toe_l' in capitals are one
            assert find_joint_map(human(bones)).bones == bones, style


@pytest.mark.parametrize("title", CONVENTIONS)
def test_what_all_names_begin_or_end_with_changes_nothing(title):
    for affix in AFFIXES:
        start, _, end = affix.partition("->")
        bones = {
            role: start.strip() + name + end.strip() for role, name in CONVENTIONS[title].items()
        }
        assert find_joint_map(human(bones)).bones == bones, affix


def test_letters_that_all_names_begin_with_are_seen_without_a_sign():
    bones = {role: f"mixamorig{name.lower()}" for role, name in MIXAMO.items()}
    assert find_joint_map(human(bones)).bones == bones


@pytest.mark.parametrize("title", ["Mixamo", "SOMA", "Unreal Engine 4", "Unreal Engine 5", "SMPL"])
def test_the_convention_is_named(title):
    assert find_joint_map(human(CONVENTIONS[title])).source == f"{title} names"


def test_unreal_5_is_not_taken_for_unreal_4():
    """Its spine has the bones of the older one and two more."""
    bones = CONVENTIONS["Unreal Engine 5"]
    rest = Body()
    above = {"spine_03": "spine_02", "spine_05": "spine_04"}
    inner = {"spine_02": "spine1", "spine_04": "spine2"}
    for role in ROLES:
        name = bones[role]
        if name in above:
            below = inner[above[name]]
            rest.add(above[name], bones[below], (HEADS[below] + HEADS[role]) / 2)
        chain = human(bones)
        parent = chain.parents[chain.index[name]]
        rest.add(name, above.get(name, chain.names[parent] if parent >= 0 else ""), HEADS[role])
    assert find_joint_map(rest.rest()).bones == bones


SPOKEN = {  # collar, upper arm, forearm, hand, thigh, shin, foot, toe; hips, 3 x spine, neck, head
    "German": "Schulter Oberarm Unterarm Hand Oberschenkel Unterschenkel Fuß Zehen"
    " Becken Bauch Brustkorb Brust Hals Kopf",
    "Spanish": "clavícula brazo antebrazo mano muslo pantorrilla pie dedos"
    " cadera columna1 columna2 pecho cuello cabeza",
    "French": "épaule bras avant-bras main cuisse mollet pied orteils"
    " bassin colonne1 colonne2 poitrine cou tête",
    "Russian": "ключица плечо предплечье кисть бедро голень стопа носок"
    " таз живот спина грудь шея голова",
    "Japanese": "肩 腕 ひじ 手首 足 ひざ 足首 つま先 腰 上半身 上半身2 上半身3 首 頭",
    "slang": "clav uparm loarm wrist upleg loleg ankle ball pelvis tummy torso chest neck head",
    "numbers": "arm_01 arm_02 arm_03 arm_04 leg_01 leg_02 leg_03 leg_04"
    " hips waist belly ribcage neck head",
}


@pytest.mark.parametrize("language", SPOKEN)
@pytest.mark.parametrize("sides", [("left_{}", "right_{}"), ("{}.L", "{}.R")])
def test_words_tell_the_part_in_many_languages(language, sides):
    words = SPOKEN[language].split()
    limbs = "collar upperarm forearm hand thigh shin foot toe".split()
    bones = {
        f"{side}_{part}": sign.format(word)
        for side, sign in zip("lr", sides, strict=True)
        for part, word in zip(limbs, words, strict=False)
    }
    trunk = ("hips", "spine1", "spine2", "spine3", "neck", "head")
    bones |= dict(zip(trunk, words[len(limbs) :], strict=True))
    found = find_joint_map(human(bones)).bones
    if language != "numbers":
        assert found == bones
    else:  # of four bones in a row, the words cannot tell whether the first is a shoulder
        assert {role: found[role] for role in trunk} == {role: bones[role] for role in trunk}


HELPERS = {
    "LeftArmTwist": "LeftArm", "LeftForeArmRoll": "LeftForeArm", "LeftHandIK": "LeftHand",
    "LeftLegPole": "LeftLeg", "LeftFoot_End": "LeftFoot", "LeftToe_End": "LeftToeBase",
    "Head_leaf": "Head", "LeftBreast": "Spine2", "LeftButtock": "Hips", "LHipJoint": "Hips",
    "Weapon_L": "LeftHand", "hand_prop.L": "LeftHand", "HeadTop_End": "Head",
    "LeftHandThumb1": "LeftHand", "LeftHandIndex1": "LeftHand", "LeftEye": "Head", "Jaw": "Head",
}  # fmt: skip


@pytest.mark.parametrize("spelled", [dict, STYLES["Hand.L"]])
def test_helper_bones_play_no_part(spelled):
    bones = spelled(MIXAMO)
    rest = Body().add("root", "", (0.0, 0.0, 0.0)).add_human(bones, above="root")
    names = dict(zip(MIXAMO.values(), bones.values(), strict=True))
    for helper, parent in HELPERS.items():
        rest.add(helper, names[parent], HEADS["hips"])
        mirrored = re.sub("Left|^L", lambda m: {"Left": "Right", "L": "R"}[m[0]], helper)
        if mirrored != helper:
            rest.add(mirrored, names[parent.replace("Left", "Right")], HEADS["hips"])
    assert find_joint_map(rest.rest()).bones == bones


def test_a_spine_that_the_convention_does_not_know_is_read_from_the_chain():
    lower = {"spine1": "lowerback", "spine2": "Chest", "spine3": "Chest2"}
    bones = CONVENTIONS["Xsens BVH"] | lower
    assert find_joint_map(human(bones)).bones == bones


@pytest.mark.parametrize(
    ("chain", "roles"),
    [
        (("abdomen",), ("spine1",)),
        (("abdomen", "chest"), ("spine1", "spine3")),
        (("abdomen", "belly", "ribs", "chest"), ("spine1", "spine2", None, "spine3")),
        (("a", "b", "c", "d", "e"), ("spine1", None, "spine2", None, "spine3")),
    ],
)
def test_a_spine_of_any_number_of_bones_runs_from_the_lowest_to_the_chest(chain, roles):
    limbs = {role: name for role, name in MIXAMO.items() if not role.startswith("spine")}
    rest = Body().add(limbs["hips"], "", HEADS["hips"])
    for number, name in enumerate(chain):
        share = (number + 1) / (len(chain) + 1)
        head = (1 - share) * HEADS["hips"] + share * HEADS["neck"]
        rest.add(name, chain[number - 1] if number else limbs["hips"], head)
    arms = [f"{s}_{p}" for s in "lr" for p in ("collar", "upperarm", "forearm", "hand")]
    legs = [f"{s}_{p}" for s in "lr" for p in ("thigh", "shin", "foot", "toe")]
    for part in (["neck", "head"], arms[:4], arms[4:]):
        rest.add_human({role: limbs[role] for role in part}, above=chain[-1])
    for part in (legs[:4], legs[4:]):
        rest.add_human({role: limbs[role] for role in part}, above=limbs["hips"])
    expected = limbs | {role: name for role, name in zip(roles, chain, strict=True) if role}
    assert find_joint_map(rest.rest()).bones == expected


def test_the_bone_that_carries_legs_and_spine_is_the_hips():
    """Daz and Character Creator: 'pelvis' carries the legs only, beside the spine."""
    bones = CONVENTIONS["Daz Genesis 3 and 8"]
    trunk = {role: name for role, name in bones.items() if "thigh" not in role}
    legs = [f"{side}_{part}" for side in "lr" for part in ("thigh", "shin", "foot", "toe")]
    rest = Body().add_human({r: n for r, n in trunk.items() if r not in legs})
    rest.add("pelvis", "hip", HEADS["hips"])
    for side in (legs[:4], legs[4:]):
        rest.add_human({role: bones[role] for role in side}, above="pelvis")
    assert find_joint_map(rest.rest()).bones == bones
