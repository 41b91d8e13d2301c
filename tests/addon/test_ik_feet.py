"""IK feet put the legs where FK has them."""

import numpy as np
import pytest
from control_rigs import (
    OWN_MAP,
    add_controls,
    plain_target,
    pose_bones,
    random_motion,
    rigify_map,
    run_to_end,
)

from momask_blender.contract import rotation
from momask_blender.retarget.target import BoneMotion

pytestmark = pytest.mark.blender


@pytest.fixture(params=["Rigify", "by hand"])
def rig(request, bpy, scene, add_rigify):
    """-> armature, role -> bone."""
    if request.param == "Rigify":
        return add_rigify(scene), rigify_map()
    from momask_blender.rig.character import build_armature

    armature = build_armature("Own", scene.collection)
    add_controls(bpy, armature)
    return armature, OWN_MAP


def found(armature, bones):
    from momask_blender.rig.controls import find_controls
    from momask_blender.rig.ik_feet import find_ik_feet

    plain = plain_target(armature, bones)
    controls = run_to_end(find_controls(armature, plain))
    return controls, run_to_end(find_ik_feet(armature, plain, controls))


def crouched(target, seed):
    """Any pose whose knees bend as knees do, and whose toes turn with the feet."""
    motion = random_motion(target, seed)
    rng = np.random.default_rng(100 + seed)
    turns = motion.turns.copy()
    for side in "lr":
        thigh, shin = target.roles[f"{side}_thigh"], target.roles[f"{side}_shin"]
        bend = rotation.about_axis((1.0, 0.0, 0.0), rng.uniform(0.3, 1.2, size=1))
        turns[:, shin] = rotation.multiply(turns[:, thigh], bend)
    return BoneMotion(turns, motion.location)


def legs(armature, bones):
    """Heads of shin, foot and toe, and the planes of the knees."""
    heads, planes = [], []
    for side in "lr":
        hip, knee, ankle, toe = (
            np.array(armature.pose.bones[bones[f"{side}_{part}"]].head)
            for part in ("thigh", "shin", "foot", "toe")
        )
        heads += [knee, ankle, toe]
        planes.append(rotation.normalized(np.cross(knee - hip, ankle - knee)))
    return np.array(heads), np.array(planes)


def play_ik(scene, armature, ik, target, motion, frame=0):
    from momask_blender.rig.ik_feet import ik_keys

    for switch in ik.switches:
        owner = armature.pose.bones[switch.bone]
        owner[switch.property] = type(owner[switch.property])(switch.value)
    for name in ik.replaced:
        armature.pose.bones[name].rotation_quaternion = (1.0, 0.0, 0.0, 0.0)
    for keys in ik_keys(ik, target, motion):
        bone = armature.pose.bones[keys.bone]
        bone.location = keys.location[frame]
        if keys.rotations is not None:
            bone.rotation_mode = "QUATERNION"
            bone.rotation_quaternion = keys.rotations[frame]
    armature.update_tag()
    scene.view_layers[0].update()


def test_ik_puts_the_legs_where_fk_has_them(scene, rig):
    armature, bones = rig
    controls, ik = found(armature, bones)
    assert ik.warnings == ()
    for seed in range(4):
        motion = crouched(controls.target, seed)
        pose_bones(scene, armature, controls, motion)
        heads, planes = legs(armature, bones)
        play_ik(scene, armature, ik, controls.target, motion)
        ik_heads, ik_planes = legs(armature, bones)
        assert np.linalg.norm(ik_heads - heads, axis=-1)[[1, 2, 4, 5]].max() < 1e-3
        cosines = np.clip(np.sum(planes * ik_planes, axis=-1), -1.0, 1.0)
        assert np.degrees(np.arccos(cosines)).max() < 1.0


def test_rigifys_own_ik_controls_are_keyed(scene, add_rigify):
    _, ik = found(add_rigify(scene), rigify_map())
    assert [foot.foot.bone for foot in ik.feet] == ["foot_ik.L", "foot_ik.R"]
    assert [foot.knee.bone for foot in ik.feet] == ["thigh_ik_target.L", "thigh_ik_target.R"]
    assert [foot.toe.bone for foot in ik.feet] == ["toe_ik.L", "toe_ik.R"]
    switches = {(switch.bone, switch.property): switch.value for switch in ik.switches}
    assert switches["thigh_parent.L", "IK_FK"] == 0.0
    assert switches["thigh_parent.R", "pole_vector"] == 1.0
    assert switches["upper_arm_parent.L", "IK_FK"] == 1.0
    assert {"thigh_fk.L", "shin_fk.R", "foot_fk.L", "toe_fk.R"} <= ik.replaced


def test_planted_feet_have_constant_keys(scene, rig):
    """The hips sink between two frames; the feet, solved in floats, stay."""
    from momask_blender.rig.ik_feet import ik_keys

    armature, bones = rig
    controls, ik = found(armature, bones)
    target = controls.target
    rows = {part: target.roles[f"l_{part}"] for part in ("thigh", "shin", "foot")}
    hip, knee, ankle = (target.heads[row] for row in rows.values())
    bend = np.linspace(0.5, 0.9, 10)
    turns = np.tile(rotation.IDENTITY, (10, len(target.bones), 1))
    turns[:, rows["thigh"]] = rotation.about_axis((1.0, 0.0, 0.0), -0.5 * bend)
    turns[:, rows["shin"]] = rotation.about_axis((1.0, 0.0, 0.0), 0.5 * bend)
    offset = rotation.rotate(turns[:, rows["thigh"]], knee - hip)
    offset = offset + rotation.rotate(turns[:, rows["shin"]], ankle - knee)
    noise = np.random.default_rng(0).normal(size=(10, 3)) * 1e-7
    location = target.heads[target.carrier] + (ankle - hip) - offset + noise
    keys = ik_keys(ik, target, BoneMotion(turns, location))
    foot = next(k for k in keys if k.bone == ik.feet[0].foot.bone)
    assert np.ptp(foot.location, axis=0).max() == 0.0
    assert np.ptp(foot.rotations, axis=0).max() == 0.0
    other = next(k for k in keys if k.bone == ik.feet[1].foot.bone)
    assert np.ptp(other.location, axis=0).max() > 0.01, "the right foot moves with the hips"


def test_a_rig_without_ik_has_no_ik_feet(bpy, scene):
    from momask_blender.rig.character import build_armature
    from momask_blender.rig.controls import Controls
    from momask_blender.rig.ik_feet import find_ik_feet

    armature = build_armature("Own", scene.collection)
    plain = plain_target(armature, OWN_MAP)
    assert run_to_end(find_ik_feet(armature, plain, Controls(plain))) is None
