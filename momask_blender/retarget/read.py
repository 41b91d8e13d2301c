"""The way back: how a rig's bones stand -> a pose of the skeleton. No bpy."""

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from ..contract.pose import Pose
from ..contract.skeleton import JOINTS, PARENTS
from .proportions import MIDDLE_OF_HIPS, floor_of, middle_of_hips, size_of
from .rest_turns import REST, rest_turns
from .roles import JOINT_OF, ROLES
from .solve import (
    CHORD,
    CHORD_STEPS,
    PELVIS,
    SPINE,
    chord,
    neck_at_rest,
    spine_places,
)
from .target import BoneMotion, Target, bone_heads

Array = NDArray[np.floating]


def read_pose(target: Target, motion: BoneMotion, ground: float = 0.0) -> Pose:
    """The pose (Blender axes, at the rate of the motion) that `solve_motion` would put there.

    Its joints lie on the skeleton by construction, whatever the rig's proportions. What the rig
    does not have stands as what it hangs from.
    """
    rotations = np.empty((len(motion.turns), len(JOINTS), 4))
    read = _by_role(target, motion) | _spine(target, motion)
    for joint, parent in enumerate(PARENTS):
        rotations[:, joint] = read[joint] if joint in read else rotations[:, parent]
    middle = middle_of_hips(bone_heads(target, motion), target)
    middle = (middle - (0.0, 0.0, floor_of(target) + ground)) / size_of(target)
    offset = rotation.rotate(rotations[:, PELVIS], MIDDLE_OF_HIPS - REST[PELVIS])
    return Pose(middle - offset, rotation.continuous(rotations))


def _by_role(target: Target, motion: BoneMotion) -> dict[int, Array]:
    """Joint -> (T, 4). The last neck bone is the skeleton's one neck."""
    at_rest = rest_turns(target)
    bones = {role: target.roles[role] for role in ROLES if role in target.roles}
    if target.necks:
        bones["neck"] = target.necks[-1]
    elif "head" in bones:
        bones["neck"] = bones["head"]
    return {
        JOINT_OF[role]: rotation.multiply(
            motion.turns[:, bone], at_rest.get(role, rotation.IDENTITY)
        )
        for role, bone in bones.items()
    }


def _spine(target: Target, motion: BoneMotion) -> dict[int, Array]:
    """The three segments, from however many bones."""
    if not target.spine:
        pelvis = motion.turns[:, target.roles["hips"]]
        return dict.fromkeys(SPINE, pelvis)
    if len(target.spine) > 2:
        return _pinned(target, motion)
    chest = motion.turns[:, target.spine[-1]]
    top = neck_at_rest(target)
    low, joint = target.heads[target.spine[0]], target.heads[target.spine[-1]]
    below = motion.turns[:, target.spine[0]]
    now = rotation.rotate(below, joint - low) + rotation.rotate(chest, top - joint)
    pelvis = motion.turns[:, target.roles["hips"]]
    half = rotation.slerp(pelvis, chest, 0.5)
    wanted = rotation.rotate(_swung(half, top - low, now), CHORD)
    for _ in range(CHORD_STEPS):  # the turn that solving begins with is that of our own chord
        seen = rotation.rotate(_swung(half, CHORD, wanted), top - low)
        wanted = rotation.rotate(rotation.between(seen, now), wanted)
    return _along_chord(pelvis, chest, wanted)


def _swung(turn: Array, along: Array, wanted: Array) -> Array:
    """`turn` (T, 4), swung the shortest way so that `along` (3,) points as wanted (T, 3)."""
    return rotation.multiply(rotation.between(rotation.rotate(turn, along), wanted), turn)


def _pinned(target: Target, motion: BoneMotion) -> dict[int, Array]:
    """Segments at 0, 1, 2 from bones at their places on that scale."""
    places = spine_places(target)
    found: dict[int, Array] = {}
    for place, joint in enumerate(SPINE):
        high = min(int(np.searchsorted(places, place)), len(places) - 1)
        low = max(high - 1, 0) if places[high] > place else high
        span = places[high] - places[low]
        share = (place - places[low]) / span if span > 0.0 else 0.0
        first, second = (motion.turns[:, target.spine[each]] for each in (low, high))
        found[joint] = rotation.slerp(first, second, share)
    return found


def _along_chord(pelvis: Array, chest: Array, wanted: Array) -> dict[int, Array]:
    """Lower segments between pelvis and chest, swung so that the neck lies in that direction."""
    segments = {SPINE[0]: 1 / 3, SPINE[1]: 2 / 3}
    rotations = np.broadcast_to(chest[:, None], (len(chest), len(JOINTS), 4)).copy()
    for joint, share in segments.items():
        rotations[:, joint] = rotation.slerp(pelvis, chest, share)
    for _ in range(CHORD_STEPS):
        swing = rotation.between(chord(rotations), wanted)
        for joint in segments:
            rotations[:, joint] = rotation.multiply(swing, rotations[:, joint])
    return {joint: rotations[:, joint] for joint in SPINE}
