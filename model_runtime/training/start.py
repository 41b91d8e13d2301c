"""Training that goes on from the weights of a finished model (`--start-from`)."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model_runtime.features import NUM_FEATURES
from model_runtime.nets.configs import LengthConfig, RvqConfig, TransformerConfig, build_config
from model_runtime.nets.rvq import Rvq
from model_runtime.training.export import TOWER_FILES
from model_runtime.training.recipe import Recipe
from model_runtime.weights_folder import (
    ModelCard,
    WeightsError,
    find_weights,
    read_card,
    read_statistics,
    read_tensors,
)


@dataclass(frozen=True)
class Start:
    """A model whose networks training begins with."""

    card: ModelCard
    retrain_tokenizer: bool = False
    more_layers: int = 0  # codebooks to add to its tokenizer

    @classmethod
    def open(cls, name: str, retrain_tokenizer: bool = False, more_layers: int = 0) -> "Start":
        """By name or folder. Raises WeightsError for a model that training cannot go on from."""
        card = read_card(find_weights(name))
        width = card.parts["rvq"].config.get("num_features", NUM_FEATURES)
        if width != NUM_FEATURES:
            raise WeightsError(
                f"{card.folder} reads {width} features; training has {NUM_FEATURES}."
            )
        if not card.has("text") or not all((card.folder / file).is_file() for file in TOWER_FILES):
            raise WeightsError(
                f"{card.folder} has no {' and '.join(TOWER_FILES)}: training reads captions "
                "with our own text tower only. Start from 'starter' or a model trained here."
            )
        return cls(card, retrain_tokenizer, more_layers)

    def recipe(self, recipe: Recipe, has_own_texts: bool) -> Recipe:
        """`recipe` with the model's networks; its terms too unless a configuration states them."""
        try:
            recipe = replace(
                recipe,
                rvq=replace(self._rvq, num_quantizers=self._rvq.num_quantizers + self.more_layers),
                base=build_config(TransformerConfig, self._config("base")),
                residual=build_config(TransformerConfig, self._config("residual")),
            )
            if self.card.has("length"):
                recipe = replace(recipe, length=build_config(LengthConfig, self._config("length")))
        except (TypeError, ValueError) as error:
            raise WeightsError(f"{self.card.folder} cannot be trained further: {error}") from error
        recipe = replace(recipe, sampling=self.card.sampling, read_as=self.card.read_as)
        if has_own_texts:
            return recipe
        notice = f"{self.card.data} Trained further on the user's own recordings."
        return replace(recipe, licence=self.card.licence, data_notice=notice)

    def _config(self, part: str) -> dict:
        return self.card.parts[part].config

    @property
    def _rvq(self) -> RvqConfig:
        return build_config(RvqConfig, self._config("rvq"))

    def tokenizer(self) -> Rvq:
        """As it is in the model, in evaluation mode."""
        network = Rvq(self._rvq).eval()
        self.initialise("rvq", network)
        return network

    @property
    def tower_config(self) -> dict:
        return self.card.parts["text"].config

    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and std (D,) that its tokenizer was trained with."""
        return read_statistics(self.card)

    def tensors(self, part: str) -> dict[str, Tensor]:
        arrays = read_tensors(self.card.folder, self.card.parts[part])
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def initialise(self, part: str, *networks: nn.Module) -> None:
        """Put the model's weights into networks of the same sizes. Raises WeightsError."""
        if not self.card.has(part):
            return
        tensors = self.tensors(part)
        try:
            for network in networks:
                network.load_state_dict(tensors)
        except RuntimeError as error:
            file: Path = self.card.folder / self.card.parts[part].file
            raise WeightsError(f"{file} does not fit its model.json: {error}") from error
