"""What is said before anything is changed."""

from dataclasses import replace

import numpy as np
import pytest
from control_rigs import OWN_MAP, plain_target

from momask_blender.errors import UserError

pytestmark = pytest.mark.blender


@pytest.fixture
def armature(bpy, scene):
    from momask_blender.rig.character import build_armature

    made = build_armature("Hero", scene.collection)
    bpy.context.view_layer.objects.active = made
    return made


def refused(armature, words: str) -> None:
    from momask_blender.rig.checks import check_armature

    with pytest.raises(UserError, match=words):
        check_armature(armature)


def test_a_sound_rig_passes(bpy, armature):
    from momask_blender.rig.checks import check_armature, check_lengths, notes_on

    for scale in (0.01, 1.0, 100.0, 1.005):
        armature.scale = (scale, 1.0 if scale == 1.005 else scale, scale)
        armature.rotation_euler = (1.0, 2.0, 3.0)
        armature.hide_set(True)
        bpy.context.view_layer.update()
        check_armature(armature)
        check_lengths(plain_target(armature, OWN_MAP))
    assert notes_on(armature) == []


def test_what_is_no_armature_is_refused(bpy, scene):
    refused(None, "Select the armature")
    refused(bpy.data.objects.new("Box", None), "'Box' is no armature")
    empty = bpy.data.objects.new("Nobody", bpy.data.armatures.new("Nobody"))
    refused(empty, "'Nobody' has no bones")


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ((1.0, 1.0, -1.0), "negative scale.*Apply > Scale"),
        ((1.0, 1.0, 1.02), r"uneven scale \(1, 1, 1.02\).*Apply > Scale"),
        ((0.0, 0.0, 0.0), "scale 0"),
    ],
)
def test_a_scale_that_bends_motions_is_refused(bpy, armature, scale, words):
    armature.scale = scale
    bpy.context.view_layer.update()
    refused(armature, f"'Hero' has .*{words}")


def test_a_rig_slanted_by_its_parent_is_refused(bpy, scene, armature):
    parent = bpy.data.objects.new("Parent", None)
    scene.collection.objects.link(parent)
    parent.scale = (2.0, 1.0, 1.0)
    armature.parent, armature.rotation_euler = parent, (0.0, 0.0, np.pi / 4)
    bpy.context.view_layer.update()
    refused(armature, "uneven scale")


def test_edit_mode_is_refused(bpy, armature):
    bpy.ops.object.mode_set(mode="EDIT")
    refused(armature, "Leave Edit Mode")
    bpy.ops.object.mode_set(mode="OBJECT")


def test_a_linked_rig_is_refused_and_its_override_is_fine(bpy, armature, tmp_path):
    from momask_blender.rig.checks import check_armature

    file = str(tmp_path / "library.blend")
    bpy.ops.wm.save_as_mainfile(filepath=file, copy=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(file, link=True) as (_, wanted):
        wanted.objects = ["Hero"]
    linked = bpy.data.objects["Hero"]
    bpy.context.scene.collection.objects.link(linked)
    refused(linked, "linked from another file.*override")
    check_armature(linked.override_create(remap_local_usages=True))


def test_limbs_without_a_direction_are_named(armature):
    from momask_blender.rig.checks import check_lengths

    target = plain_target(armature, OWN_MAP)
    heads = target.heads.copy()
    heads[target.roles["l_hand"]] = heads[target.roles["l_forearm"]]
    with pytest.raises(UserError, match=r"'left_elbow' \(left forearm\) has no length.*left_wrist"):
        check_lengths(replace(target, heads=heads))


def test_rest_position_is_noted(armature):
    from momask_blender.rig.checks import notes_on

    armature.data.pose_position = "REST"
    assert "'Hero' is shown in Rest Position" in notes_on(armature)[0]
