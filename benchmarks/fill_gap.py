"""`python -m benchmarks.fill_gap FILE`: a gap of three seconds in ten, on a character of your own.

Presses the panel's buttons in the installed bpy module, with the worker warm, and prints medians in
seconds: reading the animation, the model's part, writing keys, the whole; and the longest step.
"""

import argparse
import statistics
import time
from pathlib import Path

import bpy

import momask_blender
from momask_blender.inputs import fit_from, sampling_from, target_of
from momask_blender.own_character import open_character
from momask_blender.refs import Ref
from momask_blender.rig.known_maps import known_maps
from momask_blender.session import session
from momask_blender.settings import settings_of
from momask_blender.timeline import wishes
from momask_blender.timeline.fill import Wish
from momask_blender.timeline.fills import Fill

FPS, SECONDS, GAP = 30, 9.8, (3.0, 6.0)
PARTS = {"Reading the animation": "reading"}


def fill(seed: int) -> dict[str, float]:
    """One click, as a window's timer carries it on. -> seconds per part."""
    began = time.perf_counter()
    parts = {"reading": 0.0, "model": 0.0, "writing": 0.0, "longest step": 0.0}
    start_fill(seed)
    while session.is_busy:
        name = "model" if session.job else PARTS.get(session.phase, "writing")
        step = time.perf_counter()
        session.tick()
        took = time.perf_counter() - step
        parts[name] += took
        parts["longest step"] = max(parts["longest step"], took)
        if session.job:
            waited = time.perf_counter()
            time.sleep(0.005)
            parts["model"] += time.perf_counter() - waited
    assert session.error is None, session.error
    return parts | {"together": time.perf_counter() - began}


def start_fill(seed: int) -> None:
    context = bpy.context
    armature, settings = target_of(context), settings_of(context.scene)
    gaps, whole = wishes.listed(settings)
    wish = Wish(gaps=tuple(gaps), whole=whole, fps=float(FPS), fit=fit_from(settings))
    asked = sampling_from(settings, seed) | {"prompt": "a person waves"}
    session.start_fill(Fill(Ref.of(armature), known_maps.map_of(armature), wish, asked))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    momask_blender.register()
    armature = open_character(chosen.file)
    scene = bpy.context.scene
    scene.render.fps = FPS
    bpy.context.view_layer.objects.active = armature
    bpy.ops.momask.generate(prompt="a person walks forward", seconds=SECONDS, target="ACTIVE")
    scene.frame_start, scene.frame_end = 1, round(SECONDS * FPS)
    for first, last in ((0.0, GAP[0]), (GAP[1], SECONDS)):
        item = scene.momask.kept.add()
        item.first, item.last = max(1, round(first * FPS)), round(last * FPS)
    runs = [fill(seed) for seed in range(chosen.repeats + 1)][1:]
    print(f"{len(armature.data.bones)} bones, {scene.frame_end} frames, gap of 3 s")
    for name in runs[0]:
        print(f"{name:14} {statistics.median(run[name] for run in runs):.3f}")
    momask_blender.unregister()


if __name__ == "__main__":
    main()
