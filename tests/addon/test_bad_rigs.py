"""Rigs that cannot be animated, or not wholly: what the animator reads, what stays as it was."""

import pytest
from control_rigs import drive, edit_bones
from rigs import Build, build
from tortures import driven_hand, limited_knees

pytestmark = pytest.mark.blender

CHANNELS = ("location", "rotation_quaternion", "rotation_euler", "scale", "rotation_mode")


@pytest.fixture
def hero(bpy, session):
    """Builds a rig and selects it."""

    def make(**how):
        armature, _ = build(bpy, bpy.context.scene, "Hero", Build(**how))
        bpy.context.view_layer.objects.active = armature
        return armature

    return make


def generate(bpy) -> None:
    bpy.ops.momask.generate(prompt="a person walks", seconds=1.0, seed=1, target="ACTIVE")


def state_of(bpy) -> dict:
    """Every data-block by name; of armatures also what an animator may have set."""
    kinds = ("objects", "armatures", "meshes", "actions", "scenes")
    found = {kind: sorted(getattr(bpy.data, kind).keys()) for kind in kinds}
    for ob in (ob for ob in bpy.data.objects if ob.type == "ARMATURE"):
        data = ob.animation_data
        found[ob.name] = {
            "object": [list(row) for row in ob.matrix_basis],
            "action": data.action.name if data and data.action else "",
            "drivers": [(curve.data_path, curve.mute) for curve in data.drivers] if data else [],
            "bones": [
                (bone.name, *(_plain(getattr(bone, name)) for name in CHANNELS))
                for bone in ob.pose.bones
            ],
            "constraints": [
                (bone.name, constraint.name, constraint.mute, constraint.influence)
                for bone in ob.pose.bones
                for constraint in bone.constraints
            ],
        }
    return found


def _plain(value):
    return value if isinstance(value, str) else tuple(value)


def refused(bpy, session, words: str) -> None:
    before = state_of(bpy)
    with pytest.raises(RuntimeError, match=words):
        generate(bpy)
    assert not session.is_busy
    assert state_of(bpy) == before


def animal(bpy) -> None:
    """A trunk that lies, a head in front, a tail behind and a leg at each corner."""
    armature = bpy.data.objects.new("Dog", bpy.data.armatures.new("Dog"))
    bpy.context.scene.collection.objects.link(armature)
    with edit_bones(bpy, armature) as bones:

        def add(name, parent, head, tail):
            bone = bones.new(name)
            bone.head, bone.tail, bone.parent = head, tail, bones.get(parent)

        add("hips", "", (0, 0.8, 1), (0, 0.3, 1))
        add("spine", "hips", (0, 0.3, 1), (0, -0.3, 1))
        add("chest", "spine", (0, -0.3, 1), (0, -0.8, 1))
        add("neck", "chest", (0, -0.8, 1), (0, -1.1, 1.3))
        add("head", "neck", (0, -1.1, 1.3), (0, -1.4, 1.3))
        add("tail", "hips", (0, 0.8, 1), (0, 1.3, 1.1))
        for end, parent, y in (("front", "chest", -0.8), ("hind", "hips", 0.8)):
            for side, x in ((".L", 0.15), (".R", -0.15)):
                add(f"{end} thigh{side}", parent, (x, y, 0.95), (x, y - 0.05, 0.5))
                add(f"{end} shin{side}", f"{end} thigh{side}", (x, y - 0.05, 0.5), (x, y, 0.1))
                add(f"{end} foot{side}", f"{end} shin{side}", (x, y, 0.1), (x, y - 0.1, 0.02))


def chain(bpy) -> None:
    armature = bpy.data.objects.new("Rope", bpy.data.armatures.new("Rope"))
    bpy.context.scene.collection.objects.link(armature)
    with edit_bones(bpy, armature) as bones:
        above = None
        for number in range(22):
            bone = bones.new("link")
            bone.head, bone.tail, bone.parent = (0, 0, number), (0, 0, number + 1), above
            above = bone


@pytest.mark.parametrize("make", [animal, chain])
def test_what_has_no_human_shape_is_refused(bpy, session, make):
    make(bpy)
    refused(bpy, session, "This is no humanoid: .+ Bones")


def test_two_characters_in_one_armature_are_named(bpy, session, hero):
    armature, other = hero(), hero()
    other.location.x = 2.0
    armature.select_set(True)
    other.select_set(True)
    bpy.context.view_layer.update()
    bpy.ops.object.join()
    refused(bpy, session, r"two characters.*'hips'.*'hips.001'.*Separate")


def test_a_limb_without_length_is_named(bpy, session, hero):
    armature = hero(tails_off_child=True)
    with edit_bones(bpy, armature) as bones:
        move = bones["forearm.L"].head - bones["hand.L"].head
        bones["hand.L"].tail += move
        bones["hand.L"].head += move
    refused(bpy, session, r"'forearm.L' \(left forearm\) has no length: 'hand.L'.*Choose another")


def test_a_mirrored_rig_is_refused(bpy, session, hero):
    hero().scale = (-1.0, 1.0, 1.0)
    bpy.context.view_layer.update()
    refused(bpy, session, "'Hero' has a negative scale.*Apply > Scale")


def test_a_linked_rig_is_refused_and_its_override_walks(bpy, session, hero, tmp_path):
    hero()
    file = str(tmp_path / "library.blend")
    bpy.ops.wm.save_as_mainfile(filepath=file, copy=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(file, link=True) as (_, wanted):
        wanted.objects = ["Hero"]
    scene = bpy.context.scene
    linked = bpy.data.objects["Hero"]
    scene.collection.objects.link(linked)
    bpy.context.view_layer.objects.active = linked
    refused(bpy, session, "'Hero' is linked: make an override")
    own = linked.override_create(remap_local_usages=True)
    bpy.context.view_layer.objects.active = own
    generate(bpy)
    assert travels(scene, own) > 0.3


def travels(scene, armature) -> float:
    first, last = armature.animation_data.action.frame_range
    places = []
    for frame in (first, last):
        scene.frame_set(round(frame))
        places.append(armature.matrix_world @ armature.pose.bones["hips"].head)
    return (places[1] - places[0]).length


def keyed_bones(armature) -> set[str]:
    from momask_blender.animation.actions import bound_channels

    return {curve.data_path.split('"')[1] for curve in bound_channels(armature).fcurves}


def test_what_is_there_of_a_body_is_animated(bpy, session, hero):
    armature = hero()
    with edit_bones(bpy, armature) as bones:
        for name in ("upper_arm.L", "forearm.L", "hand.L", "head"):
            bones.remove(bones[name])
    everything = {bone.name for bone in armature.data.bones}
    generate(bpy)
    assert "Left arm: no bones found, it is not animated" in session.result
    assert "Head: no bone found, it is not animated" in session.result
    assert everything - keyed_bones(armature) <= {"shoulder.L", "neck"}
    assert travels(bpy.context.scene, armature) > 0.3


def held_hips(armature) -> None:
    armature.pose.bones["hips"].constraints.new("LIMIT_LOCATION").use_max_z = True


def loose_knees(armature) -> None:
    """They bend, but not as far as knees do."""
    for side in ("L", "R"):
        limit = armature.pose.bones[f"shin.{side}"].constraints.new("LIMIT_ROTATION")
        limit.use_limit_x, limit.min_x, limit.max_x = True, -0.5, 0.5
        limit.owner_space = "LOCAL"


def driven_hips(armature) -> None:
    drive(armature.pose.bones["hips"], "location", armature, "location", 0)


HELD = {
    limited_knees: "'shin.L' follows the constraint 'Limit Rotation': mute it",
    loose_knees: "'shin.L' (Limit Rotation), 'shin.R' (Limit Rotation). Mute them",
    held_hips: "'hips' (Limit Location). Mute them",
    driven_hand: "drivers win over the keys: 'hand.L'. Remove or mute",
    driven_hips: "drivers win over the keys: 'hips'. Remove or mute",
}


@pytest.mark.parametrize("hold", HELD, ids=lambda hold: hold.__name__)
def test_bones_that_are_held_are_named_and_one_undo_brings_all_back(bpy, session, hero, hold):
    hero(dress=(hold,))
    bpy.ops.ed.undo_push(message="built")
    before = state_of(bpy)
    generate(bpy)
    assert HELD[hold] in session.result
    assert bpy.context.object.animation_data.action.name == "a person walks"
    bpy.ops.ed.undo()
    assert state_of(bpy) == before
