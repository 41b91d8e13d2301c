"""What a rig shows around its gaps, as the motion of what would be keyed."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from bpy.types import Object

from ..contract.pose import Pose
from ..fitting import Rig
from ..retarget.read import read_pose
from ..retarget.target import BoneMotion
from ..rig.sample import motion_of, sample_bones

LIMBS = ("thigh", "shin", "foot", "toe", "upperarm", "forearm", "hand")


@dataclass(frozen=True, eq=False)
class Shown:
    """`pose` (Blender axes) at even moments, `keyed` at whole frames: their rows by `row_of`."""

    pose: Pose
    keyed: BoneMotion
    row_of: dict[int, int]

    def at(self, frames: Sequence[int]) -> BoneMotion:
        rows = [self.row_of[frame] for frame in frames]
        root = None if self.keyed.root is None else self.keyed.root[rows]
        return BoneMotion(self.keyed.turns[rows], self.keyed.location[rows], root)


def read_shown(
    armature: Object, rig: Rig, moments: Sequence[float], frames: Sequence[int]
) -> Generator[None, None, Shown]:
    """The pose at `moments` (frames of the scene, 1/20 s apart) and the keyed bones at `frames`.

    Every frame is evaluated once.
    """
    times = sorted({*map(float, frames), *moments})
    names = list(dict.fromkeys([*rig.plain.bones, *rig.target.bones]))
    matrices = yield from sample_bones(armature, names, times)
    index, column = {time: n for n, time in enumerate(times)}, {n: k for k, n in enumerate(names)}
    plain = matrices[:, [column[name] for name in rig.plain.bones]]
    yield
    at_moments = plain[[index[moment] for moment in moments]]
    pose = read_pose(rig.plain, motion_of(at_moments, rig.plain))
    yield
    rows = [index[float(frame)] for frame in frames]
    keyed = motion_of(matrices[rows][:, [column[name] for name in rig.target.bones]], rig.target)
    if rig.controls is not None:
        keyed = _with_limbs(rig, keyed, motion_of(plain[rows], rig.plain))
    return Shown(pose, keyed, {frame: row for row, frame in enumerate(frames)})


def _with_limbs(rig: Rig, keyed: BoneMotion, plain: BoneMotion) -> BoneMotion:
    """Limbs may be in IK, where their FK controls stand elsewhere: these are turned as the bones
    that follow them in FK."""
    turns = keyed.turns.copy()
    for role, control in rig.target.roles.items():
        if role.endswith(LIMBS):
            shown = plain.turns[:, rig.plain.roles[role]]
            flip = np.sum(shown * turns[:, control], axis=-1, keepdims=True) < 0.0
            turns[:, control] = np.where(flip, -shown, shown)
    return BoneMotion(turns, keyed.location, keyed.root)
