"""`python -m benchmarks.retarget [FILE]`: from a pose to keys on a rig, step by step.

Takes the steps as a window's timer does, in the installed bpy module, and prints medians: seconds
for reading the rig, fitting and writing a clip, and the longest step in milliseconds. Without a
file the rig is our own character. Use `taskset -c 0` for one core.
"""

import argparse
import statistics
import time
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from momask_blender.animation.takes import Take, make_take
from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose, solve_pose
from momask_blender.contract.skeleton import FPS, REST_JOINTS
from momask_blender.fitting import fit_motion, read_rig, take_keys
from momask_blender.generate import new_scene
from momask_blender.own_character import open_character
from momask_blender.retarget.fit import Fit
from momask_blender.rig.character import build_armature
from momask_blender.rig.joint_map import find_joint_map
from momask_blender.rig.rest import read_rest

Lengths = dict[str, float]


def waving(seconds: float) -> Pose:
    """A body that turns, sways and travels: every channel moves."""
    moment = np.arange(round(seconds * FPS)) / FPS
    facing = rotation.about_axis((0.0, 1.0, 0.0), 0.4 * moment)
    noise = np.random.default_rng(0).normal(size=(22, 3)) * 0.03
    sway = np.sin(3.0 * moment)[:, None, None] * noise
    path = np.stack([np.sin(moment), 0.02 * np.sin(6.0 * moment), 0.8 * moment], axis=-1)
    return solve_pose(rotation.rotate(facing[:, None], REST_JOINTS + sway) + path[:, None])


def run(name: str, work: Generator[None, None, Any], seconds: Lengths, longest: Lengths) -> Any:
    began = time.perf_counter()
    try:
        while True:
            step = time.perf_counter()
            try:
                next(work)
            finally:
                took = 1000.0 * (time.perf_counter() - step)
                longest[name] = max(longest.get(name, 0.0), took)
    except StopIteration as end:
        seconds[name] = time.perf_counter() - began
        return end.value


def listed(work: Any) -> Generator[None, None, Any]:
    """One step, as a generator."""
    yield
    return work()


def measure(armature: bpy.types.Object, pose: Pose, num_keys: int, fps: float, fit: Fit) -> Lengths:
    seconds: Lengths = {}
    longest: Lengths = {}
    joint_map = run("map", listed(lambda: find_joint_map(read_rest(armature))), seconds, longest)
    rig = run("read", read_rig(armature, joint_map, fit), seconds, longest)
    motion = run("fit", fit_motion(rig, pose, num_keys, fps), seconds, longest)
    keys = run("channels", listed(lambda: take_keys(rig, motion)), seconds, longest)
    take = Take(prompt="walk", num_keys=num_keys, fps=fps, first_frame=1, fit=asdict(fit))
    name, _ = run("write", make_take(armature, take, keys), seconds, longest)
    bpy.data.actions.remove(bpy.data.actions[name])
    figures = {f"{part}, s": value for part, value in seconds.items()}
    figures["together, s"] = sum(seconds.values())
    return figures | {f"longest step of {part}, ms": value for part, value in longest.items()}


def open_rig(file: Path | None) -> bpy.types.Object:
    if file is not None:
        return open_character(file)
    return build_armature("Mannequin", new_scene(None).collection)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--reduce", action="store_true", help="fewer keys, on legs too")
    parser.add_argument("--repeats", type=int, default=7)
    chosen = parser.parse_args()
    armature, pose = open_rig(chosen.file), waving(chosen.seconds)
    fit = Fit(reduce_keys=chosen.reduce, reduce_legs=chosen.reduce)
    num_keys = round(chosen.seconds * chosen.fps)
    runs = [measure(armature, pose, num_keys, chosen.fps, fit) for _ in range(chosen.repeats + 1)]
    print(f"{len(armature.data.bones)} bones, {num_keys} keys per channel")
    for name in runs[0]:
        print(f"{name:30} {statistics.median(each[name] for each in runs[1:]):.4g}")


if __name__ == "__main__":
    main()
