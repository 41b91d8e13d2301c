"""Humanoid rigs of any kind, built in code from our own proportions.

Each says what is right: the bone of every role, and which way the body faces.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from control_rigs import edit_bones

from momask_blender.contract import rotation
from momask_blender.contract.skeleton import INDEX, REST_JOINTS
from momask_blender.retarget.border import to_blender
from momask_blender.retarget.roles import JOINT_OF, ROLES

Array = np.ndarray
SIDES = ("l", "r")
ARM, LEG = ("collar", "upperarm", "forearm", "hand"), ("thigh", "shin", "foot", "toe")
ARM_DROPS = {"T": 0.0, "A": 45.0, "I": 84.0}  # degrees below the horizontal
FINGERS = ("thumb", "index", "middle")


@dataclass(frozen=True)
class Right:
    """What is right about a rig."""

    bones: dict[str, frozenset[str | None]]  # role -> bones that may play it; None: nobody
    facing: Array  # (3,) world direction that the rest pose faces

    def accepts(self, found: dict[str, str]) -> list[str]:
        """Roles that were given to a wrong bone, in words."""
        return [
            f"{role}: {found.get(role)} is none of {sorted(map(str, allowed))}"
            for role, allowed in self.bones.items()
            if found.get(role) not in allowed
        ]


@dataclass(frozen=True, kw_only=True)
class Build:
    """A rig to be built. Whatever its object's scale and turn are, it stands upright in the world,
    `size` times as tall as our own character; `yaw_degrees` turns it away from -Y."""

    spine: int = 3
    necks: int = 1
    collars: bool = True
    toes: bool = True
    arms: str = "T"  # or A, with bent elbows, or I
    random_rolls: bool = False
    tails_off_child: bool = False
    object_scale: float = 1.0
    object_turn_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw_degrees: float = 0.0
    size: float = 1.0  # in the world, next to ours
    legs: float = 1.0  # lengths next to those of our proportions
    feet: float = 1.0
    names: str = "plain"  # one of NAMES
    root_bone: bool = False
    twist: str = ""  # "in line" or "beside"
    helpers: bool = False
    fingers: bool = False
    dress: tuple[Callable[[Any], None], ...] = field(default=())  # what is done to the pose bones


def _mixamo(role: str) -> str:
    trunk = {"hips": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2"}
    trunk |= {"spine4": "Spine3", "spine5": "Spine4"}
    parts = {"collar": "Shoulder", "upperarm": "Arm", "forearm": "ForeArm", "hand": "Hand"}
    parts |= {"thigh": "UpLeg", "shin": "Leg", "foot": "Foot", "toe": "ToeBase"}
    side, part = side_and_part(role)
    name = trunk.get(part) or parts.get(part) or part.title()
    return f"mixamorig:{ {'l': 'Left', 'r': 'Right', '': ''}[side] }{name}"


def _unreal(role: str) -> str:
    parts = {"hips": "pelvis", "collar": "clavicle", "forearm": "lowerarm", "shin": "calf"}
    parts |= {"toe": "ball", "neck": "neck_01", "neck2": "neck_02"}
    parts |= {f"spine{n}": f"spine_0{n}" for n in range(1, 6)}
    side, part = side_and_part(role)
    return parts.get(part, part) + (f"_{side}" if side else "")


def _plain(role: str) -> str:
    parts = {"upperarm": "upper_arm", "collar": "shoulder"}
    side, part = side_and_part(role)
    return parts.get(part, part) + (f".{side.upper()}" if side else "")


def _russian(role: str) -> str:
    parts = {"hips": "таз", "neck": "шея", "head": "голова", "collar": "ключица"}
    parts |= {"upperarm": "плечо", "forearm": "предплечье", "hand": "кисть", "thigh": "бедро"}
    parts |= {"shin": "голень", "foot": "стопа", "toe": "носок", "neck2": "шея два"}
    parts |= {f"spine{n}": f"спина {n}" for n in range(1, 6)}
    side, part = side_and_part(role)
    return {"l": "лев ", "r": "прав ", "": ""}[side] + parts.get(part, part)


NAMES: dict[str, Callable[[str], str]] = {
    "plain": _plain,
    "mixamo": _mixamo,
    "unreal": _unreal,
    "russian": _russian,
    "numbered": lambda role: role,  # renamed once all bones are there
}


def side_and_part(role: str) -> tuple[str, str]:
    side, _, part = role.rpartition("_")
    return side, part


@dataclass
class _Bone:
    parent: str
    head: Array
    tail: Array
    deforms: bool = True


def build(bpy: Any, scene: Any, name: str, how: Build) -> tuple[Any, Right]:
    """-> the armature object, linked to the scene, and what is right about it."""
    bones = _placed(_layout(how), how)
    armature = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    scene.collection.objects.link(armature)
    armature.rotation_euler = np.radians(how.object_turn_degrees)
    armature.scale = [how.object_scale] * 3
    bpy.context.view_layer.update()
    to_rig = np.linalg.inv(np.array(armature.matrix_world))
    _add_bones(bpy, armature, bones, to_rig, how)
    names = {bone.name: bone.name for bone in armature.data.bones}
    if how.names == "numbered":
        for number, bone in enumerate(armature.data.bones):
            names[bone.name] = f"Bone.{number:03d}"
        for old, new in names.items():
            armature.data.bones[old].name = new
    for put_on in how.dress:
        put_on(armature)
    scene.view_layers[0].update()
    facing = rotation.rotate(_yaw(how), np.array([0.0, -1.0, 0.0]))
    return armature, Right(_right_bones(how, names), facing)


def _yaw(how: Build) -> Array:
    return rotation.about_axis((0.0, 0.0, 1.0), np.radians(how.yaw_degrees))


def _layout(how: Build) -> dict[str, _Bone]:
    """Bones by role, and by other words for what plays none; upright, facing -Y, metres."""
    heads = _role_heads(how)
    parents = _role_parents(how)
    name = NAMES[how.names]
    bones = {
        name(role): _Bone(name(parents[role]) if parents[role] else "", head, _tail(heads, role))
        for role, head in heads.items()
    }
    if how.root_bone:
        back = np.array([0.0, 0.2, 0.0])
        bones = {"root": _Bone("", np.zeros(3), back, deforms=False)} | bones
        bones[name("hips")].parent = "root"
    for side in SIDES:
        for extra, bone in _extras(heads, side, how):
            bones[extra] = bone
    if how.twist == "in line":
        for side in SIDES:
            bones[name(f"{side}_forearm")].parent = f"{name(f'{side}_upperarm')} 2"
            bones[name(f"{side}_hand")].parent = f"{name(f'{side}_forearm')} 2"
            bones[name(f"{side}_shin")].parent = f"{name(f'{side}_thigh')} 2"
    return bones


def _role_heads(how: Build) -> dict[str, Array]:
    """Joints of the roles that the rig has, and of more bones of spine and neck."""
    joints = to_blender(REST_JOINTS)
    heads = {role: joints[JOINT_OF[role]] for role in ROLES if not role.startswith("spine")}
    _lengthen_legs(heads, how)
    low, high = joints[INDEX["spine1"]], joints[INDEX["spine3"]]
    for number in range(how.spine):
        share = number / (how.spine - 1) if how.spine > 1 else 0.5
        heads[f"spine{number + 1}"] = low + share * (high - low)
    if how.necks == 2:
        heads["neck2"] = (heads["neck"] + heads["head"]) / 2
    if how.necks == 0:
        del heads["neck"]
    for side, sign in (("l", 1.0), ("r", -1.0)):
        _lower_arm(heads, side, sign, how.arms)
        heads[f"{side}_shin"] = heads[f"{side}_shin"] + (0.0, -0.01, 0.0)
        if not how.collars:
            del heads[f"{side}_collar"]
        if not how.toes:
            del heads[f"{side}_toe"]
    return heads


def _lengthen_legs(heads: dict[str, Array], how: Build) -> None:
    """Trunk and hips stay, so the floor is elsewhere."""
    for side in SIDES:
        chain = [f"{side}_{part}" for part in LEG]
        ways = [heads[low] - heads[high] for high, low in itertools.pairwise(chain)]
        for role, above, way in zip(chain[1:], chain[:-1], ways, strict=True):
            heads[role] = heads[above] + way * (how.feet if role.endswith("toe") else how.legs)


def _lower_arm(heads: dict[str, Array], side: str, sign: float, arms: str) -> None:
    shoulder = heads[f"{side}_upperarm"]
    drop = rotation.about_axis((0.0, sign, 0.0), np.radians(ARM_DROPS[arms]))
    bend = rotation.about_axis((0.0, 0.0, -sign), np.radians(0.0 if arms == "T" else 18.0))
    upper = heads[f"{side}_forearm"] - shoulder
    lower = heads[f"{side}_hand"] - heads[f"{side}_forearm"]
    heads[f"{side}_forearm"] = shoulder + rotation.rotate(drop, upper)
    lower = rotation.rotate(drop, rotation.rotate(bend, lower))
    heads[f"{side}_hand"] = heads[f"{side}_forearm"] + lower


def _role_parents(how: Build) -> dict[str, str]:
    trunk = ["hips", *(f"spine{number + 1}" for number in range(how.spine))]
    chest = trunk[-1]
    trunk += [*("neck", "neck2")[: how.necks], "head"]
    parents = dict(zip(trunk, ["", *trunk[:-1]], strict=True))
    for side in SIDES:
        arm = [chest, *(f"{side}_{part}" for part in (ARM if how.collars else ARM[1:]))]
        leg = ["hips", *(f"{side}_{part}" for part in (LEG if how.toes else LEG[:-1]))]
        for chain in (arm, leg):
            parents |= dict(zip(chain[1:], chain[:-1], strict=True))
    return parents


def _tail(heads: dict[str, Array], role: str) -> Array:
    side, part = side_and_part(role)
    chain = ("hips", "spine1", "spine2", "spine3", "spine4", "spine5", "neck", "neck2", "head")
    line = chain if not side else ARM if part in ARM else LEG
    prefix = f"{side}_" if side else ""
    rest = [prefix + word for word in line[line.index(part) + 1 :] if prefix + word in heads]
    if rest:
        return heads[rest[0]]
    if part == "hand":
        lower = heads[role] - heads[f"{side}_forearm"]
        return heads[role] + 0.17 * rotation.normalized(lower)
    ends = {"head": (0.0, 0.0, 0.18), "toe": (0.0, -0.07, 0.0), "foot": (0.0, -0.2, -0.05)}
    return heads[role] + ends[part]


def _extras(heads: dict[str, Array], side: str, how: Build) -> Iterator[tuple[str, _Bone]]:
    """Twist bones, helpers and fingers of one side."""
    name = NAMES[how.names]
    for part, next_part in (("upperarm", "forearm"), ("forearm", "hand"), ("thigh", "shin")):
        start, end = heads[f"{side}_{part}"], heads[f"{side}_{next_part}"]
        owner = name(f"{side}_{part}")
        if how.twist == "in line":
            yield f"{owner} 2", _Bone(owner, (start + end) / 2, end)
        if how.twist == "beside":
            yield f"{owner} twist", _Bone(owner, start + 0.4 * (end - start), end)
    if how.helpers:
        ankle, knee = heads[f"{side}_foot"], heads[f"{side}_shin"]
        mark = f"_{side}" if how.names != "plain" else f".{side.upper()}"
        yield f"ik_foot{mark}", _Bone("", ankle, ankle + (0.0, -0.2, 0.0), False)
        yield f"ik_knee{mark}", _Bone("", knee + (0, -0.5, 0), knee + (0, -0.6, 0), False)
    if how.fingers:
        yield from _fingers(heads, side, name)


def _fingers(
    heads: dict[str, Array], side: str, name: Callable[[str], str]
) -> Iterator[tuple[str, _Bone]]:
    hand = heads[f"{side}_hand"]
    along = rotation.normalized(hand - heads[f"{side}_forearm"])
    across = np.cross(along, (0.0, 0.0, 1.0))
    across = rotation.normalized(across * -np.sign(across[1]))  # towards the front: the thumb
    for number, finger in enumerate(FINGERS):
        place = (
            hand + (0.03 if finger == "thumb" else 0.09) * along + (0.03 - 0.02 * number) * across
        )
        above = name(f"{side}_hand")
        for joint in range(1, 4):
            tail = place + 0.03 * along
            own = f"{name(f'{side}_hand')} {finger} {joint}"
            yield own, _Bone(above, place, tail)
            place, above = tail, own


def _placed(bones: dict[str, _Bone], how: Build) -> dict[str, _Bone]:
    """Standing on the floor, as large and turned as asked for."""
    turn = _yaw(how)
    floor = np.array([0.0, 0.0, min(bone.head[2] for bone in bones.values())])

    def place(point: Array) -> Array:
        return how.size * rotation.rotate(turn, point - floor)

    return {
        name: _Bone(bone.parent, place(bone.head), place(bone.tail), bone.deforms)
        for name, bone in bones.items()
    }


def _add_bones(bpy: Any, armature: Any, bones: dict[str, _Bone], to_rig: Array, how: Build) -> None:
    rng = np.random.default_rng(7)
    with edit_bones(bpy, armature) as edited:
        for name, bone in bones.items():
            made = edited.new(name)
            tail = bone.tail
            if how.tails_off_child and name != "root":
                tail = bone.head + rng.normal(size=3) * 0.05 + (0.0, 0.0, 0.02)
            made.head = to_rig[:3, :3] @ bone.head + to_rig[:3, 3]
            made.tail = to_rig[:3, :3] @ tail + to_rig[:3, 3]
            made.roll = rng.uniform(-3.0, 3.0) if how.random_rolls else 0.0
            made.use_deform = bone.deforms
        for name, bone in bones.items():
            if bone.parent:
                edited[name].parent = edited[bone.parent]


def _right_bones(how: Build, names: dict[str, str]) -> dict[str, frozenset[str | None]]:
    """Several bones may be the right ones of spine and neck, if there are not as many as roles."""
    called = NAMES[how.names]
    found: dict[str, frozenset[str | None]] = {}
    for role in ROLES:
        name = names.get(called(role))
        found[role] = frozenset([name])
    spine = [names[called(f"spine{number + 1}")] for number in range(how.spine)]
    if how.spine != 3:
        for role in ("spine1", "spine2", "spine3"):
            found[role] = frozenset([*spine, *([None] if how.spine < 3 else [])])
    return found
