"""The stages of training, in order: rvq, base, residual, length, export."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from model_runtime.nets.rvq import Rvq
from model_runtime.networks import SHIPPED_WEIGHTS
from model_runtime.torch_backend import TextEncoder
from model_runtime.training import data
from model_runtime.training.export import export, save_statistics, text_part
from model_runtime.training.layouts import read_clips
from model_runtime.training.loop import Stage, run
from model_runtime.training.recipe import Loop, Recipe, read_recipe
from model_runtime.training.train_rvq import rvq_stage
from model_runtime.training.train_transformers import (
    Corpus,
    base_stage,
    distinct_captions,
    length_stage,
    residual_stage,
    text_vectors,
    tokenize,
)

STARTER_RECIPE = Path(__file__).with_name("starter.toml")
TOWER = SHIPPED_WEIGHTS / "starter"  # whose text tower new models share

TOKEN_STAGES: dict[str, Callable[[Recipe, Corpus, Corpus], Stage]] = {
    "base": base_stage,
    "residual": residual_stage,
    "length": length_stage,
}


class Training:
    """One recipe on one data folder; what several stages need is made once, when first asked."""

    def __init__(self, folder: Path, recipe: Recipe, out: Path) -> None:
        self.recipe, self.out = recipe, out
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.motions = data.training_motions(read_clips(folder, "train"), recipe.data)
        self.validation = data.plain_motions(read_clips(folder, "val"))
        mean, std = data.statistics(self.motions, recipe.data.root_emphasis)
        save_statistics(mean, std, out)
        self.statistics = (
            torch.from_numpy(mean).to(self.device),
            torch.from_numpy(std).to(self.device),
        )

    def run(self, name: str) -> None:
        if name == "rvq":
            stage = rvq_stage(self.recipe, self.motions, self.validation, self.statistics)
        else:
            stage = TOKEN_STAGES[name](self.recipe, *self.corpora())
        loop: Loop = getattr(self.recipe, f"{name}_training")
        run(stage, loop, self.out, lambda line: print(line, flush=True))

    def corpora(self) -> tuple[Corpus, Corpus]:
        """Training and validation motions as tokens of the trained RVQ."""
        network = Rvq(self.recipe.rvq).to(self.device).eval()
        network.load_state_dict(load_file(self.out / "rvq.safetensors"))
        texts = self.texts()
        return (
            tokenize(self.motions, network, self.statistics, texts),
            tokenize(self.validation, network, self.statistics, texts),
        )

    def texts(self) -> dict[str, Tensor]:
        captions = distinct_captions(self.motions + self.validation)
        encoder = TextEncoder.open(TOWER, text_part(TOWER), self.device)
        return text_vectors(encoder.embed_corpus(captions), captions)


def train(stage: str, folder: Path, config: Path | None, out: Path) -> None:
    """Run one stage, or "all" and then "export" into `out`/model.

    Raises DataError, RecipeError or OSError for the user.
    """
    recipe = read_recipe(config or STARTER_RECIPE)
    if stage != "export":
        torch.set_float32_matmul_precision("high")  # TF32 where there is CUDA
        training = Training(folder, recipe, out)
        for name in ("rvq", *TOKEN_STAGES) if stage == "all" else (stage,):
            training.run(name)
    if stage in ("all", "export"):
        export(recipe, TOWER, out, out / "model")
