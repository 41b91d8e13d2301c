"""A rig read once, and motions fitted to it: from a pose to what a take is keyed with."""

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
from bpy.types import Object
from mathutils import Matrix
from numpy.typing import NDArray

from .animation.takes import TakeKeys
from .contract import rotation
from .contract.pose import Pose
from .refs import Ref
from .retarget.border import pose_to_blender, resample_pose
from .retarget.channels import BoneKeys, bone_keys
from .retarget.contacts import find_contacts, track_pose
from .retarget.feet import planting
from .retarget.fit import Fit
from .retarget.solve import solve_motion
from .retarget.target import BoneMotion, Target
from .retarget.travel import Standing, begin_at, in_place, onto_root, standing
from .rig.checks import check_armature, check_lengths, notes_on, notes_on_held
from .rig.controls import Controls, find_controls
from .rig.driven import driven_bones
from .rig.hands import relaxed_fingers
from .rig.ik_feet import IkFeet, find_ik_feet, ik_keys
from .rig.joint_map import JointMap
from .rig.present import bones_between, with_present_anchor
from .rig.rest import read_rest
from .rig.sample import present_heads

AT_REST = 1e-5  # of its size: a rig whose joints are nearer to those of its rest pose rests


@dataclass(frozen=True, eq=False)
class Rig:
    """All that has to be known of an armature to key motions on it."""

    target: Target
    plain: Target  # the bones that the mesh follows; on plain skeletons those that are keyed
    fit: Fit
    start: Standing | None  # None: where the rig rests
    controls: Controls | None = None
    ik_feet: IkFeet | None = None
    between: tuple[str, ...] = ()  # undriven bones that move driven ones
    fingers: dict[str, NDArray] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_rig(
    armature: Object,
    joint_map: JointMap,
    fit: Fit,
    cursor: Matrix | None = None,
    with_root: bool = False,
) -> Generator[None, None, Rig]:
    """Look at the rig, in short steps, and change nothing. `cursor` is the 3D cursor in the world,
    for motions that start there; `with_root`: the target has the bone above the hips, where there
    is one. Raises UserError."""
    check_armature(armature)
    rest = read_rest(armature)
    on_root = fit.travel == "ROOT_BONE"
    with_root |= on_root
    plain = driven_bones(rest, joint_map, with_root)
    check_lengths(plain)
    notes = [*joint_map.warnings, *notes_on(armature)]
    held = Ref.of(armature)
    yield
    controls = yield from find_controls(held.resolve(), plain, with_root)
    armature = held.resolve()
    target = controls.target if controls else with_present_anchor(armature, plain)
    ik_feet = None
    if controls and fit.ik_feet:
        ik_feet = yield from find_ik_feet(armature, plain, controls)
        armature = held.resolve()
    if on_root and target.root < 0:
        notes.append("There is no bone above the hips to take the travel: the hips take it.")
    unkeyed = _unkeyed(controls, ik_feet)
    notes += notes_on_held(armature, (bone for bone in target.bones if bone not in unkeyed))
    at_cursor = fit.start == "CURSOR" and cursor is not None
    return Rig(
        target=target,
        plain=plain,
        fit=fit,
        start=_under(cursor, armature, plain) if at_cursor else _as_it_stands(armature, plain),
        controls=controls,
        ik_feet=ik_feet,
        between=(
            *(bone.name for bone in bones_between(armature, target)),
            *(controls.leaders if controls else ()),
        ),
        fingers=relaxed_fingers(rest, plain) if fit.relaxed_hands else {},
        warnings=(
            *notes,
            *(controls.warnings if controls else ()),
            *(ik_feet.warnings if ik_feet else ()),
        ),
    )


def _as_it_stands(armature: Object, plain: Target) -> Standing | None:
    heads = present_heads(armature, plain)
    if np.abs(heads - plain.heads).max() < AT_REST * np.ptp(plain.heads, axis=0).max():
        return None
    return standing(heads, plain)


def _under(cursor: Matrix, armature: Object, plain: Target) -> Standing:
    """Where the 3D cursor is, facing as that is turned: unturned as the world's front, -Y."""
    to_rig = np.array((armature.matrix_world.inverted() @ cursor).normalized())
    to_body = rotation.inverse(plain.to_rig)
    place = rotation.rotate(to_body, np.array(to_rig[:3, 3]) * plain.scale)
    front = rotation.rotate(to_body, -to_rig[:3, 1])
    return Standing(place[:2], float(np.arctan2(front[0], -front[1])))


def fit_motion(
    rig: Rig, pose: Pose, num_keys: int, fps: float
) -> Generator[None, None, BoneMotion]:
    """The pose (20 fps, model axes) on the rig's bones at the rate of its keys, in short steps."""
    resampled = pose_to_blender(resample_pose(pose, num_keys, fps))
    yield
    target, fit = rig.target, rig.fit
    motion = solve_motion(resampled, target, fit.ground)
    yield
    motion = begin_at(target, motion, rig.start)
    yield
    if fit.feet != "OFF":
        is_strict = fit.feet == "STRICT"
        contacts = find_contacts(track_pose(resampled), fps, is_strict)
        yield
        motion = yield from planting(target, motion, contacts, fps, is_strict, fit.ground)
        yield
    if fit.travel == "IN_PLACE":
        return in_place(target, motion, fps)
    if fit.travel == "ROOT_BONE" and target.root >= 0:
        return onto_root(target, motion, fps)
    return motion


def take_keys(rig: Rig, motion: BoneMotion) -> TakeKeys:
    """What plays the motion on the rig."""
    ik, controls = rig.ik_feet, rig.controls
    unkeyed = _unkeyed(controls, ik)
    bones = [keys for keys in bone_keys(rig.target, motion) if keys.bone not in unkeyed]
    for keys in ik_keys(ik, rig.target, motion) if ik else ():
        bones.append(BoneKeys(keys.bone, keys.rotations, keys.location, carries_feet=True))
    switches = ik.switches if ik else (controls.switches if controls else ())
    return TakeKeys(bones, rig.between, switches, rig.fingers)


def _unkeyed(controls: Controls | None, ik: IkFeet | None) -> set[str]:
    """Bones of the target that get no keys."""
    return {*(controls.unkeyed if controls else ()), *(ik.replaced if ik else ())}
