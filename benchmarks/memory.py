"""`python -m benchmarks.memory [COUNT]`: the worker's memory over many motions (Linux).

One worker makes COUNT short clips (default 1000) of changing prompts, lengths and seeds with the
starter; its resident megabytes are printed ten times on the way.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.runtime import wait_for
from momask_blender.contract.messages import Finished, Generate
from momask_blender.job import start_worker

PROMPTS = ("a person walks forward", "a man jumps", "someone sits down", "a person dances")


def resident_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=1000)
    count = parser.parse_args().count
    worker = start_worker()
    try:
        with tempfile.TemporaryDirectory() as folder:
            for job in range(1, count + 1):
                prompt = f"{PROMPTS[job % len(PROMPTS)]}, take {job}"
                out = str(Path(folder) / "motion.npz")
                frames = 20 + 4 * (job % 16)
                worker.send(Generate(prompt=prompt, out=out, job=job, num_frames=frames, seed=job))
                wait_for(worker, Finished)
                if job == 1 or job % max(1, count // 10) == 0:
                    print(f"{job:6} motions: {resident_megabytes(worker.pid):7.1f} MB", flush=True)
    finally:
        worker.stop()


if __name__ == "__main__":
    main()
