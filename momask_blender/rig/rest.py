"""Read an armature's rest pose."""

import numpy as np
from bpy.types import Object

from ..contract import rotation
from .metadata import read_metadata
from .rest_bones import RestBones


def read_rest(armature: Object) -> RestBones:
    """All bones of an armature object. Works in any mode; Edit Mode's changes are not in it yet."""
    bones = list(armature.data.bones)  # Blender lists parents before their children
    number = {bone.name: index for index, bone in enumerate(bones)}
    matrices = np.array([bone.matrix_local for bone in bones]).reshape(-1, 4, 4)
    scale = world_scale(armature)
    tails = np.array([bone.tail_local for bone in bones]).reshape(-1, 3)
    return RestBones(
        names=tuple(number),
        parents=tuple(number[bone.parent.name] if bone.parent else -1 for bone in bones),
        heads=matrices[:, :3, 3] * scale,
        tails=tails * scale,
        rotations=rotation.from_matrix(matrices[:, :3, :3]),
        deforms=tuple(bone.use_deform for bone in bones),
        scale=scale,
        inherits_rotation=tuple(bone.use_inherit_rotation for bone in bones),
        local_location=tuple(bone.use_local_location for bone in bones),
        connected=tuple(bone.use_connect and bone.parent is not None for bone in bones),
        metadata=read_metadata(armature.data),
    )


def world_scale(armature: Object) -> float:
    """Metres per unit of the armature: the mean over its axes."""
    return float(np.mean(np.abs(armature.matrix_world.to_scale())))
