"""Share of prompts whose motion shows what the prompt asks for, over several seeds.

python -m model_runtime.evaluation.prompt_following [WEIGHTS] [SET]
"""

import sys
import tomllib
from pathlib import Path

import numpy as np

from model_runtime.backends import open_networks
from model_runtime.evaluation.prompt_checks import check_names, holds
from model_runtime.networks import Networks
from model_runtime.pipeline import as_condition, generate, read_prompt
from model_runtime.weights_folder import find_weights

PROMPTS = Path(__file__).with_name("prompts.toml")
SEEDS = (0, 1, 2)
FRAMES = 100  # five seconds


def read_prompts() -> dict[str, dict[str, list[str]]]:
    """Set -> prompt -> names of checks. Raises KeyError for an unknown check."""
    sets = tomllib.loads(PROMPTS.read_text(encoding="utf-8"))
    for prompts in sets.values():
        for checks in prompts.values():
            check_names(checks)
    return sets


def follow(networks: Networks, prompts: dict[str, list[str]]) -> dict[str, float]:
    """Prompt -> share of seeds for which every check holds."""
    shares = {}
    for prompt, checks in prompts.items():
        text = as_condition(read_prompt(networks, prompt), len(SEEDS))
        lengths = [FRAMES] * len(SEEDS)
        motions = generate(networks, text, lengths, SEEDS, networks.card.sampling)
        kept = [all(holds(name, motion.joints) for name in checks) for motion in motions]
        shares[prompt] = float(np.mean(kept))
    return shares


def main() -> None:
    weights = sys.argv[1] if len(sys.argv) > 1 else "starter"
    networks = open_networks(find_weights(weights))
    for name, prompts in read_prompts().items():
        if len(sys.argv) > 2 and sys.argv[2] != name:
            continue
        shares = follow(networks, prompts)
        for prompt, share in shares.items():
            print(f"{share:4.2f}  {prompt}")
        print(f"{name}: {100.0 * np.mean(list(shares.values())):.1f} % of {len(shares)} prompts\n")


if __name__ == "__main__":
    main()
