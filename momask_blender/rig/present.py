"""How the bones that no motion drives stand now."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from bpy.types import Object, PoseBone
from numpy.typing import NDArray

from ..contract import rotation
from ..retarget.target import Target

Array = NDArray[np.floating]


def with_present_anchor(armature: Object, target: Target) -> Target:
    """The same target, its uppermost bone hanging from the bones above as these stand now."""
    top = target.root if target.root >= 0 else target.carrier
    while target.parents[top] >= 0:
        top = target.parents[top]
    above = armature.pose.bones[target.bones[top]].parent
    if above is None:
        return target
    change = np.array(above.matrix @ above.bone.matrix_local.inverted())
    axes = change[:3, :3] / np.linalg.norm(change[:3, :3], axis=0)
    to_body = rotation.inverse(target.to_rig)
    in_rig = rotation.multiply(rotation.from_matrix(axes), target.to_rig)
    turn = rotation.multiply(to_body, in_rig)
    shift = rotation.rotate(to_body, change[:3, 3] * target.scale)
    return replace(target, anchor=(turn, shift))


def bones_between(armature: Object, target: Target) -> Iterator[PoseBone]:
    """Undriven bones with driven ones above and below: what they are turned by would add up."""
    driven = set(target.bones)
    seen: set[str] = set()
    for name in target.bones:
        waiting: list[PoseBone] = []
        bone = armature.pose.bones[name].parent
        while bone is not None and bone.name not in driven:
            waiting.append(bone)
            bone = bone.parent
        for between in waiting if bone is not None else ():
            if between.name not in seen:
                seen.add(between.name)
                yield between
