"""How a rig's rest pose differs from the skeleton's T-pose, part by part. No bpy.

Limbs point where the skeleton's point, whatever pose they rest in (T, A, bent). Trunk, neck,
collars and feet turn as much as the skeleton's: how they rest is the character's anatomy.
"""

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from ..contract.skeleton import REST_JOINTS
from .border import to_blender
from .roles import JOINT_OF
from .target import Target

Array = NDArray[np.floating]

REST = to_blender(REST_JOINTS)
"""(22, 3) the skeleton's T-pose in body axes."""

FORWARD = np.array([0.0, -1.0, 0.0])
LIMBS = (
    ("upperarm", "forearm", "hand", FORWARD),
    ("thigh", "shin", "foot", -FORWARD),
)
"""Parts from the trunk on, and where the limb's end goes when it bends."""

# A rest pose that is bent shows its hinge; what bends sideways (drooping forearms) is no hinge.
SLIGHT, BENT = np.sin(np.radians([10.0, 25.0]))
SIDEWAYS, ALIGNED = np.cos(np.radians([60.0, 35.0]))


def rest_turns(target: Target) -> dict[str, Array]:
    """Role -> (4,) the turn M from the T-pose to the rig's rest, for the parts where it counts.

    A segment turned by D away from the T-pose is the bone turned by D M^-1 away from its rest.
    """
    turns: dict[str, Array] = {}
    for side in "lr":
        for upper, lower, end, bends_to in LIMBS:
            roles = f"{side}_{upper}", f"{side}_{lower}", f"{side}_{end}"
            if all(role in target.roles for role in roles[:2]):
                turns |= _limb(target, roles, bends_to)
    return turns


def _limb(target: Target, roles: tuple[str, str, str], bends_to: Array) -> dict[str, Array]:
    heads = [target.heads[target.roles[role]] for role in roles if role in target.roles]
    upper = rotation.normalized(heads[1] - heads[0])
    lower = rotation.normalized(heads[2] - heads[1]) if len(heads) > 2 else upper
    straight = _segment(roles[0], roles[1])
    hinge = np.cross(straight, bends_to)
    carried = rotation.rotate(rotation.between(straight, upper), hinge)
    bent = _hinge(upper, lower, carried)
    turns = {
        role: rotation.from_matrix(frame(along, bent) @ frame(straight, hinge).T)
        for role, along in ((roles[0], upper), (roles[1], lower))
    }
    if roles[2] in target.roles and roles[2].endswith("hand"):
        turns[roles[2]] = turns[roles[1]]  # hands stay on their forearms
    return turns


def _hinge(upper: Array, lower: Array, carried: Array) -> Array:
    """What the rest pose shows as far as it can be believed, else what the T-pose has there."""
    seen = np.cross(upper, lower)
    size = np.linalg.norm(seen)
    seen = rotation.normalized(seen)
    trust = _rising(size, SLIGHT, BENT) * _rising(np.dot(seen, carried), SIDEWAYS, ALIGNED)
    return rotation.normalized(carried + trust * (seen - carried))


def _rising(value: float, low: float, high: float) -> float:
    share = np.clip((value - low) / (high - low), 0.0, 1.0)
    return float(share * share * (3.0 - 2.0 * share))


def _segment(role: str, next_role: str) -> Array:
    return rotation.normalized(REST[JOINT_OF[next_role]] - REST[JOINT_OF[role]])


def frame(along: Array, hinge: Array) -> Array:
    """Right-handed (3, 3): the segment, the hinge made square to it, their product."""
    square = rotation.normalized(hinge - np.dot(hinge, along) * along)
    return np.stack([along, square, np.cross(along, square)], axis=-1)
