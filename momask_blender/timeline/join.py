"""What was made for a gap, on the rig, joined to what is kept around it. No bpy."""

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from ..contract.pose import Pose
from ..contract.resample import catmull_rom
from ..contract.seams import FADE_SECONDS, join_positions, join_rotations
from ..retarget.channels import basis_rotations, turns_from_basis
from ..retarget.contacts import track_pose
from ..retarget.feet import planting
from ..retarget.gap_contacts import contacts_in_gap
from ..retarget.solve import solve_motion
from ..retarget.target import BoneMotion, Target

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Stretch:
    """A gap and the kept frames around it, one row per frame of the scene."""

    times: Array  # (T,) of the rows, in frames of the pose (20 fps)
    gap: tuple[int, int]  # its first row and the one after its last
    fps: float  # of the rows

    @property
    def is_kept(self) -> NDArray[np.bool_]:
        kept = np.ones(len(self.times), bool)
        kept[slice(*self.gap)] = False
        return kept


def pose_at(pose: Pose, times: Array) -> Pose:
    """The pose at parts of its frames, as in `resample_pose`."""
    times = np.clip(times, 0.0, len(pose.root) - 1)
    rotations = catmull_rom(rotation.continuous(pose.rotations), times)
    return Pose(catmull_rom(pose.root, times), rotation.normalized(rotations))


def joined(
    target: Target, pose: Pose, made: Pose, shown: BoneMotion, stretch: Stretch, feet: str
) -> Generator[None, None, BoneMotion]:
    """The pose (Blender axes, 20 fps) in the gap of a stretch, `shown` (T rows) outside it.

    In short steps. Feet stand where they do in `made`, the pose before it was moved to the kept
    frames. `shown` inside the gap counts for the root bone only, which stays as it is.
    """
    at_rows, made_at_rows = (pose_at(each, stretch.times) for each in (pose, made))
    motion = solve_motion(at_rows, target)
    yield
    if target.root >= 0:
        motion = _on_root(target, motion, shown)
    motion = _between_kept(target, motion, shown, stretch)
    yield
    if feet == "OFF":
        return motion
    tracks, is_strict = (track_pose(at_rows), track_pose(made_at_rows)), feet == "STRICT"
    contacts = contacts_in_gap(*tracks, stretch.is_kept, stretch.fps, is_strict)
    yield
    return (yield from planting(target, motion, contacts, stretch.fps, is_strict))


def _between_kept(
    target: Target, made: BoneMotion, shown: BoneMotion, stretch: Stretch
) -> BoneMotion:
    """`made` in the gap, `shown` around it, and between them what they differ by, bone by bone."""
    basis, kept = (basis_rotations(target, each.turns) for each in (made, shown))
    is_kept, fade = stretch.is_kept, FADE_SECONDS * stretch.fps
    basis = join_rotations(basis, kept, is_kept, fade, carry=True)
    location = join_positions(made.location, shown.location, is_kept, fade, carry=True)
    return BoneMotion(turns_from_basis(target, basis), location, made.root)


def _on_root(target: Target, made: BoneMotion, shown: BoneMotion) -> BoneMotion:
    turns = made.turns.copy()
    turns[:, target.root] = shown.turns[:, target.root]
    return replace(made, turns=turns, root=shown.root)
