"""Small tokenizers that differ in one thing, trained alike and measured on the validation split.

python -m model_runtime.training.ablate_tokenizer --data DIR --out DIR [--variants FILE.toml]

Writes tokenizers.json and tokenizers.md into --out. Started again it goes on where it was.
"""

import json
import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_runtime.evaluation.measures import jerk, reconstruction, skating
from model_runtime.features import features_to_joints
from model_runtime.nets.rvq import Rvq
from model_runtime.training.checkpoint import CheckpointError, load_weights
from model_runtime.training.data import Motion
from model_runtime.training.layouts import DataError
from model_runtime.training.recipe import Recipe, RecipeError, build_recipe, read_toml
from model_runtime.training.run import STARTER_RECIPE, Training
from momask_blender.contract.command_line import Parser, refuse
from momask_blender.contract.skeleton import FRAMES_PER_TOKEN

Array = NDArray[np.floating]
Fields = dict[str, Any]

PROGRAM = "python -m model_runtime.training.ablate_tokenizer"
VARIANTS = Path(__file__).with_name("ablation.toml")
COLUMNS = {
    "root_aligned": "MPJPE mm",
    "heading_aligned": "heading-aligned mm",
    "drift": "drift cm",
    "jerk_ratio": "jerk x data",
    "skate": "skate cm/s",
}


def read_variants(file: Path) -> dict[str, Recipe]:
    """The starter's recipe with what all variants change and what each changes. Raises
    RecipeError."""
    changes = read_toml(file)
    starter = read_toml(STARTER_RECIPE)
    common = changes.get("common", {})
    return {
        name: build_recipe(_merged(_merged(starter, common), own), file)
        for name, own in changes.get("variants", {}).items()
    }


def _merged(values: Fields, changes: Fields) -> Fields:
    """Tables key by key, everything else replaced."""
    merged = dict(values)
    for name, change in changes.items():
        is_table = isinstance(change, dict)
        merged[name] = _merged(values.get(name, {}), change) if is_table else change
    return merged


def train_variant(recipe: Recipe, folder: Path, out: Path) -> list[Fields]:
    """The measures of a trained tokenizer, with the first 1, 2, ... of its layers."""
    training = Training(folder, recipe, out)
    training.run("rvq")
    network = Rvq(recipe.rvq).to(training.device).eval()
    network.load_state_dict(load_weights(out / "rvq.safetensors"))
    clips = [_whole_tokens(motion) for motion in training.validation]
    truth = [features_to_joints(clip) for clip in clips]
    rows = []
    for layers in range(1, recipe.rvq.num_quantizers + 1):
        decoded = [_through(network, clip, training.statistics, layers) for clip in clips]
        row = {"layers": layers} | asdict(reconstruction(decoded, truth))
        row["jerk_ratio"] = jerk(decoded) / max(jerk(truth), 1e-9)
        rows.append(row | {"skate": skating(decoded)[0]})
    return rows


def _whole_tokens(motion: Motion) -> Array:
    return motion.features[: len(motion.features) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN]


@torch.no_grad()
def _through(
    network: Rvq, features: Array, statistics: tuple[Tensor, Tensor], layers: int
) -> Array:
    """features (T, D) coded by the first `layers` layers -> joints (T, 22, 3)."""
    mean, std = (values.float() for values in statistics)
    normed = (torch.from_numpy(features).to(mean.device) - mean) / std
    decoded = network.decode(network.encode(normed[None])[..., :layers])[0]
    return features_to_joints((decoded * std + mean).double().cpu().numpy())


def table(found: dict[str, list[Fields]]) -> Iterator[str]:
    """Markdown: each variant with all its layers, and what its base layer alone gives."""
    titles = [*COLUMNS.values(), "base layer only, MPJPE mm"]
    yield "| Tokenizer | " + " | ".join(titles) + " |"
    yield "|---" * (len(titles) + 1) + "|"
    for name, rows in found.items():
        values = [rows[-1][column] for column in COLUMNS] + [rows[0]["root_aligned"]]
        yield f"| {name} | " + " | ".join(f"{value:.3g}" for value in values) + " |"


def ablate(folder: Path, out: Path, variants: Path = VARIANTS) -> dict[str, list[Fields]]:
    """Train and measure all variants, and write the tables. Raises what training raises."""
    found = {}
    for name, recipe in read_variants(variants).items():
        print(f"{name}:", flush=True)
        own = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        found[name] = train_variant(recipe, folder, out / own)
    (out / "tokenizers.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (out / "tokenizers.md").write_text("\n".join(table(found)) + "\n", encoding="utf-8")
    return found


def main(arguments: list[str] | None = None) -> int:
    parser: ArgumentParser = Parser(prog=PROGRAM, description=__doc__)
    parser.add_argument("--data", required=True, type=Path, help="folder of clips and captions")
    parser.add_argument("--out", required=True, type=Path, help="folder for checkpoints and tables")
    parser.add_argument("--variants", type=Path, default=VARIANTS, help="TOML (default: ours)")
    chosen = parser.parse_args(arguments)
    try:
        found = ablate(chosen.data, chosen.out, chosen.variants)
    except (DataError, RecipeError, CheckpointError, OSError) as error:
        return refuse(PROGRAM, str(error))
    print("\n".join(table(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
