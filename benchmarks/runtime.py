"""`python -m benchmarks.runtime`: what the runtime takes, stage by stage, and against the baseline.

All ways of one case are measured in turn, so that what else the machine does falls on each of them.
Wall time is what one waits; processor time is what remains comparable on a busy machine, and what
the share of a core's matrix rate is reckoned from. With `taskset -c 0` every way has one core.
Set OPENBLAS_NUM_THREADS=1 as the worker does.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks import operations
from benchmarks.baseline import Baseline
from benchmarks.published_size import published_size
from model_runtime.features import features_to_joints
from model_runtime.networks import Networks, find_weights
from model_runtime.onnx_backend import OnnxNetworks
from model_runtime.pipeline import generate
from model_runtime.sampling import MASK, Sampling, for_drafts
from model_runtime.torch_backend import TorchNetworks
from momask_blender.contract.messages import Failed, Hello, Load, Loaded
from momask_blender.contract.pose import solve_pose
from momask_blender.contract.skeleton import FPS, tokens_for
from momask_blender.job import start_worker
from momask_blender.worker_client import Ended, Worker

PROMPT = "a person walks forward, then turns around and waves with the left hand"
LENGTHS, BATCHES = (2.0, 5.0, 9.8), (1, 4, 8)  # seconds, clips
CACHE = Path(tempfile.gettempdir()) / "momask-published-size"
WITHOUT_TEXT, WITH_TEXT = "codes and joints", "text to joints"  # whole requests
OURS, DRAFT = "ONNX Runtime", "draft"
Run = Callable[[], object]
Way = tuple[Networks, Sampling]


@dataclass(frozen=True)
class Spent:
    """Seconds of one stage over all repeats."""

    wall: list[float]
    processor: list[float]

    def figures(self) -> dict[str, float]:
        return {
            "median": statistics.median(self.wall),
            "best": min(self.wall),
            "processor": statistics.median(self.processor),
            "processor_best": min(self.processor),
        }


def measure(ways: dict[str, Run], repeats: int) -> dict[str, Spent]:
    """Once each to warm up, then all of them in turn."""
    spent = {name: Spent([], []) for name in ways}
    for run in ways.values():
        run()
    for _ in range(repeats):
        for name, run in ways.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            spent[name].processor.append(time.process_time() - processor)
            spent[name].wall.append(time.perf_counter() - wall)
    return spent


def cold_starts(weights: str, repeats: int) -> dict[str, dict[str, float]]:
    """From the start of the worker to its greeting, and until a model is loaded."""
    hello, loaded = Spent([], []), Spent([], [])
    for _ in range(repeats):
        began = time.perf_counter()
        worker = start_worker()
        worker.send(Load(job=1, weights=weights, device="cpu"))
        try:
            for kind, spent in ((Hello, hello), (Loaded, loaded)):
                wait_for(worker, kind)
                spent.wall.append(time.perf_counter() - began)
                spent.processor.append(processor_seconds(worker.pid))
        finally:
            worker.kill()
    return {"worker greets": hello.figures(), "model is loaded": loaded.figures()}


def wait_for(worker: Worker, kind: type) -> None:
    while True:
        for message in worker.messages(patience=60.0):
            if isinstance(message, kind):
                return
            assert not isinstance(message, Failed | Ended), message


def processor_seconds(pid: int) -> float:
    """Of a running process; Linux alone says."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stages(way: Way, seconds: float, batch: int) -> dict[str, tuple[Run, int]]:
    """Each stage of a batch, and the operations that it takes."""
    networks, sampling = way
    rng, configs = np.random.default_rng(0), networks.configs
    num_frames = round(seconds * FPS)
    num_tokens = tokens_for(num_frames)
    assert networks.tokenizer and configs.text
    pieces = np.array([networks.tokenizer.encode(PROMPT).ids])
    text = np.repeat(networks.embed_text([PROMPT]).vectors, batch, axis=0)
    num_codes, num_quantizers = configs.rvq.num_codes, configs.rvq.num_quantizers
    tokens = rng.integers(0, num_codes, (batch, num_tokens, num_quantizers))
    masked = np.where(rng.random((batch, num_tokens)) < 0.5, MASK, tokens[..., 0])
    valid = np.ones((batch, num_tokens), dtype=bool)
    decoded = networks.decode(tokens[0])
    seeds, frames = list(range(batch)), [num_frames] * batch

    def joints() -> None:
        for _ in range(batch):
            solve_pose(features_to_joints(decoded))

    def sample_and_decode() -> None:
        generate(networks, text, frames, seeds, sampling)

    base, residual = configs.base, configs.residual
    scale = sampling.residual_guidance_scale
    return {
        "text": (
            lambda: networks.run_tower(pieces),
            operations.tower(configs.text, pieces.shape[1]),
        ),
        "base pass": (
            lambda: networks.predict_base(masked, text, valid, sampling.guidance_scale),
            batch * operations.base_pass(base, num_tokens),
        ),
        "residual pass": (
            lambda: networks.predict_residual(tokens, 3, text, valid, scale),
            batch * operations.residual_pass(residual, num_tokens, scale),
        ),
        "decode": (
            lambda: [networks.decode(clip) for clip in tokens],
            batch * operations.decoder(configs.rvq, num_tokens),
        ),
        "joints": (joints, 0),
        WITHOUT_TEXT: (sample_and_decode, 0),
        WITH_TEXT: (lambda: (networks.run_tower(pieces), sample_and_decode()), 0),
    }


def baseline_runs(
    baseline: Baseline, networks: Networks, seconds: float, batch: int
) -> dict[str, Run]:
    """The same request by the release's procedure, up to the network's joints."""
    assert networks.tokenizer
    pieces, sampling = networks.tokenizer.encode(PROMPT).ids, networks.card.sampling
    length = tokens_for(round(seconds * FPS))
    read = baseline.read(pieces, batch)

    def sample_and_decode() -> None:
        base = baseline.base_tokens(read, length, sampling.steps, sampling.guidance_scale)
        tokens = baseline.all_tokens(base, read, sampling.residual_guidance_scale)
        baseline.joints(tokens)

    def all_of_it() -> None:
        for _transformer in ("masked", "residual"):
            baseline.read(pieces, batch)
        sample_and_decode()

    return {WITHOUT_TEXT: sample_and_decode, WITH_TEXT: all_of_it}


def measure_case(
    backends: dict[str, Way], baseline: Baseline | None, case: tuple[float, int], repeats: int
) -> dict[str, Any]:
    """All stages of all backends at one length and batch, and the baseline."""
    planned = {name: stages(way, *case) for name, way in backends.items()}
    first = backends[OURS][0]
    beside = baseline_runs(baseline, first, *case) if baseline else {}
    figures: dict[str, Any] = {}
    for stage in next(iter(planned.values())):
        ways = {name: runs[stage][0] for name, runs in planned.items()}
        if stage in beside:
            ways["baseline"] = beside[stage]
        for name, spent in measure(ways, repeats).items():
            figures.setdefault(name, {})[stage] = spent.figures()
            if name in planned and planned[name][stage][1]:
                figures[name][stage]["operations"] = planned[name][stage][1]
    return figures


def machine() -> dict[str, Any]:
    commit = ["git", "rev-parse", "--short", "HEAD"]
    where = Path(__file__).parent
    found = subprocess.run(commit, cwd=where, capture_output=True, text=True, check=False)
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "commit": found.stdout.strip(),
        "matrix_rate": operations.matrix_rate(),
    }


def show(case: str, figures: dict[str, Any], rate: float) -> None:
    print(f"\n{case:30}{'median':>9}{'best':>9}{'processor':>11}{'GFLOP':>8}{'of rate':>9}")
    for name, rows in figures.items():
        for stage, row in rows.items():
            line = f"{name:13}{stage:17}{row['median']:9.4f}{row['best']:9.4f}"
            line += f"{row['processor']:11.4f}"
            if count := row.get("operations"):
                line += f"{count / 1e9:8.2f}{count / row['processor_best'] / rate:9.0%}"
            print(line)
    for stage, theirs in figures.get("baseline", {}).items():
        for name in (OURS, DRAFT):
            ours = figures[name][stage]
            ratios = ", ".join(f"{what} {ours[what] / theirs[what]:.2f}" for what in theirs)
            print(f"{name}, {stage}, to the baseline: {ratios}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", choices=("starter", "published-size"), default="starter")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, nargs="+", default=LENGTHS, help="lengths")
    parser.add_argument("--batch", type=int, nargs="+", default=BATCHES, help="numbers of clips")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    chosen = parser.parse_args()
    is_published = chosen.weights == "published-size"
    folder = published_size(CACHE) if is_published else find_weights("starter")
    if hasattr(os, "sched_getaffinity"):  # PyTorch asks it only when it begins
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    results: dict[str, Any] = {"machine": machine(), "weights": chosen.weights}
    print(", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    results["cold"] = cold_starts(str(folder), chosen.repeats)
    for name, row in results["cold"].items():
        print(f"{name:30}{row['median']:9.4f}{row['best']:9.4f}{row['processor']:11.4f}")
    ours, pytorch = OnnxNetworks.open(folder), TorchNetworks.open(folder, "cpu")
    full = ours.card.sampling
    backends: dict[str, Way] = {
        OURS: (ours, full),
        DRAFT: (ours.for_drafts(), for_drafts(full)),
        "PyTorch": (pytorch, full),
    }
    baseline = Baseline() if is_published else None
    rate = results["machine"]["matrix_rate"]
    for seconds in chosen.seconds:
        for batch in chosen.batch:
            case = f"{seconds:g} s, {batch} clips"
            figures = measure_case(backends, baseline, (seconds, batch), chosen.repeats)
            results[case] = figures
            show(case, figures, rate)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
