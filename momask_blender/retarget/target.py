"""The bones that a motion drives, as arrays: all that solving needs to know of a rig. No bpy.

Body axes: +Z up, the rest pose faces -Y, its left is +X; metres. Turns are those of a bone in body
axes away from its rest, so at rest every turn is the identity, whatever the bone's own axes are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Target:
    """The driven bones at rest, parents before children.

    `parents` says which driven bone each one follows rigidly. In a plain skeleton that is the
    nearest driven ancestor, in a control rig what probing found.
    """

    bones: tuple[str, ...]
    parents: tuple[int, ...]  # -1: follows the anchor
    heads: Array  # (B, 3)
    axes: Array  # (B, 4) the bone's own axes -> body axes
    roles: dict[str, int]  # role -> driven bone
    spine: tuple[int, ...]  # from the lowest to the chest
    necks: tuple[int, ...]  # one or two, lowest first; empty if the rig has none
    carrier: int  # the bone whose location is keyed: the hips, or a control that carries them
    to_rig: Array  # (4,) body axes -> rig space
    scale: float = 1.0  # metres per unit of the armature
    turns_with_parent: tuple[bool, ...] = ()  # empty: all do; False: Inherit Rotation is off
    root: int = -1  # the bone that takes the travel in root-bone mode, above the hips
    anchor: tuple[Array, Array] = (rotation.IDENTITY, np.zeros(3))
    """Turn (4,) and shift (3,) of what bones without a driven parent follow: identity at rest, else
    as the bones above stand now: x -> rotate(turn, x) + shift."""
    location_axes: Array | None = None
    """(4,) axes along which the carrier is moved, None: its own (`use_local_location` is on)."""


@dataclass(frozen=True, eq=False)
class BoneMotion:
    """A motion of the driven bones, in body axes."""

    turns: Array  # (T, B, 4)
    location: Array  # (T, 3) head of the carrier
    root: Array | None = None  # (T, 3) head of the root bone, where that is driven


def bone_heads(target: Target, motion: BoneMotion) -> Array:
    """Forward kinematics over the driven bones. -> (T, B, 3)."""
    turn, shift = target.anchor
    heads = np.empty((*motion.turns.shape[:2], 3))
    for bone, parent in enumerate(target.parents):
        if bone == target.carrier:
            heads[:, bone] = motion.location
        elif bone == target.root and motion.root is not None:
            heads[:, bone] = motion.root
        elif parent < 0:
            heads[:, bone] = rotation.rotate(turn, target.heads[bone]) + shift
        else:
            offset = target.heads[bone] - target.heads[parent]
            heads[:, bone] = heads[:, parent] + rotation.rotate(motion.turns[:, parent], offset)
    return heads
