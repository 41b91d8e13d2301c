"""`python -m benchmarks.click_to_keys`: what an animator waits for, with the starter.

Drives the add-on's session as a window's timer does, in the installed bpy module, and prints
medians: first progress and F-curves after a click, cold and warm, the slowest timer tick, cancel,
memory.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import bpy

import momask_blender
from momask_blender.inputs import placement_from, request_from
from momask_blender.session import session

PHASES = ("Starting", "Loading the model", "Generating motion")


def click(**changes) -> dict[str, float]:
    """One motion from the click to its keys. -> seconds, and the slowest tick in milliseconds."""
    settings = bpy.context.scene.momask
    for name, value in changes.items():
        setattr(settings, name, value)
    clicked = time.perf_counter()
    session.start(request_from(settings, settings.seed), placement_from(bpy.context, settings))
    ticks = [time.perf_counter() - clicked]
    first = None
    while session.is_busy:
        began = time.perf_counter()
        pause = session.tick()
        ticks.append(time.perf_counter() - began)
        if first is None and session.phase != "Starting":
            first = time.perf_counter() - clicked
        time.sleep(pause or 0.0)
    assert session.error is None, session.error
    return {
        "first progress, s": first or 0.0,
        "keys, s": time.perf_counter() - clicked,
        "slowest tick, ms": 1000.0 * max(ticks),
    }


def cold(**changes) -> dict[str, float]:
    session.shut_down()
    return click(**changes)


def cancel(phase: str) -> float:
    """Seconds from the cancel to the answer, in that phase of a long job."""
    session.shut_down()
    settings = bpy.context.scene.momask
    settings.seconds, settings.variations = 9.8, 8
    session.start(request_from(settings, 1), placement_from(bpy.context, settings))
    while session.job is not None and session.job.phase != phase:
        session.tick()
        time.sleep(0.01)
    asked = time.perf_counter()
    session.cancel()
    while session.is_busy:
        time.sleep(0.01)
        session.tick()
    return time.perf_counter() - asked


def resident_megabytes() -> float:
    if session.worker is None:
        return 0.0
    pages = int(Path(f"/proc/{session.worker.pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def memory() -> dict[str, float]:
    """Of the worker in megabytes (Linux): with the model, and after Free Memory."""
    cold(seconds=4.0, variations=1)
    loaded = resident_megabytes()
    session.unload()
    while session.is_busy:
        time.sleep(session.tick() or 0.0)
    return {"loaded, MB": loaded, "unloaded, MB": resident_megabytes()}


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def measure(repeats: int) -> dict[str, dict[str, float]]:
    settings = bpy.context.scene.momask
    settings.prompt, settings.target = "a person walks forward", "NEW"
    results = {"cold, 4 s": medians([cold(seconds=4.0, variations=1) for _ in range(repeats)])}
    for name, seconds, variations in (
        ("warm, 4 s", 4.0, 1),
        ("warm, 9.8 s", 9.8, 1),
        ("warm, 4 s, 8 variations", 4.0, 8),
    ):
        click(seconds=seconds, variations=variations)
        runs = [click(seconds=seconds, variations=variations) for _ in range(repeats)]
        results[name] = medians(runs)
    settings.target = "NEW"
    results["warm, 4 s, new character"] = click(seconds=4.0, variations=1)
    results["cancel, s"] = {phase: cancel(phase) for phase in PHASES}
    results["memory"] = memory()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    chosen = parser.parse_args()
    momask_blender.register()
    try:
        results = measure(chosen.repeats)
    finally:
        momask_blender.unregister()
    for name, figures in results.items():
        print(f"{name:26}", ", ".join(f"{what} {value:.3g}" for what, value in figures.items()))
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
