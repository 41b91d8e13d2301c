"""A humanoid's bones are found by how they hang together and lie, whatever they are called."""

import time
from dataclasses import replace

import numpy as np
import pytest
from bodies import Body, human
from random_bodies import FORWARD, random_body
from test_families import FAMILIES, build
from test_joint_map import quadruped, turned

from momask_blender.contract import rotation
from momask_blender.retarget.roles import REQUIRED, ROLES
from momask_blender.rig.structure import by_structure
from momask_blender.rig.trunk import below

NAMELESS = {role: f"b{number}" for number, role in enumerate(ROLES)}
NUM_BODIES = 200
LONGEST = 0.1  # seconds
LEFT_ARM = ("l_collar", "l_upperarm", "l_forearm", "l_hand")
RIGHT_LEG = ("r_thigh", "r_shin", "r_foot", "r_toe")


def without(*parts):
    return {role: name for role, name in NAMELESS.items() if not role.endswith(parts)}


def test_whatever_humanoid_it_is_its_parts_are_found():
    wrong = dict.fromkeys(ROLES, 0)
    for seed in range(NUM_BODIES):
        rest, answer = random_body(seed)
        found = by_structure(rest)
        for role in ROLES:
            wrong[role] += found is None or found.bones.get(role) != answer.get(role)
    assert sum(wrong.values()) <= 0.01 * NUM_BODIES * len(ROLES), wrong
    assert sum(wrong[role] for role in REQUIRED) <= 0.005 * NUM_BODIES * len(REQUIRED), wrong


@pytest.mark.parametrize("stretch", [(1.0, 1.0, 0.5), (1.5, 1.0, 1.0), (0.7, 1.0, 1.0)])
def test_squat_broad_and_narrow_bodies_are_found(stretch):
    wrong = 0
    for seed in range(2000, 2050):
        rest, answer = random_body(seed, stretch)
        found = by_structure(rest)
        wrong += sum(found is None or found.bones.get(role) != answer.get(role) for role in ROLES)
    assert wrong <= 0.04 * 50 * len(ROLES)


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"MikuMikuDance"}))
def test_a_family_of_rigs_is_found_without_its_names(family):
    rest, expected = build(FAMILIES[family])
    nameless = replace(rest, names=tuple(f"b{bone}" for bone in range(len(rest.names))))
    called = dict(zip(nameless.names, rest.names, strict=True))
    found = by_structure(nameless)
    assert found is not None
    assert {role: called[bone] for role, bone in found.bones.items()} == expected


@pytest.mark.parametrize("axis", [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.6, 0.0, 0.8)])
@pytest.mark.parametrize("angle", [0.5, 1.5708, 3.1416])
@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_axes_and_size_do_not_matter(axis, angle, scale):
    rest = turned(human(NAMELESS), rotation.about_axis(axis, angle))
    found = by_structure(replace(rest, heads=rest.heads * scale, tails=rest.tails * scale))
    assert found is not None
    assert found.bones == NAMELESS
    assert found.confidence.keys() == found.bones.keys()
    assert found.source == "structure"


@pytest.mark.parametrize(
    "lacking",
    [
        LEFT_ARM,
        RIGHT_LEG,
        ("hand",),
        ("toe",),
        ("toe", "foot"),
        ("collar",),
        ("neck", "head"),
        ("spine1", "spine2", "spine3"),
    ],
)
def test_what_is_there_is_mapped(lacking):
    bones = without(*lacking)
    found = by_structure(human(bones))
    assert found is not None
    assert found.bones == bones


@pytest.mark.parametrize("limb", [("thigh",), ("collar",), ("thigh", "collar")])
def test_limbs_that_no_bone_carries_are_mapped(limb):
    rest = human(NAMELESS)
    loose = {NAMELESS[f"{side}_{part}"] for side in "lr" for part in limb}
    pairs = zip(rest.names, rest.parents, strict=True)
    parents = tuple(-1 if name in loose else parent for name, parent in pairs)
    found = by_structure(replace(rest, parents=parents))
    assert found is not None
    assert found.bones == NAMELESS


def test_without_feet_a_body_looks_ahead_and_its_sides_are_doubted():
    told, untold = by_structure(human(NAMELESS)), by_structure(human(without("toe")))
    assert told is not None and untold is not None
    assert untold.confidence["l_thigh"] < told.confidence["l_thigh"]
    assert untold.confidence["hips"] == told.confidence["hips"]
    y_up = turned(human(without("toe")), rotation.about_axis((1.0, 0.0, 0.0), -np.pi / 2))
    lying = by_structure(y_up)
    assert lying is not None
    assert lying.bones == untold.bones == without("toe")


def chain(count):
    body = Body()
    for number in range(count):
        body.add(f"b{number}", f"b{number - 1}" if number else "", (0.0, 0.02 * number, number))
    return body


def hand():
    body = Body().add("b", "", (0.0, 0.0, 0.0))
    for finger, x in enumerate((-0.04, -0.02, 0.0, 0.02, 0.04)):
        for joint in range(4):
            parent = f"{finger}.{joint - 1}" if joint else "b"
            body.add(f"{finger}.{joint}", parent, (x, 0.0, 0.08 + 0.03 * joint))
    return body


def tree():
    """Each branch carries two, mirrored, up to the twigs."""
    body, rng = Body().add("b", "", (0.0, 0.0, 0.0)).add("b0", "b", (0.0, 0.0, 1.0)), 0.8
    level = [("b0", np.array((0.0, 0.0, 1.0)))]
    for depth in range(5):
        grown = []
        for name, at in level:
            for side in (-1.0, 1.0):
                head = at + np.array((side * 0.6, 0.1 * side, 0.7)) * rng**depth
                body.add(f"{name}{'lr'[side > 0]}", name, head)
                grown.append((f"{name}{'lr'[side > 0]}", head))
        level = grown
    return body


@pytest.mark.parametrize("body", [Body(), chain(1), chain(30), hand(), tree()])
def test_what_is_no_body_is_not_mapped(body):
    assert by_structure(body.rest()) is None


def test_a_body_on_all_fours_is_not_mapped():
    assert by_structure(quadruped("x{}".format)) is None


@pytest.mark.parametrize("root", ["", "root"])
@pytest.mark.parametrize("place", [(1.2, 0.0, 0.0), (0.3, 0.0, 0.0), (0.0, 2.0, 0.0)])
def test_two_characters_are_found_one_after_the_other(root, place):
    body = Body()
    if root:
        body.add(root, "", (0.0, 0.0, 0.0))
    body.add_human(NAMELESS, above=root)
    body.add_human(NAMELESS, above=root, place=place, rename="x{}".format)
    rest = body.rest()
    first = by_structure(rest)
    assert first is not None
    second = by_structure(rest, below(rest, rest.index[first.bones["hips"]]))
    assert second is not None
    other = {role: f"x{name}" for role, name in NAMELESS.items()}
    assert sorted([first.bones, second.bones], key=str) == sorted([NAMELESS, other], key=str)
    rest = human(NAMELESS)
    assert by_structure(rest, below(rest, 0)) is None


def test_seven_hundred_bones_are_looked_through_at_once():
    rest, answer = random_body(3)
    head = rest.index[answer["head"]]
    rng = np.random.default_rng(0)
    names, parents, heads = list(rest.names), list(rest.parents), list(rest.heads)
    size = np.ptp(rest.heads, axis=0).max()
    while len(names) < 700:  # hair
        parent, at = head, rest.heads[head]
        for _ in range(6):
            at = at + 0.03 * size * rng.normal(size=3)
            names.append(f"h{len(names)}")
            parents.append(parent)
            heads.append(at)
            parent = len(names) - 1
    count = len(names)
    rest = replace(
        rest,
        names=tuple(names),
        parents=tuple(parents),
        heads=np.array(heads),
        tails=np.array(heads) + 0.01 * size * FORWARD,
        rotations=np.tile(rotation.IDENTITY, (count, 1)),
        deforms=(True,) * count,
    )
    times = []
    for _ in range(5):
        start = time.process_time()
        found = by_structure(rest)
        times.append(time.process_time() - start)
    assert found is not None
    assert {role: found.bones[role] for role in REQUIRED} == {r: answer[r] for r in REQUIRED}
    assert min(times) < LONGEST
