"""`PYTHONPATH=tests/addon python -m benchmarks.fill_quality MOCAP RIG`: fills as a rig shows them.

Puts recorded clips of a split onto a character, cuts a gap into the middle of each, has it filled
as the panel does, and measures feet and seams there, next to the recorded motion on the same rig.
Prints a table; `--json FILE` also writes every fill's figures.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bpy
import measures
import numpy as np
from control_rigs import run_to_end
from numpy.typing import NDArray

from model_runtime.motions import MotionMaker, Phases
from model_runtime.training.layouts import Clip, read_clips
from momask_blender.contract import rotation
from momask_blender.contract.pose import solve_pose
from momask_blender.contract.seams import Gap
from momask_blender.contract.skeleton import FPS
from momask_blender.generate import count_keys, play
from momask_blender.own_character import open_character
from momask_blender.refs import Ref
from momask_blender.retarget.fit import Fit
from momask_blender.rig.known_maps import known_maps
from momask_blender.timeline.fill import Wish
from momask_blender.timeline.fills import Fill
from momask_blender.timeline.ranges import Frames

from .inbetweening import speed_jumps

Array = NDArray[np.floating]

AROUND = 1.0  # seconds that are kept on each side of a gap, at least
LOW, RISES = 0.05, 0.2  # metres over the floor, m/s up or down: a toe that touches it
BESIDE, WITHOUT = np.array([-2, -1, 1, 2]), [0, 1, 3, 4]  # frames, and their rows among five
CUBIC = np.array([-1.0, 4.0, 4.0, -1.0]) / 6.0  # what a cubic through these has between them
JUMP = 1.5  # times the usual change of speed


@dataclass(frozen=True)
class Figures:
    """Of one gap on the rig. Lengths as if it were as large as our own character."""

    contact: float  # share of the gap that a toe stands: low and slower than 25 cm/s
    skate: float  # cm/s of toes that stand
    slide: float  # cm/s of the slower of the toes that touch the floor, however fast
    knees: float  # m/s^3, mean third derivative of the knees
    jumps: tuple[float, ...]  # at the four frames of both seams, of the usual change of speed
    step_cm: float  # the furthest that a bone's head leaves its own way at a seam
    turn_degrees: float  # the same for turns
    moved_mm: float  # the furthest that a bone moved at a kept frame


def shown(armature: Any, frames: Frames, fps: float) -> measures.Shown:
    bones = known_maps.map_of(armature).bones
    return measures.watch(bpy, armature, bones, range(frames.first, frames.last + 1), fps)


def figures(motion: measures.Shown, gap: Gap, kept: measures.Shown | None = None) -> Figures:
    """`kept`: the motion before it was filled."""
    size, inside = measures.size_of(motion), slice(gap.start - 1, gap.stop + 1)
    balls = [measures.ball_of(motion, side) for side in "lr"]
    toes = np.stack([ball for ball, _ in balls], axis=1) / size  # (T, 2, 3)
    toes[..., 2] -= np.array([rest for _, rest in balls]) / size
    heads = np.stack(list(motion.heads.values()), axis=1) / size  # (T, B, 3)
    axes = np.stack(list(motion.axes.values()), axis=1)
    stands = measures.contacts(toes, motion.fps)
    knees = np.stack([motion.heads["l_shin"], motion.heads["r_shin"]], axis=1)[inside] / size
    seams = (gap.start - 1, gap.start, gap.stop - 1, gap.stop)
    moved = 0.0
    if kept is not None:
        outside = np.delete(np.arange(len(heads)), np.arange(gap.start, gap.stop))
        before = np.stack(list(kept.heads.values()), axis=1) / size
        moved = 1000.0 * float(np.linalg.norm(heads - before, axis=-1)[outside].max())
    return Figures(
        contact=float(stands[gap.frames].mean()),
        skate=_speed(toes[inside], stands[inside], motion.fps),
        slide=_slowest(toes[inside], _touches(toes, motion.fps)[inside], motion.fps),
        knees=float(motion.fps**3 * np.linalg.norm(np.diff(knees, 3, axis=0), axis=-1).mean()),
        jumps=tuple(speed_jumps(heads, gap, motion.fps)),
        step_cm=100.0 * max(_off_course(heads, frame) for frame in seams),
        turn_degrees=max(_off_turn(axes, frame) for frame in seams),
        moved_mm=moved,
    )


def _touches(toes: Array, fps: float) -> NDArray[np.bool_]:
    """(T, 2) low, and going neither up nor down."""
    rise = np.abs(np.gradient(toes[..., 2], 1.0 / fps, axis=0))
    return (toes[..., 2] < LOW) & (rise < RISES)


def _speed(toes: Array, flags: NDArray[np.bool_], fps: float) -> float:
    """cm/s over the floor, mean of the steps between two flagged frames."""
    speed = 100.0 * fps * np.linalg.norm(np.diff(toes[..., :2], axis=0), axis=-1)
    both = flags[1:] & flags[:-1]
    return float(speed[both].mean()) if both.any() else 0.0


def _slowest(toes: Array, flags: NDArray[np.bool_], fps: float) -> float:
    """cm/s over the floor, of the slower toe that touches it: somebody stands on something."""
    speed = 100.0 * fps * np.linalg.norm(np.diff(toes[..., :2], axis=0), axis=-1)
    speed = np.where(flags[1:] & flags[:-1], speed, np.inf).min(axis=1)
    return float(speed[np.isfinite(speed)].mean()) if np.isfinite(speed).any() else 0.0


def _off_course(heads: Array, frame: int) -> float:
    """How far a frame is from the cubic through the two on either side, the furthest head: a jump
    of the pose, where steady acceleration counts nothing."""
    middle = np.einsum("t,tbc->bc", CUBIC, heads[frame + BESIDE])
    return float(np.linalg.norm(heads[frame] - middle, axis=-1).max())


def _off_turn(axes: Array, frame: int) -> float:
    middle = np.einsum(
        "t,tbc->bc", CUBIC, rotation.continuous(axes[frame - 2 : frame + 3])[WITHOUT]
    )
    apart = measures.degrees_apart(axes[frame], rotation.normalized(middle))
    return float(apart.max())


def cases(folder: Path, split: str, count: int, seconds: float) -> Iterator[Clip]:
    """Clips spread over the split that are long enough."""
    least = FPS * (seconds + 2.0 * AROUND)
    every = [clip for clip in read_clips(folder, split) if len(clip.joints) > least]
    for number in np.linspace(0, len(every) - 1, min(count, len(every))):
        yield every[round(number)]


def fill(armature: Any, wish: Wish, prompt: str, maker: MotionMaker) -> None:
    asked = Fill(Ref.of(armature), known_maps.map_of(armature), wish, {"prompt": prompt})
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "source.npz"
        run_to_end(asked.read(source))
        request = asked.request(source, str(Path(name) / "filled.npz"))
        heard: list[Any] = []
        finished = maker.fill(request, heard.append, Phases(heard.append, 0))
        for _ in asked.steps(finished, request):
            pass


def measured(clip: Clip, chosen: argparse.Namespace, maker: MotionMaker) -> dict[str, Any]:
    """The recorded motion and its fill on the character."""
    armature = open_character(chosen.rig)
    scene = bpy.context.scene
    scene.render.fps = chosen.fps
    pose = solve_pose(clip.joints.astype(float))
    play(scene, armature, pose, count_keys(scene, pose, None), clip.captions[0])
    whole = Frames(scene.frame_start, scene.frame_end)
    length = round(chosen.seconds * chosen.fps)
    first = whole.first + (len(whole) - length) // 2
    gap = Frames(first, first + length - 1)
    rows = Gap(gap.first - whole.first, gap.last + 1 - whole.first)
    before = shown(armature, whole, chosen.fps)
    wish = Wish(gaps=(gap,), whole=whole, fps=chosen.fps, fit=Fit())
    fill(armature, wish, clip.captions[0] if chosen.captions else "", maker)
    after = shown(armature, whole, chosen.fps)
    return {"recorded": figures(before, rows), "filled": figures(after, rows, before)}


HEADER = (
    *("", "contact %", "skate cm/s", "slide cm/s", "knees m/s3", "seams", f"over {JUMP}"),
    *("off its way cm", "degrees", "kept moved mm"),
)


def row(name: str, every: list[Figures]) -> list[str]:
    """Skate and slide as median and mean; of what must not happen the worst."""
    contact, skate, slide = (
        np.array([getattr(each, column) for each in every])
        for column in ("contact", "skate", "slide")
    )
    jumps = np.concatenate([each.jumps for each in every])
    pooled = (contact * skate).sum() / max(contact.sum(), 1e-9)
    return [
        name,
        f"{100 * contact.mean():.0f}",
        f"{np.median(skate):.1f}, {pooled:.1f}",
        f"{np.median(slide):.1f}, {slide.mean():.1f}",
        f"{np.median([each.knees for each in every]):.0f}",
        f"{np.median(jumps):.2f}",
        f"{100 * (jumps > JUMP).mean():.0f} %",
        f"{max(each.step_cm for each in every):.1f}",
        f"{max(each.turn_degrees for each in every):.1f}",
        f"{max(each.moved_mm for each in every):.3f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mocap", type=Path, help="folder with joints, texts and splits")
    parser.add_argument("rig", type=Path, help="a character's file")
    parser.add_argument("--split", default="val")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--captions", action="store_true", help="fill by the clips' captions")
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    maker = MotionMaker()
    found = {
        clip.name: measured(clip, chosen, maker)
        for clip in cases(chosen.mocap, chosen.split, chosen.clips, chosen.seconds)
    }
    lines = [HEADER, ["---"] * len(HEADER)]
    lines += [row(name, [each[name] for each in found.values()]) for name in ("recorded", "filled")]
    for line in lines:
        print(f"| {' | '.join(line)} |")
    if chosen.json:
        every = {
            clip: {name: asdict(each) for name, each in both.items()}
            for clip, both in found.items()
        }
        chosen.json.write_text(json.dumps(every, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
