"""The networks on PyTorch: CPU or CUDA, training's own arithmetic."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model_runtime.nets.configs import ClipTowerConfig, NetworkConfig, SentenceTowerConfig
from model_runtime.nets.rvq import Rvq
from model_runtime.nets.text import ClipTower, SentenceTower
from model_runtime.nets.transformer import LengthEstimator, MaskedTransformer, ResidualTransformer
from model_runtime.networks import Networks, read_config, read_tokenizer, unusable
from model_runtime.packing import Tensors
from model_runtime.tokenizer import WordPiece, cue_words
from model_runtime.weights_folder import (
    ModelCard,
    Part,
    WeightsError,
    differences,
    read_card,
    read_tensors,
)

Array = NDArray[np.floating]
Tokens = NDArray[np.int64]

CORPUS_BATCH = 512  # captions embedded at once when training


def choose_device(wanted: str) -> torch.device:
    """ "auto" takes CUDA where there is one. Raises WeightsError when CUDA is asked for in vain."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise WeightsError("There is no CUDA device that PyTorch can use. Choose the CPU.")
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wanted)


def load_network(network: nn.Module, tensors: Tensors, file: Path) -> Any:
    """Fill a network strictly. Raises WeightsError that names what is missing or does not fit."""
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if wrong := differences(expected, {name: tensor.shape for name, tensor in tensors.items()}):
        raise WeightsError(f"{file} does not fit its configuration: {wrong}.")
    network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    return network.eval().requires_grad_(False)


def load_part(kind: type, config: NetworkConfig, folder: Path, part: Part) -> Any:
    """One network of a weights folder, filled. Raises WeightsError."""
    try:
        network = kind(config)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise unusable(folder, part, error) from error
    return load_network(network, read_tensors(folder, part), folder / part.file)


class TextEncoder:
    """Captions as training and the evaluator read them, many at once or word by word."""

    def __init__(self, tower: SentenceTower, tokenizer: WordPiece, device: torch.device) -> None:
        self.tower = tower.to(device)
        self._tokenizer = tokenizer
        self._device = device

    @property
    def width(self) -> int:
        """How many numbers stand for a word."""
        return self.tower.config.width

    @classmethod
    def open(cls, folder: Path, part: Part, device: torch.device) -> "TextEncoder":
        """Raises WeightsError."""
        tokenizer = read_tokenizer(folder, part)
        if not isinstance(tokenizer, WordPiece):
            raise WeightsError(f"{folder} reads text with CLIP; this needs a sentence tower.")
        tower = load_part(
            SentenceTower, read_config(SentenceTowerConfig, folder, part), folder, part
        )
        return cls(tower, tokenizer, device)

    @torch.inference_mode()
    def words(self, prompts: list[str]) -> list[Array]:
        """Each prompt's word pieces in context, (L, width)."""
        found = {}
        for rows, ids in self._equally_long(prompts):
            found |= dict(zip(rows, self.tower.words(ids).cpu().numpy(), strict=True))
        return [found[row] for row in range(len(prompts))]

    @torch.inference_mode()
    def embed_corpus(self, prompts: list[str], size: int) -> Array:
        """Sentence vectors and, as far as `size` has room, cue words: (B, size)."""
        vectors = np.empty((len(prompts), size), dtype=np.float32)
        vectors[:, self.width :] = [cue_words(each)[: size - self.width] for each in prompts]
        for rows, ids in self._equally_long(prompts):
            vectors[rows, : self.width] = self.tower(ids).cpu().numpy()
        return vectors

    def _equally_long(self, prompts: list[str]) -> Iterator[tuple[list[int], Tensor]]:
        """Batches that need no padding: places in `prompts` (b,) and their pieces (b, L)."""
        pieces = [self._tokenizer.encode(prompt).ids for prompt in prompts]
        lengths = np.array([len(ids) for ids in pieces])
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length).tolist()
            for start in range(0, len(rows), CORPUS_BATCH):
                batch = rows[start : start + CORPUS_BATCH]
                yield batch, torch.tensor([pieces[row] for row in batch], device=self._device)


class TorchNetworks(Networks):
    """The runs of all networks of one weights folder on PyTorch."""

    def __init__(self, card: ModelCard, device: torch.device) -> None:
        super().__init__(card)
        self.device = device
        version = torch.__version__.partition("+")[0]
        where = f"CUDA ({torch.cuda.get_device_name()}, " if device.type == "cuda" else "CPU ("
        self.runs_on = f"{where}PyTorch {version})"
        configs = self.configs.by_part()

        def load(kind: type, name: str) -> Any:
            if name not in configs:
                return None
            return load_part(kind, configs[name], card.folder, card.parts[name]).to(device)

        self.rvq: Rvq = load(Rvq, "rvq")
        self.base: MaskedTransformer = load(MaskedTransformer, "base")
        self.residual: ResidualTransformer = load(ResidualTransformer, "residual")
        self.length: LengthEstimator = load(LengthEstimator, "length")  # or None, as in the card
        is_clip = isinstance(self.configs.text, ClipTowerConfig)
        self.tower: SentenceTower | ClipTower = load(
            ClipTower if is_clip else SentenceTower, "text"
        )

    @classmethod
    def open(cls, folder: Path, device: str = "auto") -> "TorchNetworks":
        """Raises WeightsError for a folder that is damaged or incomplete."""
        # Full float32 products on CUDA too: tokens must agree between devices.
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        return cls(read_card(folder), choose_device(device))

    @torch.inference_mode()
    def run_base(self, tokens: Tokens, texts: Array) -> Array:
        return self.base(self._tensor(tokens), self._tensor(texts)).cpu().numpy()

    @torch.inference_mode()
    def run_residual(self, tokens: Tokens, layer: int, texts: Array) -> Array:
        q = torch.full((len(texts),), layer, device=self.device)
        return self.residual(self._tensor(tokens), q, self._tensor(texts)).cpu().numpy()

    @torch.inference_mode()
    def run_length(self, texts: Array) -> Array:
        return self.length(self._tensor(texts)).cpu().numpy()

    @torch.inference_mode()
    def run_tower(self, pieces: Tokens) -> Array:
        return self.tower(self._tensor(pieces)).cpu().numpy()

    @torch.inference_mode()
    def run_encoder(self, normed: Array) -> Tokens:
        return self.rvq.encode(self._tensor(normed)).cpu().numpy()

    @torch.inference_mode()
    def run_decoder(self, tokens: Tokens) -> Array:
        return self.rvq.decode(self._tensor(tokens)).cpu().numpy()

    def close(self) -> None:
        del self.rvq, self.base, self.residual, self.length, self.tower
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _tensor(self, array: NDArray) -> Tensor:
        # A copy: PyTorch aligns its own memory, and how data lies can choose another kernel.
        return torch.tensor(array, device=self.device)
