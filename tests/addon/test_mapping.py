"""The bones of real characters, as others made them, found without help."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from control_rigs import OWN_MAP, rigify_map
from rigify_animals import KINDS

from momask_blender.errors import UserError

pytestmark = pytest.mark.blender

RIGS = Path(__file__).resolve().parents[3] / "shared" / "rigs"
FILES = [
    *("ue4_mesh2motion.glb", "kaykit_knight.glb", "quaternius_worker.glb", "mixamo_mpfb.glb"),
    *("cmu_131_03.bvh", "cmu_91_48_daz.fbx", "cmu_09_03_daz.bvh", "makehuman_default_run01.bvh"),
    *("rigify_def_mesh2motion.blend", "vrm0_godette.vrm"),
]
LONGEST = 0.03  # seconds: what Blender's window may be held for


@pytest.fixture
def empty(bpy):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return bpy.context.scene


def answers(file: str) -> dict[str, Any]:
    rigs = json.loads((RIGS / "rigs.json").read_text(encoding="utf-8"))["rigs"]
    return next(rig for rig in rigs if rig["file"] == file)


def ours(role: str) -> str:
    """'upper_arm_l' -> 'l_upperarm'."""
    part, _, side = role.rpartition("_")
    return f"{side}_{part.replace('_', '')}" if part else role


def load(bpy, rig: dict[str, Any], folder: Path) -> Any:
    from addon_utils import enable

    file = RIGS / rig["file"]
    if file.suffix == ".vrm":  # glTF under another name
        file = Path(shutil.copy(file, folder / f"{file.stem}.glb"))
    if file.suffix == ".bvh":
        enable("io_anim_bvh")
    module, name = rig["importer"].split()[0].removeprefix("bpy.ops.").split(".")
    getattr(getattr(bpy.ops, module), name)(filepath=str(file), **rig["import_kwargs"])
    return bpy.data.objects[rig["armature_object"]]


def find(armature):
    from momask_blender.rig.joint_map import find_joint_map
    from momask_blender.rig.rest import read_rest

    return find_joint_map(read_rest(armature))


def wrong_bones(rig: dict[str, Any], bones: dict[str, str]) -> dict[str, str | None]:
    """Role -> the bone that should not play it."""
    wrong = {}
    for role, bone in rig["mapping"].items():
        answer = bones.get(ours(role))
        if answer not in rig["accept"].get(role, [bone]):
            wrong[role] = answer
    return wrong


@pytest.mark.parametrize("file", FILES)
def test_the_bones_of_a_third_partys_character_are_found(bpy, empty, shared, tmp_path, file):
    from momask_blender.rig.joint_map import find_joint_map
    from momask_blender.rig.rest import read_rest

    rig = answers(file)
    rest = read_rest(load(bpy, rig, tmp_path))
    found = find_joint_map(rest)
    assert not wrong_bones(rig, found.bones)
    assert not found.warnings
    assert found.confidence.keys() == found.bones.keys()

    nameless = replace(rest, names=tuple(f"b{bone}" for bone in range(len(rest.names))))
    called = dict(zip(nameless.names, rest.names, strict=True))
    found = find_joint_map(nameless)
    assert found.source == "structure"
    assert not wrong_bones(rig, {role: called[bone] for role, bone in found.bones.items()})


def test_a_generated_rigify_human_is_read_from_the_bones_that_its_mesh_follows(empty, add_rigify):
    found = find(add_rigify(empty))
    assert found.bones == rigify_map()
    assert found.source == "Rigify names"
    assert not found.warnings


def test_our_own_character_is_mapped_exactly(bpy, empty):
    from momask_blender.rig.character import build_armature

    found = find(build_armature("Mannequin", empty.collection))
    assert found.bones == OWN_MAP
    assert set(found.confidence.values()) == {1.0}


def test_seven_hundred_bones_do_not_hold_the_window(empty, add_rigify):
    from momask_blender.rig.joint_map import find_joint_map
    from momask_blender.rig.rest import read_rest
    from momask_blender.rig.words import namings, split

    rest = read_rest(add_rigify(empty))
    assert len(rest.names) > 650
    times = []
    for _ in range(9):
        split.cache_clear()
        namings.cache_clear()
        start = time.process_time()
        find_joint_map(rest)
        times.append(time.process_time() - start)
    assert min(times) < LONGEST


@pytest.mark.parametrize("kind", KINDS)
def test_rigifys_animals_are_refused(bpy, empty, animals_file, kind):
    with bpy.data.libraries.load(str(animals_file)) as (_, wanted):
        wanted.objects = [kind]
    with pytest.raises(UserError, match="no humanoid") as refused:
        find(wanted.objects[0])
    assert refused.value.fix


def test_what_the_vrm_add_on_stored_is_read(bpy, empty, vrm_add_on):
    from momask_blender.rig.character import build_armature
    from momask_blender.rig.rest import read_rest

    armature = build_armature("Avatar", empty.collection)
    human = {"hips": "pelvis", "spine": "spine1", "chest": "spine3", "leftUpperLeg": "left_hip"}
    roles = {"hips": "pelvis", "spine1": "spine1", "spine3": "spine3", "l_thigh": "left_hip"}
    vrm_add_on(armature, "0.0", human)
    assert read_rest(armature).metadata == {"VRM": roles}
    other = build_armature("Avatar 1", empty.collection)
    vrm_add_on(other, "1.0", human)
    assert read_rest(other).metadata == {"VRM": roles}
    assert read_rest(build_armature("None", empty.collection)).metadata == {}


@pytest.fixture
def vrm_add_on(bpy):
    """Properties laid out as that add-on lays them out, and what writes a humanoid into them."""
    from bpy.props import CollectionProperty, PointerProperty, StringProperty

    def group(name: str, **properties: Any) -> Any:
        made = type(name, (bpy.types.PropertyGroup,), {"__annotations__": properties})
        bpy.utils.register_class(made)
        classes.append(made)
        return made

    classes: list[Any] = []
    node = group("TestVrmNode", bone_name=StringProperty())
    part = group("TestVrmPart", bone=StringProperty(), node=PointerProperty(type=node))
    keys = ("hips", "spine", "chest", "upper_chest", "left_upper_leg")
    parts = group("TestVrmParts", **{key: PointerProperty(type=part) for key in keys})
    human0 = group("TestVrmHuman0", human_bones=CollectionProperty(type=part))
    human1 = group("TestVrmHuman1", human_bones=PointerProperty(type=parts))
    vrm0 = group("TestVrm0", humanoid=PointerProperty(type=human0))
    vrm1 = group("TestVrm1", humanoid=PointerProperty(type=human1))
    extension = group(
        "TestVrmExtension",
        spec_version=StringProperty(),
        vrm0=PointerProperty(type=vrm0),
        vrm1=PointerProperty(type=vrm1),
    )
    bpy.types.Armature.vrm_addon_extension = PointerProperty(type=extension)

    def write(armature: Any, version: str, human: dict[str, str]) -> None:
        stored = armature.data.vrm_addon_extension
        stored.spec_version = version
        for name, bone in human.items():
            if version == "0.0":
                part = stored.vrm0.humanoid.human_bones.add()
                part.bone, part.node.bone_name = name, bone
            else:
                key = name.replace("UpperLeg", "_upper_leg")
                getattr(stored.vrm1.humanoid.human_bones, key).node.bone_name = bone

    yield write
    del bpy.types.Armature.vrm_addon_extension
    for made in reversed(classes):
        bpy.utils.unregister_class(made)
