"""Which bone plays which role: found by names, then by structure, then checked. No bpy."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from ..errors import UserError
from ..retarget.roles import REQUIRED, ROLES, spoken
from .names import SPINE, by_names
from .rest_bones import RestBones
from .role_map import JointMap
from .sanity import Checked, check
from .trunk import below
from .vocabulary import LIMBS
from .words import is_copy

__all__ = ("JointMap", "find_joint_map")

TOLD = 1.0  # confidence in what an add-on stored
SAME_PLACE = 0.1  # of the body's size: two sets of bones closer than that are one character's
SMALLEST = 0.2  # of the first body's size: a second that is smaller is a set of handles
ENOUGH = 32.0  # of 33, `Checked.worth`: what fits so well needs no other look
OFTEN_ABSENT = ("collar", "toe")  # many characters have none, and their makers know
OWN = "momask.use_new_character"


def find_joint_map(rest: RestBones) -> JointMap:
    """The likeliest map of an armature. Raises UserError where there is no one humanoid in it."""
    if not rest.names:
        raise UserError("The armature has no bones.", fix=OWN)
    best, refused = _best(rest)
    if best is None:
        raise UserError(
            f"This is no humanoid: {refused}. Select a character that stands on two legs, or set "
            "its bones by hand.",
            fix=OWN,
        )
    _refuse_two(rest, best.joint_map)
    found = best.joint_map
    return replace(found, warnings=(*found.warnings, *best.problems, *_missing(found)))


def _best(rest: RestBones) -> tuple[Checked | None, str]:
    """The map that holds best, or None and why the likeliest can be no humanoid's."""
    best, refused = None, ""
    for joint_map in _found(rest):
        checked = check(rest, joint_map)
        if checked.fatal:
            refused = refused or checked.fatal
        elif best is None or checked.worth > best.worth:
            best = checked
        if best is checked and not checked.problems and checked.worth >= ENOUGH:
            break
    for told in map(partial(check, rest), _told(rest)):
        if not told.fatal and not told.problems and told.joint_map.bones.keys() >= set(REQUIRED):
            return replace(told, joint_map=_filled(told.joint_map, best)), ""
    return best, refused or "no arms and legs were found among its bones"


def _found(rest: RestBones) -> Iterator[JointMap]:
    """What the bones themselves say, the likeliest first."""
    yield from by_names(rest)


def _told(rest: RestBones) -> Iterator[JointMap]:
    """What other add-ons stored with the armature."""
    for addon, roles in rest.metadata.items():
        bones = {role: roles[role] for role in ROLES if roles.get(role) in rest.index}
        yield JointMap(bones, dict.fromkeys(bones, TOLD), f"{addon} add-on")


def _filled(joint_map: JointMap, other: Checked | None) -> JointMap:
    """With the roles that only the other map has, but for the spine, which is one chain."""
    if other is None:
        return joint_map
    bones, sure = joint_map.bones, joint_map.confidence
    for role, bone in other.joint_map.bones.items():
        if role not in bones and bone not in bones.values() and role not in SPINE:
            bones, sure = bones | {role: bone}, sure | {role: other.joint_map.confidence[role]}
    return replace(joint_map, bones=bones, confidence=sure)


def _refuse_two(rest: RestBones, joint_map: JointMap) -> None:
    """Raises UserError where the bones that are left make a character at another place."""
    own = {rest.index[bone] for bone in joint_map.bones.values()}
    own |= below(rest, rest.index[joint_map.bones["hips"]])
    others = _without(rest, own)
    if len(others.names) < len(ROLES) / 2:
        return
    second, _ = _best(others)
    if second is None or not _is_another(rest, joint_map, second.joint_map):
        return
    first, other = joint_map.bones["hips"], second.joint_map.bones["hips"]
    raise UserError(
        f"The armature holds two characters: one with the hips '{first}', one with '{other}'. "
        "Separate their bones in Edit Mode (Armature > Separate), then try again."
    )


def _without(rest: RestBones, bones: set[int]) -> RestBones:
    kept = [bone for bone in range(len(rest.names)) if bone not in bones]
    new = {bone: number for number, bone in enumerate(kept)}
    return RestBones(
        names=tuple(rest.names[bone] for bone in kept),
        parents=tuple(new.get(rest.parents[bone], -1) for bone in kept),
        heads=rest.heads[kept],
        tails=rest.tails[kept],
        rotations=rest.rotations[kept],
        deforms=tuple(rest.deforms[bone] for bone in kept),
        scale=rest.scale,
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
    for side in "lr":
        for limb, parts in LIMBS.items():
            lacking = [part for part in parts if f"{side}_{part}" not in joint_map.bones]
            if set(lacking) >= set(parts) - set(OFTEN_ABSENT):
                yield _says(f"{'left' if side == 'l' else 'right'} {limb}", "no bones")
                continue
            for part in lacking:
                if part not in OFTEN_ABSENT:
                    yield _says(spoken(f"{side}_{part}"), "no bone")
    for role, name in (("spine1", "spine"), ("head", "head")):
        if role not in joint_map.bones:
            yield _says(name, "no bone")


def _says(part: str, what: str) -> str:
    return f"{part.capitalize()}: {what} found, it is not animated. Set it by hand if there is one."
