"""The stages of training, in order: rvq, base, residual, length, decoder if the recipe has it,
export; beside them evaluator."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model_runtime.action_kinds import PART
from model_runtime.backends import open_networks
from model_runtime.nets.rvq import Rvq
from model_runtime.networks import SHIPPED_WEIGHTS
from model_runtime.tokenizer import NUM_CUES
from model_runtime.torch_backend import TextEncoder
from model_runtime.training import data, ranks
from model_runtime.training.action_kinds import (
    NUM_KINDS,
    Tensors,
    add_action_kinds,
    fit_action_kinds,
    read_action_kinds,
    told_kinds,
)
from model_runtime.training.checkpoint import load_weights, save_atomically
from model_runtime.training.codebooks import CodebookTrainer
from model_runtime.training.export import export, save_statistics, text_part
from model_runtime.training.known_prompts import add_known_prompts
from model_runtime.training.layouts import read_clips
from model_runtime.training.loop import Stage, run
from model_runtime.training.more_layers import more_codebooks
from model_runtime.training.recipe import Loop, Recipe, RecipeError, read_recipe
from model_runtime.training.start import Start
from model_runtime.training.train_decoder import decoder_stage, sample_clips
from model_runtime.training.train_evaluator import evaluator_stage
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
FINETUNE_RECIPE = Path(__file__).with_name("finetune.toml")
TOWER = SHIPPED_WEIGHTS / "starter"  # whose text tower new models share

TOKEN_STAGES: dict[str, Callable[[Recipe, Corpus, Corpus], Stage]] = {
    "base": base_stage,
    "residual": residual_stage,
    "length": length_stage,
}


class Training:
    """One recipe on one data folder; what several stages need is made once, when first asked."""

    def __init__(self, folder: Path, recipe: Recipe, out: Path, start: Start | None = None) -> None:
        self.recipe, self.out, self.start = recipe, out, start
        self.tower = start.card.folder if start else TOWER
        self.tower_config = start.tower_config if start else None
        self.device = ranks.join()
        clips = read_clips(folder, "train", _report)
        self.captions = distinct_captions(clips)
        self.motions = data.training_motions(clips, recipe.data)
        self.joined = data.joined_motions(clips, recipe.data)
        self.validation = data.plain_motions(read_clips(folder, "val", _report))
        if start:
            mean, std = start.statistics()
        else:
            mean, std = data.statistics(self.motions, recipe.data.root_emphasis)
        if ranks.is_first():
            save_statistics(mean, std, out)
            if start and not start.retrain_tokenizer and not start.more_layers:
                save_atomically(start.tensors("rvq"), out / "rvq.safetensors")
        ranks.wait()
        self.statistics = (
            torch.from_numpy(mean).to(self.device),
            torch.from_numpy(std).to(self.device),
        )

    def run(self, name: str) -> None:
        if name == "rvq" and self.start and self.start.more_layers:
            self._add_layers(self.start)
            return
        if name == "rvq" and self.start and not self.start.retrain_tokenizer:
            _report(f"rvq: kept as it is in {self.start.card.folder}")
            return
        stage = self._stage(name)
        if self.start and name != "decoder":
            self.start.initialise(name, stage.network, stage.averaged)
            if isinstance(stage.extra, CodebookTrainer):
                stage.extra.keep_codes()
        loop: Loop = getattr(self.recipe, f"{name}_training")
        run(stage, loop, self.out, _report)

    def _add_layers(self, start: Start) -> None:
        _report(f"rvq: adding {start.more_layers} to the layers of {start.card.folder}")
        network = start.tokenizer().to(self.device)
        codebooks = more_codebooks(network, self.motions, self.statistics, start.more_layers)
        if ranks.is_first():
            file = self.out / "rvq.safetensors"
            save_atomically(network.state_dict() | {"codebooks": codebooks}, file)
        ranks.wait()

    def _stage(self, name: str) -> Stage:
        if name == "rvq":
            return rvq_stage(self.recipe, self.motions, self.validation, self.statistics)
        if name == "evaluator":
            data = self.motions, self.validation, self.statistics
            return evaluator_stage(self.recipe, *data, self.reader())
        if name == "decoder":
            return self._decoder_stage()
        return TOKEN_STAGES[name](self.recipe, *self.corpora())

    def _decoder_stage(self) -> Stage:
        """Needs all other networks: it is trained on what they make."""
        training = self.recipe.decoder_training
        assert training
        folder = self.out / "before_decoder"
        export(self.recipe, self.tower, self.out, folder, self.tower_config)
        if _hears_kinds(self.recipe, self.reader()[0]):
            add_action_kinds(folder, self.action_kinds())
        motions = self.motions + self.joined
        sampled = sample_clips(
            open_networks(folder), motions, training.num_sampled, min(training.windows)
        )
        clips = [clip.to(self.device) for clip in sampled]
        network = self.tokenizer()
        return decoder_stage(
            self.recipe, network, self.motions, self.validation, self.statistics, clips
        )

    def tokenizer(self) -> Rvq:
        """As it was trained, in evaluation mode."""
        network = Rvq(self.recipe.rvq).to(self.device).eval()
        network.load_state_dict(load_weights(self.out / "rvq.safetensors"))
        return network

    def corpora(self) -> tuple[Corpus, Corpus]:
        """Training and validation motions as tokens of the trained RVQ."""
        network, texts = self.tokenizer(), self.texts()
        return (
            tokenize(self.motions + self.joined, network, self.statistics, texts),
            tokenize(self.validation, network, self.statistics, texts),
        )

    def texts(self) -> dict[str, Tensor]:
        """Text vectors as the recipe's networks hear them. Raises RecipeError for another size."""
        captions = distinct_captions(self.motions + self.joined + self.validation)
        encoder, _ = self.reader()
        size, with_cues = self.recipe.base.text_size, encoder.width + NUM_CUES
        vectors = encoder.embed_corpus(captions, min(size, with_cues))
        if size > with_cues:
            if size != with_cues + NUM_KINDS:
                raise RecipeError(
                    f"base.text_size is {size}; with kinds of action a text has "
                    f"{with_cues + NUM_KINDS} numbers."
                )
            if ranks.is_first():
                self.action_kinds()
            ranks.wait()
            told = told_kinds(self.action_kinds(), captions, vectors)
            vectors = np.concatenate([vectors, told], axis=1)
        return text_vectors(vectors, captions)

    def action_kinds(self) -> Tensors:
        """The layer that tells a prompt's kind, and what belongs to it."""
        encoder, _ = self.reader()
        return _action_kinds(self.recipe, self.out, encoder, self.captions, self.start)

    def reader(self) -> tuple[TextEncoder, str]:
        """The text tower and the SHA-256 of its file."""
        part = text_part(self.tower, self.tower_config)
        return TextEncoder.open(self.tower, part, self.device), part.sha256


def _report(line: str) -> None:
    if ranks.is_first():
        print(line, flush=True)


def train(
    stage: str, folder: Path, config: Path | None, out: Path, start: Start | None = None
) -> None:
    """Run one stage, or "all" and then "export" into `out`/model.

    Raises DataError, RecipeError, CheckpointError, WeightsError or OSError for the user.
    """
    recipe = read_recipe(config or (FINETUNE_RECIPE if start else STARTER_RECIPE))
    if start:
        recipe = start.recipe(recipe, has_own_texts=config is not None)
    try:
        if stage != "export":
            torch.set_float32_matmul_precision("high")  # TF32 where there is CUDA
            training = Training(folder, recipe, out, start)
            every = ("rvq", *TOKEN_STAGES, *(["decoder"] if recipe.decoder_training else []))
            for name in every if stage == "all" else (stage,):
                training.run(name)
        if stage in ("all", "export") and ranks.is_first():
            _export(recipe, folder, out, start)
    finally:
        ranks.leave()


def _export(recipe: Recipe, data_folder: Path, out: Path, start: Start | None) -> None:
    tower, config = (start.card.folder, start.tower_config) if start else (TOWER, None)
    model = out / "model"
    export(recipe, tower, out, model, config)
    captions = distinct_captions(read_clips(data_folder, "train"))
    encoder = TextEncoder.open(tower, text_part(tower, config), torch.device("cpu"))
    add_known_prompts(model, captions, recipe.data.mirror)
    if _hears_kinds(recipe, encoder):
        add_action_kinds(model, _action_kinds(recipe, out, encoder, captions, start))
    _report(f"The model is in {model}")


def _hears_kinds(recipe: Recipe, encoder: TextEncoder) -> bool:
    return recipe.base.text_size > encoder.width + NUM_CUES


def _action_kinds(
    recipe: Recipe, out: Path, encoder: TextEncoder, captions: list[str], start: Start | None
) -> Tensors:
    learned = start.tensors(PART)["captions"].numpy() if start and start.card.has(PART) else None
    fit = partial(fit_action_kinds, encoder, captions, recipe.data.mirror, learned)
    return read_action_kinds(out, fit)
