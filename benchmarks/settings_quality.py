"""`python -m benchmarks.settings_quality`: what settings of the sampler save and what they cost.

The starter makes a motion of five seconds for each prompt of `evaluation/prompts.toml` and each
seed. Prints a row for each setting: processor time of sampling as a share of the full setting's,
how many motions show what is asked, and measures of them; and how far each is from the full
setting's with its 95 % interval, over prompts (bootstrapped) or seeds (Student's t). Set
OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1.
"""

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model_runtime.evaluation.measures import plausibility
from model_runtime.evaluation.metrics import interval
from model_runtime.evaluation.prompt_checks import CHECKS
from model_runtime.evaluation.prompt_following import FRAMES, read_prompts
from model_runtime.evaluation.protocol import generate
from model_runtime.networks import Networks, find_weights
from model_runtime.onnx_backend import OnnxNetworks
from model_runtime.sampling import Sampling, for_drafts

Array = NDArray[np.floating]
Way = tuple[Networks, Sampling]

MEASURES = ("skate", "slide_share", "penetration", "floating_share", "jerk")
NUM_RESAMPLES = 4000


@dataclass(frozen=True)
class Found:
    seconds: float  # of processor time
    followed: Array  # (prompts, seeds), 1 where every check holds
    measures: dict[str, Array]  # (seeds,) each


def settings(networks: Networks) -> dict[str, Way]:
    usual = networks.card.sampling
    fewer = {f"{steps} steps": replace(usual, steps=steps) for steps in (4, 6, 8, 18)}
    ways: dict[str, Way] = {"full": (networks, usual), "8 bits": (networks.for_drafts(), usual)}
    ways |= {name: (networks, sampling) for name, sampling in fewer.items()}
    ways["detail unguided"] = networks, replace(usual, residual_guidance_scale=1.0)
    ways["draft in float32"] = networks, for_drafts(usual)
    ways["draft"] = networks.for_drafts(), for_drafts(usual)
    return ways


def measure(way: Way, num_seeds: int) -> Found:
    (networks, sampling), seeds = way, range(num_seeds)
    seconds, followed, clips = 0.0, [], [[] for _ in seeds]
    for prompts in read_prompts().values():
        for prompt, checks in prompts.items():
            text = np.repeat(networks.embed_text([prompt]).vectors, num_seeds, axis=0)
            began = time.process_time()
            motions = generate(networks, text, [FRAMES] * num_seeds, seeds, sampling)
            seconds += time.process_time() - began
            followed.append([all(CHECKS[name](m.joints) for name in checks) for m in motions])
            for own, motion in zip(clips, motions, strict=True):
                own.append(motion.joints)
    each = [plausibility(own) for own in clips]
    measures = {name: np.array([getattr(one, name) for one in each]) for name in MEASURES}
    return Found(seconds, np.array(followed, dtype=float), measures)


def row(name: str, found: Found, full: Found) -> str:
    apart = (found.followed - full.followed).mean(axis=1)
    picked = np.random.default_rng(0).integers(0, len(apart), (NUM_RESAMPLES, len(apart)))
    low, high = 100.0 * np.percentile(apart[picked].mean(axis=1), [2.5, 97.5])
    cells = [name, f"{found.seconds / full.seconds:.2f}"]
    cells.append(f"{100.0 * found.followed.mean():.1f} ({low:+.1f} to {high:+.1f})")
    for measure_name, values in found.measures.items():
        change = interval(values - full.measures[measure_name])
        cells.append(f"{values.mean():.3g} ({change.mean:+.2g} ± {change.half_width:.2g})")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--weights", default="starter", metavar="NAME|DIR")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these beside the full setting")
    chosen = parser.parse_args()
    ways = settings(OnnxNetworks.open(find_weights(chosen.weights)))
    heads = ["setting", "time", "prompts followed, %", *MEASURES]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    full = measure(ways["full"], chosen.seeds)
    for name, way in ways.items():
        if name == "full" or not chosen.only or name in chosen.only:
            found = full if name == "full" else measure(way, chosen.seeds)
            print(row(name, found, full), flush=True)


if __name__ == "__main__":
    main()
