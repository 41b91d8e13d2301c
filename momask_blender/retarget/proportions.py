"""How large a rig is next to the skeleton, where its hips and its floor are. No bpy."""

import numpy as np
from numpy.typing import NDArray

from .rest_turns import REST
from .roles import JOINT_OF
from .target import Target

Array = NDArray[np.floating]

MIDDLE_OF_HIPS = REST[[JOINT_OF["l_thigh"], JOINT_OF["r_thigh"]]].mean(axis=0)


def middle_of_hips(heads: Array, target: Target) -> Array:
    """heads (..., B, 3) -> (..., 3): between the thighs, for the hips' own place means nothing."""
    thighs = [target.roles[role] for role in ("l_thigh", "r_thigh") if role in target.roles]
    if len(thighs) < 2:
        return heads[..., target.roles["hips"], :]
    return heads[..., thighs, :].mean(axis=-2)


def size_of(target: Target) -> float:
    """How much larger than the skeleton: the ratio of leg lengths, down to the ball of the foot.

    A rig without whole legs is measured by the height of its hips or, failing that, as it is.
    """
    theirs, ours = [], []
    for side in "lr":
        roles = [f"{side}_{part}" for part in ("thigh", "shin", "foot")]
        if all(role in target.roles for role in roles):
            if f"{side}_toe" in target.roles:
                roles.append(f"{side}_toe")
            theirs.append(_leg(target.heads, [target.roles[role] for role in roles]))
            ours.append(_leg(REST, [JOINT_OF[role] for role in roles]))
    if not theirs or min(theirs) <= 0.0:
        height = float(middle_of_hips(target.heads, target)[2])
        return height / float(MIDDLE_OF_HIPS[2]) if height > 0.0 else 1.0
    return float(np.mean(theirs) / np.mean(ours))


def _leg(joints: Array, chain: list[int]) -> float:
    """Thigh and shin, and how far the ball lies below the ankle. Metres."""
    lengths = np.linalg.norm(np.diff(joints[chain[:3]], axis=0), axis=-1).sum()
    drop = joints[chain[2], 2] - joints[chain[3], 2] if len(chain) > 3 else 0.0
    return float(lengths + max(drop, 0.0))


def floor_of(target: Target) -> float:
    """Height (metres) at which the balls of the feet rest; without toes where they would be."""
    size, heights = size_of(target), []
    for side in "lr":
        if f"{side}_toe" in target.roles:
            heights.append(target.heads[target.roles[f"{side}_toe"], 2])
        elif f"{side}_foot" in target.roles:
            drop = REST[JOINT_OF[f"{side}_foot"], 2] - REST[JOINT_OF[f"{side}_toe"], 2]
            heights.append(target.heads[target.roles[f"{side}_foot"], 2] - size * drop)
    return float(np.mean(heights)) if heights else 0.0
