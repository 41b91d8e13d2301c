"""What a rig shows around its gaps, as the motion of what would be keyed."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from bpy.types import Object

from ..contract.pose import Pose
from ..contract.skeleton import FPS
from ..fitting import Rig
from ..refs import Ref
from ..retarget.object_travel import ObjectTravel, read_travel
from ..retarget.read import read_pose
from ..retarget.target import BoneMotion
from ..rig.checks import check_steady_scale
from ..rig.sample import sample_bones

LIMBS = ("thigh", "shin", "foot", "toe", "upperarm", "forearm", "hand")


@dataclass(frozen=True, eq=False)
class Shown:
    """`pose` (Blender axes) at even moments, `keyed` at whole frames: their rows by `row_of`. Both
    as seen over a floor that stays, wherever the object travels."""

    pose: Pose
    keyed: BoneMotion
    travel: ObjectTravel  # at the rows of `keyed`
    row_of: dict[int, int]

    def at(self, frames: Sequence[int]) -> BoneMotion:
        rows = self._rows(frames)
        root = None if self.keyed.root is None else self.keyed.root[rows]
        return BoneMotion(self.keyed.turns[rows], self.keyed.location[rows], root)

    def travel_at(self, frames: Sequence[int]) -> ObjectTravel:
        return self.travel.at(self._rows(frames))

    def _rows(self, frames: Sequence[int]) -> list[int]:
        return [self.row_of[frame] for frame in frames]


def read_shown(
    armature: Object,
    rig: Rig,
    moments: Sequence[float],
    frames: Sequence[int],
    kept: Sequence[tuple[int, int]],
) -> Generator[None, None, Shown]:
    """The pose at `moments` (frames of the scene, 1/20 s apart) and the keyed bones at `frames`.

    Every frame is evaluated once. `kept` are runs of moments, both ends included. Raises UserError.
    """
    held, times = Ref.of(armature), sorted({*map(float, frames), *moments})
    bones = (*rig.plain.bones, *rig.target.bones)
    sampled = yield from sample_bones(armature, bones, times)
    check_steady_scale(held.resolve(), sampled.worlds, times)
    index = {time: row for row, time in enumerate(times)}
    even, whole = [index[moment] for moment in moments], [index[float(frame)] for frame in frames]
    plain = sampled.motion(rig.plain)
    yield
    runs = [np.array(even[first : last + 1]) for first, last in kept]
    travel = read_travel(rig.plain, sampled.worlds, plain, runs, FPS)
    yield
    pose = read_pose(rig.plain, travel.at(even).onto_floor(sampled.motion(rig.plain, even)))
    yield
    keyed = sampled.motion(rig.target, whole)
    if rig.controls is not None:
        keyed = _with_limbs(rig, keyed, sampled.motion(rig.plain, whole))
    travel = travel.at(whole)
    rows = {frame: row for row, frame in enumerate(frames)}
    return Shown(pose, travel.onto_floor(keyed), travel, rows)


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
