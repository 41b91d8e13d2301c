"""A pose on a rig's bones: what each one turns, and where the hips are carried. No bpy."""

import itertools

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from ..contract.pose import Pose
from .proportions import MIDDLE_OF_HIPS, floor_of, middle_of_hips, size_of
from .rest_turns import REST, rest_turns
from .roles import JOINT_OF
from .target import BoneMotion, Target, bone_heads

Array = NDArray[np.floating]

CHORD_STEPS = 16  # of a fixed point; on leaning trunks each gains half a digit
SPINE = [JOINT_OF[role] for role in ("spine1", "spine2", "spine3")]
PELVIS, NECK = JOINT_OF["hips"], JOINT_OF["neck"]


def solve_motion(pose: Pose, target: Target, ground: float = 0.0) -> BoneMotion:
    """The pose (Blender axes, at the rate of the keys) on a rig, where the model put it.

    Every limb points as the pose's; the middle of the hips goes where theirs does, as much larger
    as the legs are longer, above a floor `ground` metres above that of the rest pose.
    """
    turns = solve_turns(pose, target)
    still = BoneMotion(turns, np.zeros((len(turns), 3)))
    now = middle_of_hips(bone_heads(target, still), target)
    return BoneMotion(turns, _hips_of(pose, target, ground) - now)


def _hips_of(pose: Pose, target: Target, ground: float) -> Array:
    """(T, 3) where the middle of the rig's hips belongs."""
    offset = rotation.rotate(pose.rotations[:, PELVIS], MIDDLE_OF_HIPS - REST[PELVIS])
    return size_of(target) * (pose.root + offset) + (0.0, 0.0, floor_of(target) + ground)


def solve_turns(pose: Pose, target: Target) -> Array:
    """(T, B, 4) in body axes, without sign flips."""
    solved = _by_role(pose, target) | _spine(pose, target) | _necks(pose, target)
    turns = np.empty((len(pose.root), len(target.bones), 4))
    for bone, parent in enumerate(target.parents):
        if bone in solved:
            turns[:, bone] = solved[bone]
        elif bone == target.root:
            turns[:, bone] = rotation.IDENTITY
        elif _carries_hips(target, bone):
            turns[:, bone] = pose.rotations[:, PELVIS]
        else:
            turns[:, bone] = turns[:, parent] if parent >= 0 else target.anchor[0]
    return rotation.continuous(turns)


def _by_role(pose: Pose, target: Target) -> dict[int, Array]:
    """Bone -> (T, 4): as its segment, seen from the rest pose that it has."""
    at_rest = rest_turns(target)
    return {
        bone: rotation.multiply(
            pose.rotations[:, JOINT_OF[role]],
            rotation.inverse(at_rest.get(role, rotation.IDENTITY)),
        )
        for role, bone in target.roles.items()
    }


def _carries_hips(target: Target, bone: int) -> bool:
    hips = target.roles["hips"]
    while hips >= 0 and hips != bone:
        hips = target.parents[hips]
    return bone in (hips, target.carrier)


# -- trunk


def _spine(pose: Pose, target: Target) -> dict[int, Array]:
    """A spine of any number of bones that bends as the pose's three segments do.

    Three and more are pinned where they have roles. Fewer cannot bend alike: the chest turns as the
    pose's, and below it the neck is kept in the direction from the hips.
    """
    if len(target.spine) == 0:
        return {}
    if len(target.spine) > 2:
        return {
            bone: _spine_at(pose, place)
            for bone, place in zip(target.spine, spine_places(target), strict=True)
        }
    top = neck_at_rest(target)
    low, chest = target.heads[target.spine[0]], target.heads[target.spine[-1]]
    wanted = rotation.rotate(chord_turn(pose.rotations), top - low)
    turn = pose.rotations[:, SPINE[2]]
    if len(target.spine) == 1:
        swing = rotation.between(rotation.rotate(turn, top - low), wanted)
        return {target.spine[0]: rotation.multiply(swing, turn)}
    below = chord_turn(pose.rotations)
    for _ in range(CHORD_STEPS):
        now = rotation.rotate(below, chest - low) + rotation.rotate(turn, top - chest)
        below = rotation.multiply(rotation.between(now, wanted), below)
    return {target.spine[0]: below, target.spine[1]: turn}


def spine_places(target: Target) -> Array:
    """(S,) from 0, the pose's lowest segment of the spine, to 2, its chest."""
    pinned = {
        target.spine.index(target.roles[role]): place
        for place, role in enumerate(("spine1", "spine2", "spine3"))
        if target.roles.get(role) in target.spine
    }
    return np.interp(range(len(target.spine)), list(pinned), list(pinned.values()))


def _spine_at(pose: Pose, place: float) -> Array:
    low = min(int(place), 1)
    first, second = (pose.rotations[:, joint] for joint in SPINE[low : low + 2])
    return rotation.slerp(first, second, place - low)


def neck_at_rest(target: Target) -> Array:
    """(3,) the upper end of the spine: where the neck begins, or what else hangs from the chest."""
    for roles in (("neck",), ("l_collar", "r_collar"), ("l_upperarm", "r_upperarm"), ("head",)):
        found = [target.heads[target.roles[role]] for role in roles if role in target.roles]
        if len(found) == len(roles):
            return np.mean(found, axis=0)
    return target.heads[target.spine[-1]] + (0.0, 0.0, 0.1)


CHORD = REST[NECK] - REST[SPINE[0]]


def chord(rotations: Array) -> Array:
    """(T, 22, 4) -> (T, 3) from the lowest joint of the skeleton's spine to its neck."""
    joints = [*SPINE, NECK]
    return sum(
        (
            rotation.rotate(rotations[:, joint], REST[above] - REST[joint])
            for joint, above in itertools.pairwise(joints)
        ),
        np.zeros(3),
    )


def chord_turn(rotations: Array) -> Array:
    """(T, 4) the trunk's turn as one piece: half way between pelvis and chest, and along it."""
    half = rotation.slerp(rotations[:, PELVIS], rotations[:, SPINE[2]], 0.5)
    return rotation.multiply(rotation.between(rotation.rotate(half, CHORD), chord(rotations)), half)


def _necks(pose: Pose, target: Target) -> dict[int, Array]:
    """Two bones share what the pose's neck turns against the chest."""
    if len(target.necks) < 2:
        return {}
    chest, neck = pose.rotations[:, SPINE[2]], pose.rotations[:, NECK]
    return {target.necks[0]: rotation.slerp(chest, neck, 0.5), target.necks[1]: neck}
