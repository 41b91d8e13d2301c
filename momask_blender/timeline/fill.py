"""Gaps of an animation: what is read for them, and what is written into them."""

import itertools
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
from bpy.types import Object
from numpy.typing import NDArray

from ..contract.pose import Pose
from ..contract.skeleton import FPS
from ..fitting import Rig, read_rig
from ..refs import Ref
from ..retarget.border import pose_to_blender
from ..retarget.channels import BoneKeys, bone_keys
from ..retarget.contacts import runs_of
from ..retarget.fit import Fit
from ..retarget.target import BoneMotion
from ..rig.checks import note_on_ridden
from ..rig.joint_map import JointMap
from .join import Stretch, joined
from .layers import Destination, destination_of
from .ranges import Frames
from .shown import Shown, read_shown
from .splice import Gap

CONTEXT = 3.0  # seconds on each side that the model sees
BESIDE = 0.4  # seconds on each side that joining and planted feet look at


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the animator asked for."""

    gaps: tuple[Frames, ...]  # to be made, from the first on
    whole: Frames  # of the animation: what is in no gap is kept
    fps: float
    fit: Fit = field(default_factory=Fit)
    parts: frozenset[str] = frozenset()  # roles that are keyed; empty: all


@dataclass(frozen=True, eq=False)
class Filling:
    """All that has to be known to fill the gaps, once what comes between has been made."""

    wish: Wish
    rig: Rig
    shown: Shown
    gaps: list[Gap]
    window: Frames  # what was read
    destination: Destination

    @property
    def step(self) -> float:
        """Frames of the scene from one frame of the model to the next."""
        return self.wish.fps / FPS

    def kept_moments(self) -> list[tuple[int, int]]:
        """Runs of the pose's frames that are kept, both ends included."""
        number = len(self.shown.pose.root)
        return _kept_runs(self.window.first + self.step * np.arange(number), self.gaps)

    def gap_names(self) -> tuple[str, ...]:
        """The scene's frames in each run of the pose's frames that are not kept."""
        runs = self.kept_moments()
        borders = [(-1, runs[0][0]), *((a[1], b[0]) for a, b in itertools.pairwise(runs))]
        borders.append((runs[-1][1], len(self.shown.pose.root)))
        names = []
        for before, after in borders:
            if after - before > 1:
                low, high = (self.window.first + self.step * row for row in (before, after))
                within = [
                    g.frames for g in self.gaps if low < g.frames.last and g.frames.first < high
                ]
                names.append(", ".join(f"frames {frames}" for frames in within))
        return tuple(names)


def _kept_runs(frames: NDArray[np.floating], gaps: Sequence[Gap]) -> list[tuple[int, int]]:
    """Runs of rows of `frames` that lie in no gap, both ends included."""
    kept = np.ones(len(frames), bool)
    for gap in gaps:
        after = frames >= gap.frames.last + 1 - 1e-6
        kept &= (frames <= gap.frames.first - 1 + 1e-6) | after
    return [(first, end - 1) for first, end in runs_of(kept)]


def read_filling(
    armature: Object, joint_map: JointMap, wish: Wish
) -> Generator[None, None, Filling]:
    """Look at the rig and at what it shows around the gaps, in short steps. Raises UserError."""
    held, fps, whole, gaps = Ref.of(armature), wish.fps, wish.whole, wish.gaps
    fit = replace(wish.fit, travel="WORLD", ik_feet=False, relaxed_hands=False)
    rig = yield from read_rig(armature, joint_map, fit, with_root=True)
    destination = destination_of(held.resolve(), rig, whole)
    beside = round(CONTEXT * fps)
    step = fps / FPS
    last = min(whole.last, gaps[-1].last + beside)
    if whole.last > gaps[-1].last:  # one moment of the model's lies after the gap, say of one key
        last = max(last, ceil(gaps[-1].last + 1 + step))
    window = Frames(max(whole.first, gaps[0].first - beside), last)
    moments = window.first + step * np.arange(int((window.last - window.first) / step + 1e-6) + 1)
    edged = [Gap(each, each.first > whole.first, each.last < whole.last) for each in gaps]
    frames = sorted({f for gap in edged for f in _stretch_frames(gap, window, edged, fps)})
    kept = _kept_runs(moments, edged)
    shown = yield from read_shown(held.resolve(), rig, moments.tolist(), frames, kept)
    if shown.travel.is_ridden:
        rig = replace(rig, warnings=(*rig.warnings, note_on_ridden(held.resolve())))
    return Filling(wish, rig, shown, edged, window, destination)


def _stretch_frames(gap: Gap, window: Frames, gaps: Sequence[Gap], fps: float) -> range:
    """The frames of a gap and of what is kept on both sides, up to its neighbours."""
    beside = max(2, round(BESIDE * fps))
    low = max((g.frames.last for g in gaps if g.frames.last < gap.frames.first), default=None)
    high = min((g.frames.first for g in gaps if g.frames.first > gap.frames.last), default=None)
    first = max(window.first, gap.frames.first - beside, -(10**9) if low is None else low + 1)
    last = min(window.last, gap.frames.last + beside, 10**9 if high is None else high - 1)
    return range(first, last + 1)


def made_keys(
    filling: Filling, pose: Pose, made: Pose
) -> Generator[None, None, list[tuple[Gap, list[BoneKeys]]]]:
    """For each gap the keys of every bone, from the frame before it to the one after it.

    `pose` (20 fps, model axes) is the whole window with its gaps filled, `made` the same before it
    was moved: there feet that stand stand still.
    """
    filled, in_own_place = pose_to_blender(pose), pose_to_blender(made)
    found = []
    for gap in filling.gaps:
        frames = _stretch_frames(gap, filling.window, filling.gaps, filling.wish.fps)
        first = gap.frames.first - frames[0]
        rows = (first, first + len(gap.frames))
        times = (np.array(frames) - filling.window.first) / filling.step
        stretch = Stretch(times, rows, filling.wish.fps)
        shown, feet = filling.shown.at(frames), filling.rig.fit.feet
        motion = yield from joined(filling.rig.target, filled, in_own_place, shown, stretch, feet)
        yield
        inside = filling.shown.travel_at(frames).into_object(motion)
        found.append((gap, _keys(filling, inside, rows)))
        yield
    return found


def _keys(filling: Filling, motion: BoneMotion, rows: tuple[int, int]) -> list[BoneKeys]:
    """Of the rows of a gap and one more on each side, at an open side the nearest again."""
    target = filling.rig.target
    beside = np.clip(np.arange(rows[0] - 1, rows[1] + 1), 0, len(motion.turns) - 1)
    controls = filling.rig.controls
    unkeyed = controls.unkeyed if controls else frozenset()
    root = target.bones[target.root] if target.root >= 0 else ""
    return [
        BoneKeys(
            each.bone,
            None if each.rotations is None else each.rotations[beside],
            None if each.location is None else each.location[beside],
        )
        for each in bone_keys(target, motion)
        if each.bone not in unkeyed and each.bone != root and _is_wanted(filling, each.bone)
    ]


def _is_wanted(filling: Filling, bone: str) -> bool:
    """A bone without a role goes with the hips or with the roles around it."""
    if not filling.wish.parts:
        return True
    target = filling.rig.target
    row = target.bones.index(bone)
    roles = {role for role, other in target.roles.items() if other == row}
    if not roles and row in target.spine:
        roles = {"spine2"}
    if not roles and row in target.necks:
        roles = {"neck"}
    return bool((roles or {"hips"}) & filling.wish.parts)
