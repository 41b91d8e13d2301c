"""Plant the feet of whatever an armature plays, in a copy of its Action."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace

import bpy
import numpy as np
from bpy.types import Object
from numpy.typing import NDArray

from .animation.action_bones import BoneChannels, read_bone, replace_channels
from .animation.actions import bind_copy, bound_channels, key_range, new_channels, playing
from .contract import rotation
from .errors import UserError
from .refs import Ref
from .retarget.channels import adjusted_location, adjusted_rotations
from .retarget.contacts import Contacts, find_contacts, runs_of
from .retarget.feet import planting
from .retarget.legs import legs_of, track_motion
from .retarget.object_travel import read_travel
from .retarget.target import BoneMotion, Target
from .rig.checks import check_armature, check_lengths, check_steady_scale, note_on_ridden
from .rig.controls import find_controls
from .rig.driven import driven_bones
from .rig.joint_map import JointMap
from .rig.rest import read_rest
from .rig.sample import STEP, Sampled, sample_bones

Array = NDArray[np.floating]
Work = Generator[float, None, None]

SUFFIX = " clean feet"
MOST_OFF = np.radians(3.0)  # of a leg from the controls that are to move it
LEGS = ("thigh", "shin", "foot", "toe")


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """What to clean, and how."""

    armature: Ref
    joint_map: JointMap
    fps: float
    strict: bool = False
    ground: float = 0.0


@dataclass
class Cleaned:
    """What came of it."""

    action: str = ""
    before: str = ""  # the animator's own Action, which stays
    num_steps: int = 0  # times that a foot stands
    note: str = ""

    def in_words(self) -> str:
        times = f"{self.num_steps} {'times' if self.num_steps > 1 else 'time'}"
        told = f"'{self.action}': a foot stands {times}. '{self.before}' stays in the file"
        return told + (f". {self.note.rstrip('.')}" if self.note else "")


def clean_feet(wanted: Cleaning, cleaned: Cleaned) -> Work:
    """In short steps that say how far it is; until the last one nothing has changed.

    Raises UserError.
    """
    armature = wanted.armature.resolve()
    frames = _frames_of(armature)
    plain = driven_bones(read_rest(armature), wanted.joint_map, root_bone=True)
    check_lengths(plain)
    yield 0.0
    target, is_controlled = yield from _leading_bones(wanted.armature, plain)
    sampled = yield from _read(wanted.armature, (*plain.bones, *target.bones), frames)
    armature = wanted.armature.resolve()
    check_steady_scale(armature, sampled.worlds, frames.tolist())
    motion, legs = sampled.motion(target), sampled.motion(plain)
    if is_controlled:
        _check_followed(armature, target, motion, plain, legs)
    travel = read_travel(plain, sampled.worlds, legs, [np.arange(len(frames))], wanted.fps)
    cleaned.note = note_on_ridden(armature) if travel.is_ridden else ""
    motion = travel.onto_floor(motion)
    contacts = _contacts(wanted, target, motion)
    cleaned.num_steps = sum(len(runs_of(side)) for side in contacts.balls.T)
    yield 0.8
    steps = planting(target, motion, contacts, wanted.fps, wanted.strict, wanted.ground)
    planted = yield from _at(steps, 0.85)
    yield from _write(wanted.armature, target, frames, motion, planted, cleaned)


def _frames_of(armature: Object) -> NDArray[np.int_]:
    """All whole frames of the Action that it plays."""
    check_armature(armature)
    channels, data = bound_channels(armature), armature.animation_data
    if channels is None or not len(channels.fcurves):
        raise UserError(f"'{armature.name}' plays no Action with keys. Choose one for it first.")
    if data.use_tweak_mode:
        raise UserError(f"A strip of '{armature.name}' is being tweaked. Leave tweak mode (Tab).")
    has_strips = any(len(track.strips) and not track.mute for track in data.nla_tracks)
    if has_strips and (data.action_blend_type != "REPLACE" or data.action_influence < 1.0):
        raise UserError(
            f"What '{armature.name}' plays is mixed with NLA strips. Mute its tracks, or bake all "
            "into one Action (Object > Animation > Bake Action)."
        )
    first, last = key_range(channels)
    if last == first:
        raise UserError(f"'{data.action.name}' has keys on one frame only: nothing moves.")
    return np.arange(first, last + 1)


def _leading_bones(rig: Ref, plain: Target) -> Generator[float, None, tuple[Target, bool]]:
    """The bones to key, and whether these are controls of others."""
    controls = yield from _at(find_controls(rig.resolve(), plain, root_bone=True), 0.0)
    if controls is None:
        return plain, False
    legs = [plain.bones[plain.roles[role]] for role in _leg_roles(plain)]
    stubborn = [bone for bone in legs if bone in controls.unkeyed]
    if stubborn:
        raise UserError(
            f"'{stubborn[0]}' does not do what its keys say: constraints move it. Bake the motion "
            "(Object > Animation > Bake Action, with Visual Keying and Clear Constraints)."
        )
    return controls.target, True


def _leg_roles(target: Target) -> list[str]:
    roles = (f"{side}_{part}" for side in "lr" for part in LEGS)
    return [role for role in roles if role in target.roles]


def _read(
    rig: Ref, bones: Iterable[str], frames: NDArray[np.int_]
) -> Generator[float, None, Sampled]:
    steps, number = sample_bones(rig.resolve(), bones, frames.tolist()), 0
    try:
        while True:
            next(steps)
            number += STEP
            yield 0.8 * number / len(frames)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def _at(steps: Generator, share: float) -> Generator:
    """The same steps, each of which says how far the whole is."""
    try:
        while True:
            next(steps)
            yield share
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def _check_followed(
    armature: Object, target: Target, motion: BoneMotion, plain: Target, legs: BoneMotion
) -> None:
    """Whether the legs do what their controls do: not where IK moves them. Raises UserError."""
    for role in _leg_roles(plain):
        control, bone = target.roles[role], plain.roles[role]
        off = rotation.multiply(motion.turns[:, control], rotation.inverse(legs.turns[:, bone]))
        if 2.0 * np.arccos(np.clip(np.abs(off[:, 0]).min(), 0.0, 1.0)) > MOST_OFF:
            raise UserError(
                f"The legs of '{armature.name}' are moved by IK: '{target.bones[control]}' does "
                "not move them. Switch both legs to FK and bake the motion to FK (Rigify: 'IK->FK' "
                "over the whole Action), then try again."
            )


def _contacts(wanted: Cleaning, target: Target, motion: BoneMotion) -> Contacts:
    if len(legs_of(target).sides) == 0:
        raise UserError("No whole leg is known: set thigh, shin and foot of a side under Bones.")
    track = track_motion(target, motion, wanted.ground)
    contacts = find_contacts(track, wanted.fps, wanted.strict)
    if not contacts.balls.any():
        raise UserError(
            "No foot stands still on the floor. Set Floor Height if the floor lies elsewhere, or "
            "Feet to Strict; a motion in place has no feet to plant."
        )
    return contacts


def _write(
    rig: Ref,
    target: Target,
    frames: NDArray[np.int_],
    motion: BoneMotion,
    planted: BoneMotion,
    cleaned: Cleaned,
) -> Work:
    """Into a copy, one bone a step, which plays in the end. An error takes the copy back."""
    action, _ = playing(rig.resolve())
    before, copy = Ref.of(action), Ref.of(action.copy())
    try:
        made = copy.resolve()
        made.name, made.use_fake_user = action.name + SUFFIX, True
        legs = [target.roles[role] for role in _leg_roles(target)]
        for done, bone in enumerate(dict.fromkeys([*legs, target.carrier])):
            armature = rig.resolve()
            channels = new_channels(copy.resolve(), armature)
            was = read_bone(channels, armature.pose.bones[target.bones[bone]], frames)
            now = _adjusted(target, bone, motion, planted, was)
            replace_channels(channels, armature.pose.bones[target.bones[bone]], frames, was, now)
            yield 0.9 + 0.01 * done
        bind_copy(rig.resolve(), copy.resolve())
        cleaned.action, cleaned.before = copy.resolve().name, before.name
        own = before.find()
        if own is not None and own.users == 0 and own.library is None:
            own.use_fake_user = True
    except BaseException:
        if (action := copy.find()) is not None:
            bpy.data.actions.remove(action)
        raise


def _adjusted(
    target: Target, bone: int, motion: BoneMotion, planted: BoneMotion, was: BoneChannels
) -> BoneChannels:
    """What a bone has to be keyed with instead."""
    rotations = adjusted_rotations(target, bone, motion, planted, was.rotations)
    if bone != target.carrier:
        return replace(was, rotations=rotations)
    moved = adjusted_location(target, motion, planted, was.rotations, was.location)
    return BoneChannels(rotations, moved)
