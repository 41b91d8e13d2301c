"""Rigs on which a motion must land as exactly as on our own, and what is done to their bones."""

from collections.abc import Callable
from typing import Any

from control_rigs import drive, follow
from rigs import Build


def each_pose_bone(**properties: Any) -> Callable[[Any], None]:
    def put_on(armature: Any) -> None:
        for bone in armature.pose.bones:
            for name, value in properties.items():
                setattr(bone, name, value)

    return put_on


def each_bone(**properties: Any) -> Callable[[Any], None]:
    def put_on(armature: Any) -> None:
        for bone in armature.data.bones:
            for name, value in properties.items():
                setattr(bone, name, value)

    return put_on


def mixed_rotation_modes(armature: Any) -> None:
    modes = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX", "AXIS_ANGLE", "QUATERNION")
    for number, bone in enumerate(armature.pose.bones):
        bone.rotation_mode = modes[number % len(modes)]


def loose_neck_and_hands(armature: Any) -> None:
    """Inherit Rotation off where game rigs have it off."""
    for name in ("neck", "hand.L", "hand.R"):
        armature.data.bones[name].use_inherit_rotation = False


def twist_bones_follow(armature: Any) -> None:
    """Sibling twist bones take half of what the next bone turns, by a constraint."""
    for part, next_part in (("upper_arm", "forearm"), ("forearm", "hand"), ("thigh", "shin")):
        for side in ("L", "R"):
            follow(
                armature,
                f"{part}.{side} twist",
                "COPY_ROTATION",
                f"{next_part}.{side}",
                influence=0.5,
                use_x=False,
                use_z=False,
                target_space="LOCAL",
                owner_space="LOCAL",
            )


def limited_knees(armature: Any) -> None:
    """Limit Rotation on the shins, and so tight that it would show."""
    for side in ("L", "R"):
        limit = armature.pose.bones[f"shin.{side}"].constraints.new("LIMIT_ROTATION")
        limit.use_limit_x = limit.use_limit_y = limit.use_limit_z = True
        limit.owner_space = "LOCAL"


def driven_hand(armature: Any) -> None:
    """A driver turns the left hand by where the head is."""
    armature.pose.bones["hand.L"].rotation_mode = "XYZ"
    drive(
        armature.pose.bones["hand.L"],
        "rotation_euler",
        armature,
        'pose.bones["head"].location[0]',
        1,
    )


def locked_hips(armature: Any) -> None:
    armature.pose.bones["hips"].lock_location = (False, False, True)


TORTURES: dict[str, Build] = {
    "T-pose": Build(),
    "A-pose, bent elbows": Build(arms="A"),
    "I-pose": Build(arms="I"),
    "random rolls": Build(random_rolls=True, arms="A"),
    "tails off the child": Build(tails_off_child=True, random_rolls=True),
    "scale 0.01": Build(object_scale=0.01),
    "scale 100": Build(object_scale=100.0),
    "object turned 90 about X": Build(object_turn_degrees=(90.0, 0.0, 0.0)),
    "turned, scale 0.01, A-pose": Build(
        object_turn_degrees=(90.0, 0.0, 0.0), object_scale=0.01, arms="A", random_rolls=True
    ),
    "facing +X": Build(yaw_degrees=90.0),
    "facing +Y": Build(yaw_degrees=180.0),
    "facing askew": Build(yaw_degrees=-33.0),
    "a child": Build(size=0.55, legs=0.8),
    "a giant": Build(size=30.0),
    "long legs, small feet": Build(legs=1.2, feet=0.8),
    "short legs, large feet": Build(legs=0.75, feet=1.2),
    "spine of 1": Build(spine=1),
    "spine of 2": Build(spine=2),
    "spine of 4": Build(spine=4),
    "spine of 5, two necks": Build(spine=5, necks=2),
    "no collars": Build(collars=False),
    "no toes": Build(toes=False),
    "no neck": Build(necks=0),
    "twist bones in line": Build(twist="in line", arms="A"),
    "twist bones beside": Build(twist="beside", dress=(twist_bones_follow,)),
    "helpers and fingers": Build(helpers=True, fingers=True, arms="A"),
    "Euler and axis-angle": Build(dress=(mixed_rotation_modes,)),
    "inherit rotation off": Build(dress=(loose_neck_and_hands,), random_rolls=True),
    "local location off": Build(dress=(each_bone(use_local_location=False),), random_rolls=True),
    "Mixamo names": Build(names="mixamo", arms="A"),
    "UE names, root bone": Build(
        names="unreal", root_bone=True, tails_off_child=True, twist="beside", fingers=True, arms="A"
    ),
    "Russian names": Build(names="russian"),
    "numbered bones": Build(names="numbered", fingers=True, arms="A"),
}
