"""Control rigs made by hand, and a target and a pose for any of them."""

from contextlib import contextmanager
from typing import Any

import numpy as np

from momask_blender.contract import rotation
from momask_blender.contract.skeleton import JOINTS
from momask_blender.retarget.roles import ROLES, role_of
from momask_blender.retarget.target import BoneMotion, Target, bone_heads

ABOVE = {"spine1": "hips", "spine2": "spine1", "spine3": "spine2", "neck": "spine3"}
ABOVE |= {"head": "neck"}
for side in "lr":
    for chain in (("spine3", "collar", "upperarm", "forearm", "hand"), ("hips", "thigh", "shin")):
        names = [chain[0], *(f"{side}_{part}" for part in chain[1:])]
        ABOVE |= dict(zip(names[1:], names[:-1], strict=True))
    ABOVE |= {f"{side}_foot": f"{side}_shin", f"{side}_toe": f"{side}_foot"}

OWN_MAP = {role_of(joint): joint for joint in JOINTS}


def rigify_map() -> dict[str, str]:
    """Role -> ORG bone."""
    trunk = {"hips": "", "spine1": ".001", "spine2": ".002", "spine3": ".003"}
    trunk |= {"neck": ".004", "head": ".006"}
    found = {role: f"ORG-spine{number}" for role, number in trunk.items()}
    names = {"upperarm": "upper_arm", "collar": "shoulder"}
    for role in ROLES:
        if role not in found:
            side, part = role.split("_")
            found[role] = f"ORG-{names.get(part, part)}.{side.upper()}"
    return found


def plain_target(armature: Any, bones: dict[str, str]) -> Target:
    """The mapped bones as they hang below each other; the rig faces -Y."""
    from momask_blender.rig.rest import read_rest

    rest = read_rest(armature)
    roles = {role: number for number, role in enumerate(sorted(bones, key=_depth))}
    rows = [rest.index[bones[role]] for role in roles]
    return Target(
        bones=tuple(bones[role] for role in roles),
        parents=tuple(roles.get(ABOVE.get(role, ""), -1) for role in roles),
        heads=rest.heads[rows],
        axes=rest.rotations[rows],
        roles=roles,
        spine=tuple(roles[role] for role in ("spine1", "spine2", "spine3")),
        necks=(roles["neck"],),
        carrier=roles["hips"],
        to_rig=rotation.IDENTITY,
        scale=rest.scale,
    )


def _depth(role: str) -> int:
    return 1 + _depth(ABOVE[role]) if role in ABOVE else 0


def run_to_end(steps: Any) -> Any:
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def random_motion(target: Target, seed: int) -> BoneMotion:
    """One frame: every bone turned a little, the carrier moved."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(1, len(target.bones), 3)) * 0.15
    turns = rotation.normalized(np.concatenate([np.ones_like(vectors[..., :1]), vectors], axis=-1))
    return BoneMotion(turns, target.heads[None, target.carrier] + rng.normal(size=(1, 3)) * 0.1)


def pose_bones(scene: Any, armature: Any, controls: Any, motion: BoneMotion) -> None:
    """Set controls and switches of a rig that is not scaled and faces -Y."""
    target = controls.target
    heads = bone_heads(target, motion)[0]
    for switch in controls.switches:
        owner = armature.pose.bones[switch.bone]
        owner[switch.property] = type(owner[switch.property])(switch.value)
    for bone, name in enumerate(target.bones):
        parent, axes = target.parents[bone], target.axes[bone]
        turn = motion.turns[0, bone]
        if parent >= 0 and target.turns_with_parent[bone]:
            turn = rotation.multiply(rotation.inverse(motion.turns[0, parent]), turn)
        basis = rotation.multiply(rotation.inverse(axes), rotation.multiply(turn, axes))
        pose_bone = armature.pose.bones[name]
        pose_bone.rotation_mode = "QUATERNION"
        pose_bone.rotation_quaternion = basis
        if bone == target.carrier:
            assert parent < 0
            offset = rotation.rotate(rotation.inverse(axes), heads[bone] - target.heads[bone])
            pose_bone.location = offset
    armature.update_tag()
    scene.view_layers[0].update()


@contextmanager
def edit_bones(bpy: Any, armature: Any) -> Any:
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    yield armature.data.edit_bones
    bpy.ops.object.mode_set(mode="OBJECT")


def follow(armature: Any, bone: str, kind: str, target: str, **settings: Any) -> Any:
    constraint = armature.pose.bones[bone].constraints.new(kind)
    constraint.target, constraint.subtarget = armature, target
    for name, value in settings.items():
        setattr(constraint, name, value)
    return constraint


def drive(driven: Any, path: str, armature: Any, source: str, index: int = -1) -> Any:
    """`driven`'s property takes the value at a data path of the armature object."""
    curve = driven.driver_add(path, index)
    curve.driver.type = "SUM"
    variable = curve.driver.variables.new()
    variable.targets[0].id, variable.targets[0].data_path = armature, source
    return curve


def add_controls(bpy: Any, armature: Any) -> None:
    """FK controls for every bone of our own skeleton, and IK for its legs, which rules."""
    with edit_bones(bpy, armature) as bones:
        for side in ("left", "right"):  # bent a little: IK does not bend what is straight
            bones[f"{side}_knee"].head.y -= 0.04
            bones[f"{side}_hip"].tail = bones[f"{side}_knee"].head
        for name in JOINTS:
            copy = bones.new(f"ctl {name}")
            copy.head, copy.tail, copy.roll = bones[name].head, bones[name].tail, bones[name].roll
            copy.use_deform = False
            if bones[name].parent:
                copy.parent = bones[f"ctl {bones[name].parent.name}"]
        for side in ("left", "right"):
            foot = bones.new(f"{side} foot control")
            ankle = bones[f"{side}_ankle"]
            foot.head, foot.tail, foot.roll = ankle.head, ankle.tail, ankle.roll
            pole = bones.new(f"{side} knee control")
            pole.head = bones[f"{side}_knee"].head + type(foot.head)((0.0, -0.5, 0.0))
            pole.tail = pole.head + type(foot.head)((0.0, -0.1, 0.0))
            foot.use_deform = pole.use_deform = False
    for name in JOINTS:
        kind = "COPY_TRANSFORMS" if name == JOINTS[0] else "COPY_ROTATION"
        follow(armature, name, kind, f"ctl {name}")
    owner = armature.pose.bones[f"ctl {JOINTS[0]}"]
    owner["legs"] = 1.0
    for side in ("left", "right"):
        knee = follow(armature, f"{side}_knee", "IK", f"{side} foot control", chain_count=2)
        knee.pole_target, knee.pole_subtarget = armature, f"{side} knee control"
        knee.pole_angle = np.pi / 2
        turn = follow(armature, f"{side}_ankle", "COPY_ROTATION", f"{side} foot control")
        for constraint in (knee, turn):
            drive(constraint, "influence", armature, f'pose.bones["{owner.name}"]["legs"]')
