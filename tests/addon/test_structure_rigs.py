"""Real characters whose bones have lost their names."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from control_rigs import OWN_MAP
from rigify_animals import HUMANS, KINDS
from test_mapping import FILES, answers, empty, load, wrong_bones  # noqa: F401

pytestmark = pytest.mark.blender

METARIG = {
    **{"hips": "spine", "spine1": "spine.001", "spine2": "spine.002", "spine3": "spine.003"},
    **{"neck": "spine.004", "head": "spine.006"},
    **{
        f"{side.lower()}_{role}": f"{bone}.{side}"
        for side in "LR"
        for role, bone in (
            *(("thigh", "thigh"), ("shin", "shin"), ("foot", "foot"), ("toe", "toe")),
            *(("collar", "shoulder"), ("upperarm", "upper_arm"), ("forearm", "forearm")),
            ("hand", "hand"),
        )
    },
}


def found_without_names(armature: Any) -> dict[str, str]:
    """Role -> the bone's real name; empty if no body is found."""
    from momask_blender.rig.rest import read_rest
    from momask_blender.rig.structure import by_structure

    rest = read_rest(armature)
    shuffled = np.random.default_rng(17).permutation(len(rest.names))
    names = tuple(f"b{number}" for number in shuffled)
    called = dict(zip(names, rest.names, strict=True))
    found = by_structure(replace(rest, names=names))
    return {role: called[bone] for role, bone in found.bones.items()} if found else {}


@pytest.mark.parametrize("file", FILES)
def test_a_third_partys_bones_are_found_without_their_names(bpy, empty, shared, tmp_path, file):  # noqa: F811
    rig = answers(file)
    assert not wrong_bones(rig, found_without_names(load(bpy, rig, tmp_path)))


def test_our_own_bones_are_found_without_their_names(bpy, empty):  # noqa: F811
    from momask_blender.rig.character import build_armature

    assert found_without_names(build_armature("Mannequin", empty.collection)) == OWN_MAP


def metarig(bpy: Any, file: Any, kind: str) -> Any:
    with bpy.data.libraries.load(str(file)) as (_, wanted):
        wanted.objects = [kind]
    return wanted.objects[0]


@pytest.mark.parametrize("kind", HUMANS)
def test_rigifys_humans_are_found_without_their_names(bpy, empty, animals_file, kind):  # noqa: F811
    assert found_without_names(metarig(bpy, animals_file, kind)) == METARIG


@pytest.mark.parametrize("kind", KINDS)
def test_rigifys_animals_are_not_mapped(bpy, empty, animals_file, kind):  # noqa: F811
    assert found_without_names(metarig(bpy, animals_file, kind)) == {}
