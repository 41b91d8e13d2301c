"""`python -m benchmarks.end_to_end`: from a prompt to keys one can edit, next to the release's way
to its motion files.

Ours is a click in the add-on: the worker reads the prompt, samples, decodes and solves the pose,
the add-on fits it to our character and writes its keys. The release's way is `baseline.py` and
then its two BVH files. Networks of the published sizes with random weights; both ways in turn, the
model open and warm in each. Prints wall times and their ratios.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bpy
import torch

import momask_blender
from benchmarks.baseline import Baseline
from benchmarks.baseline_export import write_motion
from benchmarks.published_size import published_size
from benchmarks.runtime import CACHE, PROMPT
from model_runtime.onnx_backend import OnnxNetworks
from model_runtime.sampling import Sampling
from momask_blender.contract.skeleton import FPS, tokens_for
from momask_blender.inputs import placement_from, request_from
from momask_blender.session import session

Run = Callable[[], object]


def to_keys(folder: Path, seconds: float, draft: bool) -> None:
    """One click, as a window's timer carries it on."""
    settings = bpy.context.scene.momask
    settings.prompt, settings.seconds, settings.target = PROMPT, seconds, "NEW"
    asked = replace(request_from(settings, 0), weights=str(folder), device="cpu", draft=draft)
    session.start(asked, placement_from(bpy.context, settings))
    while session.is_busy:
        time.sleep(session.tick() or 0.0)
    assert session.error is None, session.error


def to_files(baseline: Baseline, pieces: list[int], seconds: float, num_files: int) -> None:
    sampling, length = Sampling(), tokens_for(round(seconds * FPS))
    text = baseline.read(pieces, 1)
    base = baseline.base_tokens(text, length, sampling.steps, sampling.guidance_scale)
    text = baseline.read(pieces, 1)
    tokens = baseline.all_tokens(base, text, sampling.residual_guidance_scale)
    (joints,) = baseline.joints(tokens)
    with tempfile.TemporaryDirectory() as out:
        for number in range(num_files):
            write_motion(joints, Path(out) / f"{number}.bvh")


def ways(folder: Path, seconds: float) -> dict[str, Run]:
    tokenizer = OnnxNetworks.open(folder).tokenizer
    assert tokenizer
    pieces, baseline = tokenizer.encode(PROMPT).ids, Baseline()
    return {
        "keys": lambda: to_keys(folder, seconds, draft=False),
        "keys, draft": lambda: to_keys(folder, seconds, draft=True),
        "release, one file": lambda: to_files(baseline, pieces, seconds, 1),
        "release, its two files": lambda: to_files(baseline, pieces, seconds, 2),
    }


def measure(runs: dict[str, Run], repeats: int) -> dict[str, list[float]]:
    """Once each to warm up, then all of them in turn. -> wall seconds."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if repeat:
                spent[name].append(time.perf_counter() - began)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=9.8, help="length of the motion")
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    folder = published_size(CACHE)
    momask_blender.register()
    try:
        spent = measure(ways(folder, chosen.seconds), chosen.repeats)
    finally:
        momask_blender.unregister()
    print(f"{chosen.seconds:g} s, {torch.get_num_threads()} threads for PyTorch")
    for name, each in spent.items():
        line = f"{name:24} median {statistics.median(each):.3f}, best {min(each):.3f}"
        if "release" in name:
            for ours in ("keys", "keys, draft"):
                ratio = statistics.median(each) / statistics.median(spent[ours])
                line += f"; {ratio:.1f} times {ours} (best {min(each) / min(spent[ours]):.1f})"
        print(line)


if __name__ == "__main__":
    main()
