"""Which bone plays which role: found by names, then by structure, then checked. No bpy."""

from collections.abc import Iterator, Set
from dataclasses import replace
from functools import partial

import numpy as np

from ..errors import UserError
from ..retarget.roles import REQUIRED, ROLES, spoken
from .names import SPINE, by_names
from .rest_bones import RestBones
from .role_map import JointMap
from .sanity import Checked, check
from .structure import SOURCE as STRUCTURE
from .structure import by_structure
from .trunk import below
from .vocabulary import LIMBS
from .words import is_copy

__all__ = ("JointMap", "find_joint_map")

TOLD = 1.0  # confidence in what an add-on stored
SAME_PLACE = 0.1  # of the body's size: two sets of bones closer than that are one character's
SMALLEST = 0.2  # of the first body's size: a second that is smaller is a set of handles
ENOUGH = 32.0  # of 33, `Checked.worth`: what fits so well needs no other look
LEAST = 15.0  # of 33: by structure less is chance; names that tell less do not tell enough
NOTHING = Checked(JointMap({}), fatal="no arms and legs were found among its bones")
OFTEN_ABSENT = ("collar", "toe")  # many characters have none, and their makers know
OWN = "momask.use_new_character"


def find_joint_map(rest: RestBones) -> JointMap:
    """The likeliest map of an armature. Raises UserError where there is no one humanoid in it."""
    if not rest.names:
        raise UserError("The armature has no bones.", fix=OWN)
    found = _best(rest)
    if found.fatal:
        raise UserError(
            f"This is no humanoid: {found.fatal}. Select a character that stands on two legs, or "
            "choose its parts under Bones.",
            fix=OWN,
        )
    joint_map = found.joint_map
    _refuse_two(rest, joint_map)
    return replace(joint_map, warnings=(*found.problems, *_missing(joint_map)))


def _best(rest: RestBones) -> Checked:
    """What an add-on stored if it can be, else by names, else by structure."""
    found = _by_names(rest)
    for told in map(partial(check, rest), _told(rest)):
        if not told.problems and told.has_all:
            return replace(told, joint_map=_filled(told.joint_map, found))
    if found.worth >= LEAST:
        return found
    return max(found, _by_structure(rest), key=lambda checked: checked.worth)


def _by_names(rest: RestBones, without: Set[int] = frozenset()) -> Checked:
    """The first of the maps that hold best; if none does, the first."""
    best = NOTHING
    for checked in (check(rest, joint_map) for joint_map in by_names(rest, without)):
        if checked.worth > best.worth or best is NOTHING:
            best = checked
        if best is checked and not checked.problems and checked.worth >= ENOUGH:
            break
    return best


def _by_structure(rest: RestBones, without: Set[int] = frozenset()) -> Checked:
    joint_map = by_structure(rest, without)
    checked = check(rest, joint_map) if joint_map else NOTHING
    return checked if checked.worth >= LEAST else NOTHING


def _told(rest: RestBones) -> Iterator[JointMap]:
    """What other add-ons stored with the armature."""
    for addon, roles in rest.metadata.items():
        bones = {role: roles[role] for role in ROLES if roles.get(role) in rest.index}
        yield JointMap(bones, dict.fromkeys(bones, TOLD), f"{addon} add-on")


def _filled(joint_map: JointMap, other: Checked) -> JointMap:
    """With the roles that only the other map has, but for the spine, which is one chain."""
    bones, sure = joint_map.bones, joint_map.confidence
    for role, bone in other.joint_map.bones.items() if not other.fatal else ():
        if role not in bones and bone not in bones.values() and role not in SPINE:
            bones, sure = bones | {role: bone}, sure | {role: other.joint_map.confidence[role]}
    return replace(joint_map, bones=bones, confidence=sure)


def _refuse_two(rest: RestBones, joint_map: JointMap) -> None:
    """Raises UserError where the bones that are left make a character of their own."""
    own = {rest.index[bone] for bone in joint_map.bones.values()}
    own |= below(rest, rest.index[joint_map.bones["hips"]])
    look = _by_structure if joint_map.source == STRUCTURE else _by_names
    second = look(rest, own)
    if second.fatal or not _is_another(rest, joint_map, second.joint_map):
        return
    first, other = joint_map.bones["hips"], second.joint_map.bones["hips"]
    raise UserError(
        f"The armature holds two characters: one with the hips '{first}', one with '{other}'. "
        "Separate their bones in Edit Mode (Armature > Separate), then try again."
    )


def _is_another(rest: RestBones, first: JointMap, second: JointMap) -> bool:
    """Not the same body again: control rigs have it several times, at one place."""
    shared = [role for role in REQUIRED if role in first.bones and role in second.bones]
    pairs = [(first.bones[role], second.bones[role]) for role in shared]
    if all(is_copy(*pair) for pair in pairs):
        return True
    ours, theirs = (
        rest.heads[[rest.index[name] for name in names]] for names in zip(*pairs, strict=True)
    )
    size, other_size = (np.ptp(heads, axis=0).max() for heads in (ours, theirs))
    apart = np.linalg.norm(ours - theirs, axis=1)
    return bool(other_size > SMALLEST * size and np.median(apart) > SAME_PLACE * size)


def _missing(joint_map: JointMap) -> Iterator[str]:
    """What is not animated, as the rig has no bones for it."""
    for side, word in (("l", "Left"), ("r", "Right")):
        for limb, parts in LIMBS.items():
            lacking = [part for part in parts if f"{side}_{part}" not in joint_map.bones]
            needed = [part for part in lacking if part not in OFTEN_ABSENT]
            if len(needed) == len(set(parts) - set(OFTEN_ABSENT)):
                yield f"{word} {limb}: no bones found, it is not animated. Choose them under Bones."
            else:
                yield from (_says(spoken(f"{side}_{part}")) for part in needed)
    for role, name in (("spine1", "spine"), ("head", "head")):
        if role not in joint_map.bones:
            yield _says(name)


def _says(part: str) -> str:
    return f"{part.capitalize()}: no bone found, it is not animated. Choose one under Bones."
