"""A rig read once, and motions fitted to it: from a pose to what a take is keyed with."""

from collections.abc import Generator
from dataclasses import dataclass, field

from bpy.types import Object
from numpy.typing import NDArray

from .animation.takes import TakeKeys
from .contract.pose import Pose
from .retarget.border import pose_to_blender, resample_pose
from .retarget.channels import BoneKeys, bone_keys
from .retarget.fit import Fit
from .retarget.target import BoneMotion, Target
from .rig.character import own_target
from .rig.checks import check_armature, check_lengths, notes_on
from .rig.controls import Controls, find_controls
from .rig.hands import relaxed_fingers
from .rig.ik_feet import IkFeet, find_ik_feet, ik_keys
from .rig.present import bones_between, with_present_anchor
from .rig.rest import read_rest


@dataclass(frozen=True, eq=False)
class Rig:
    """All that has to be known of an armature to key motions on it."""

    target: Target
    controls: Controls | None = None
    ik_feet: IkFeet | None = None
    between: tuple[str, ...] = ()  # undriven bones between driven ones
    fingers: dict[str, NDArray] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_rig(armature: Object, fit: Fit) -> Generator[None, None, Rig]:
    """Look at the rig, in short steps, and change nothing. Raises UserError."""
    check_armature(armature)
    rest = read_rest(armature)
    plain = own_target(armature)
    check_lengths(plain)
    notes = notes_on(armature)
    has_root = fit.travel == "ROOT_BONE"
    controls = yield from find_controls(armature, plain, has_root)
    target = controls.target if controls else with_present_anchor(armature, plain)
    ik_feet = None
    if controls and fit.ik_feet:
        ik_feet = yield from find_ik_feet(armature, plain, controls)
    return Rig(
        target=target,
        controls=controls,
        ik_feet=ik_feet,
        between=tuple(bone.name for bone in bones_between(armature, target)),
        fingers=relaxed_fingers(rest, plain) if fit.relaxed_hands else {},
        warnings=(
            *notes,
            *(controls.warnings if controls else ()),
            *(ik_feet.warnings if ik_feet else ()),
        ),
    )


def fit_motion(
    rig: Rig, pose: Pose, num_keys: int, fps: float
) -> Generator[None, None, BoneMotion]:
    """The pose (20 fps, model axes) on the rig's bones at the rate of its keys, in short steps."""
    resampled = pose_to_blender(resample_pose(pose, num_keys, fps))
    yield
    return BoneMotion(resampled.rotations, resampled.root)


def take_keys(rig: Rig, motion: BoneMotion) -> TakeKeys:
    """What plays the motion on the rig."""
    ik, controls = rig.ik_feet, rig.controls
    unkeyed = set(controls.unkeyed if controls else ()) | set(ik.replaced if ik else ())
    bones = [keys for keys in bone_keys(rig.target, motion) if keys.bone not in unkeyed]
    for keys in ik_keys(ik, rig.target, motion) if ik else ():
        bones.append(BoneKeys(keys.bone, keys.rotations, keys.location, carries_feet=True))
    switches = ik.switches if ik else (controls.switches if controls else ())
    return TakeKeys(bones, rig.between, switches, rig.fingers)
