"""`python -m benchmarks.inbetweening MOCAP`: fills against plain interpolation on held-out mocap.

Cuts gaps into the clips of a split and compares what fills them with what was recorded, by the
measures of the LaFAN1 benchmark: L2P on positions normalised over the training clips, L2Q and NPSS
on world rotations, over the frames of the gap. Prints a table for each length of gap.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_runtime.backends import open_networks
from model_runtime.evaluation.measures import skating
from model_runtime.inpainting import inpaint, sampling_for_gaps
from model_runtime.networks import Networks, find_weights
from model_runtime.source_motion import SourceMotion, interpolate_pose
from model_runtime.training.layouts import read_clips
from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose, pose_to_joints, solve_pose, to_local, to_world
from momask_blender.contract.seams import Gap
from momask_blender.contract.skeleton import FPS

Array = NDArray[np.floating]
Fill = Callable[["Case"], Pose]

AROUND = 10  # kept frames on each side of a gap, at least; as in LaFAN1
EVERY = 40  # frames between the gaps of a clip
STILL = 1e-5  # metres per frame; a body at rest has no usual change of speed
UP = (0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Case:
    """One gap in one recorded clip."""

    recorded: Pose
    gap: Gap
    caption: str

    @property
    def source(self) -> SourceMotion:
        is_kept = np.ones(len(self.recorded.root), dtype=bool)
        is_kept[self.gap.frames] = False
        return SourceMotion(self.recorded, pose_to_joints(self.recorded), is_kept)


def cases(folder: Path, split: str, num_frames: int) -> Iterator[Case]:
    for clip in read_clips(folder, split):
        recorded = solve_pose(clip.joints)
        last = len(recorded.root) - num_frames - AROUND
        for start in range(AROUND, last + 1, EVERY):
            yield Case(recorded, Gap(start, start + num_frames), clip.captions[0])


def slerp(case: Case) -> Pose:
    """LaFAN1's interpolation: local rotations by slerp, the root along a line."""
    before, after = case.gap.start - 1, case.gap.stop
    share = (np.arange(case.gap.num_frames) + 1.0)[:, None] / (after - before)
    local, root = to_local(case.recorded.rotations), case.recorded.root
    turned = to_world(rotation.slerp(local[before][None], local[after][None], share))
    return Pose(root[before] + share * (root[after] - root[before]), turned)


def zero_velocity(case: Case) -> Pose:
    held = np.full(case.gap.num_frames, case.gap.start - 1)
    return Pose(case.recorded.root[held], case.recorded.rotations[held])


def interpolation(case: Case) -> Pose:
    """What is made of gaps that are too short for the model."""
    return _inside(case, interpolate_pose(case.recorded, case.source.is_kept))


def filled(networks: Networks, with_caption: bool, seed: int) -> Fill:
    sampling = sampling_for_gaps(networks.card.sampling, with_caption)
    nothing = np.zeros(networks.configs.base.text_size, dtype=np.float32)

    def fill(case: Case) -> Pose:
        text = networks.embed_text([case.caption]).vectors[0] if with_caption else nothing
        return _inside(case, inpaint(networks, text, case.source, [seed], sampling)[0].pose)

    return fill


def _inside(case: Case, pose: Pose) -> Pose:
    return Pose(pose.root[case.gap.frames], pose.rotations[case.gap.frames])


def canonical(joints: Array, pose: Pose, frame: int) -> Array:
    """joints (T, 22, 3) with the body of `frame` over the origin and facing +Z."""
    facing = rotation.rotate(pose.rotations[frame, 0], np.array([0.0, 0.0, 1.0]))
    turn = rotation.about_axis(UP, -np.arctan2(facing[0], facing[2]))
    return rotation.rotate(turn, joints - pose.root[frame] * (1.0, 0.0, 1.0))


def position_spread(folder: Path) -> Array:
    """Standard deviation (22, 3) of canonical positions over windows of the training clips."""
    windows = [
        canonical(pose_to_joints(case.recorded), case.recorded, case.gap.start - 1)[
            case.gap.start - AROUND : case.gap.stop + AROUND
        ]
        for case in cases(folder, "train", 2 * FPS)
    ]
    return np.concatenate(windows).std(axis=0)


def npss(recorded: Array, made: Array) -> float:
    """Normalised power spectrum similarity, less is better. (B, T, C) both. As in LaFAN1, the
    power is that of the real part of the spectrum."""
    powers = [np.square(np.fft.fft(motion, axis=1).real) for motion in (recorded, made)]
    totals = [power.sum(axis=1, keepdims=True) for power in powers]
    shares = [power / np.maximum(total, 1e-12) for power, total in zip(powers, totals, strict=True)]
    distance = np.abs(np.cumsum(shares[0] - shares[1], axis=1)).sum(axis=1)
    return float(np.average(distance, weights=totals[0][:, 0]))


def measured(every: list[Case], fills: list[Pose], spread: Array) -> dict[str, float]:
    """All measures over the gaps; skate with the frames beside them."""
    positions, turns = zip(*(_pair(*each) for each in zip(every, fills, strict=True)), strict=True)
    jumps, around = [], []
    for case, fill in zip(every, fills, strict=True):
        joints = pose_to_joints(case.recorded)
        joints[case.gap.frames] = pose_to_joints(fill)
        jumps += speed_jumps(joints, case.gap)
        around.append(joints[case.gap.start - 1 : case.gap.stop + 1])
    shape = (len(turns), len(turns[0][0]), -1)
    flat = [np.stack(side).reshape(shape) for side in zip(*turns, strict=True)]
    return {
        "L2P": float(np.mean([_distance(a / spread, b / spread) for a, b in positions])),
        "L2Q": float(np.mean([_distance(a, b) for a, b in turns])),
        "NPSS": npss(*flat),
        "skate cm/s": skating(around)[0],
        "median jump": float(np.median(jumps)),
        "jumps over 1.5": float(np.mean(np.array(jumps) > 1.5)),
    }


def _pair(case: Case, fill: Pose) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Recorded and made positions, recorded and made rotations, in the gap."""
    before, recorded = case.gap.start - 1, _inside(case, case.recorded)
    first = case.recorded.rotations[before : before + 1]
    signed = rotation.continuous(np.concatenate([first, fill.rotations]))[1:]
    ours, theirs = (
        canonical(pose_to_joints(each), case.recorded, before) for each in (fill, recorded)
    )
    return (theirs, ours), (recorded.rotations, signed)


def _distance(recorded: Array, made: Array) -> float:
    """Mean over frames of the L2 norm of all that is in a frame."""
    return float(np.sqrt(np.square(recorded - made).sum(axis=(1, 2))).mean())


def speed_jumps(joints: Array, gap: Gap, fps: int = FPS) -> list[float]:
    """Change of joint speed at the four frames of both seams, over its median within a second."""
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1)
    change = np.abs(np.diff(speed, axis=0)).mean(axis=1)  # at frames 1, 2, ...
    seams = (gap.start - 1, gap.start, gap.stop - 1, gap.stop)
    return [
        float(change[frame - 1] / max(STILL, np.median(change[max(0, frame - fps) :][: 2 * fps])))
        for frame in seams
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mocap", type=Path, help="folder with joints, texts and splits")
    parser.add_argument("--split", default="val")
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", default="starter", metavar="NAME|DIR")
    chosen = parser.parse_args()
    networks = open_networks(find_weights(chosen.weights), "cpu")
    ways: dict[str, Fill] = {
        "recorded": lambda case: _inside(case, case.recorded),
        "zero velocity": zero_velocity,
        "SLERP": slerp,
        "interpolation with velocity": interpolation,
        "model, no prompt": filled(networks, with_caption=False, seed=chosen.seed),
        "model, caption": filled(networks, with_caption=True, seed=chosen.seed),
    }
    spread = position_spread(chosen.mocap)
    for seconds in chosen.seconds:
        num_frames = round(seconds * FPS)
        every = list(cases(chosen.mocap, chosen.split, num_frames))
        print(f"\n{seconds:g} s, {len(every)} gaps\n")
        for name, fill in ways.items():
            values = measured(every, [fill(case) for case in every], spread)
            if name == "recorded":
                print(f"| | {' | '.join(values)} |\n{'|---' * (len(values) + 1)}|")
            numbers = " | ".join(f"{value:.3f}" for value in values.values())
            print(f"| {name} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
