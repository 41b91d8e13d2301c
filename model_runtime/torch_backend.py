"""The networks on PyTorch: CPU or CUDA, training's own arithmetic."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model_runtime.nets.rvq import Rvq, RvqConfig
from model_runtime.nets.text import SentenceTower, SentenceTowerConfig
from model_runtime.nets.transformer import (
    LengthConfig,
    LengthEstimator,
    MaskedTransformer,
    ResidualTransformer,
    TransformerConfig,
)
from model_runtime.networks import (
    ModelCard,
    Part,
    Text,
    WeightsError,
    differences,
    read_card,
    read_statistics,
    read_tensors,
    verified_file,
)
from model_runtime.packing import Tensors
from model_runtime.sampling import ABSENT, MASK, guide
from model_runtime.tokenizer import NUM_SIDE_WORDS, WordPiece, side_words

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


class TextEncoder:
    """Prompts -> sentence vector and side words, each prompt on its own."""

    def __init__(self, tower: SentenceTower, tokenizer: WordPiece, device: torch.device) -> None:
        self._tower = tower.to(device)
        self._tokenizer = tokenizer
        self._device = device

    @property
    def width(self) -> int:
        """How many numbers stand for a word."""
        return self._tower.config.width

    @property
    def size(self) -> int:
        """How many numbers stand for a text."""
        return self.width + NUM_SIDE_WORDS

    @classmethod
    def open(cls, folder: Path, part: Part, device: torch.device) -> "TextEncoder":
        if part.vocabulary is None:
            raise WeightsError(f"{folder} names no vocabulary for its text tower.")
        tokenizer = WordPiece.read(verified_file(folder, part.vocabulary))
        tower = build(SentenceTower, SentenceTowerConfig, part, folder)
        file = folder / part.file
        return cls(load_network(tower, read_tensors(folder, part), file), tokenizer, device)

    @torch.inference_mode()
    def embed(self, prompts: list[str]) -> Text:
        rows, truncated = [], []
        for prompt in prompts:
            pieces = self._tokenizer.encode(prompt)
            ids = torch.tensor([pieces.ids], device=self._device)
            sentence = self._tower(ids, torch.ones_like(ids, dtype=torch.bool))[0]
            rows.append(np.concatenate([sentence.cpu().numpy(), side_words(prompt)]))
            truncated.append(pieces.truncated)
        return Text(np.stack(rows).astype(np.float32), truncated)

    @torch.inference_mode()
    def words(self, prompts: list[str]) -> list[Array]:
        """Each prompt's word pieces in context, (L, width)."""
        rows = []
        for prompt in prompts:
            ids = torch.tensor([self._tokenizer.encode(prompt).ids], device=self._device)
            valid = torch.ones_like(ids, dtype=torch.bool)
            rows.append(self._tower.words(ids, valid)[0].cpu().numpy())
        return rows

    @torch.inference_mode()
    def embed_corpus(self, prompts: list[str]) -> Array:
        """As `embed`, in batches of equal length, for training: (B, E), right up to rounding."""
        pieces = [self._tokenizer.encode(prompt).ids for prompt in prompts]
        vectors = np.empty((len(prompts), self.size), dtype=np.float32)
        vectors[:, -NUM_SIDE_WORDS:] = [side_words(prompt) for prompt in prompts]
        lengths = np.array([len(ids) for ids in pieces])
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            for start in range(0, len(rows), CORPUS_BATCH):
                batch = rows[start : start + CORPUS_BATCH]
                ids = torch.tensor([pieces[row] for row in batch], device=self._device)
                sentences = self._tower(ids, torch.ones_like(ids, dtype=torch.bool))
                vectors[batch, :-NUM_SIDE_WORDS] = sentences.cpu().numpy()
        return vectors


class TorchNetworks:
    """All networks of one weights folder; see `networks.Networks`."""

    def __init__(self, card: ModelCard, device: torch.device) -> None:
        folder, parts = card.folder, card.parts
        self.card, self.device = card, device

        def load(kind: type, config: type, name: str) -> Any:
            network = build(kind, config, parts[name], folder)
            tensors = read_tensors(folder, parts[name])
            return load_network(network, tensors, folder / parts[name].file).to(device)

        self.rvq: Rvq = load(Rvq, RvqConfig, "rvq")
        self.base: MaskedTransformer = load(MaskedTransformer, TransformerConfig, "base")
        self.residual: ResidualTransformer = load(
            ResidualTransformer, TransformerConfig, "residual"
        )
        self.length: LengthEstimator | None = (
            load(LengthEstimator, LengthConfig, "length") if card.has("length") else None
        )
        self.text = TextEncoder.open(folder, parts["text"], device) if card.has("text") else None
        self.mean, self.std = read_statistics(card)
        self._check_fit()

    @classmethod
    def open(cls, folder: Path, device: str = "auto") -> "TorchNetworks":
        """Raises WeightsError for a folder that is damaged or incomplete."""
        # Full float32 products on CUDA too: tokens must agree between devices.
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        return cls(read_card(folder), choose_device(device))

    def embed_text(self, prompts: list[str]) -> Text:
        if self.text is None:
            raise WeightsError(f"The model '{self.card.name}' has no text tower.")
        return self.text.embed(prompts)

    @torch.inference_mode()
    def predict_base(self, tokens: Tokens, text: Array, valid: NDArray, scale: float) -> Array:
        logits = np.zeros((*tokens.shape, self.base.config.num_codes), dtype=np.float32)
        for clip, length in enumerate(valid.sum(axis=1)):
            own = tokens[clip, :length]
            ids = self._tensor(np.where(own == MASK, self.base.mask, own))
            texts = self._text_rows(text[clip], scale)
            rows = ids.expand(len(texts), -1)
            logits[clip, :length] = _guided(self.base(rows, texts, _all_valid(rows)), scale)
        return logits

    @torch.inference_mode()
    def predict_residual(
        self, tokens: Tokens, layer: int, text: Array, valid: NDArray, scale: float
    ) -> Array:
        logits = np.zeros((*valid.shape, self.residual.config.num_codes + 1), dtype=np.float32)
        for clip, length in enumerate(valid.sum(axis=1)):
            own = tokens[clip, :length]
            ids = self._tensor(np.where(own == ABSENT, self.residual.pad, own))
            texts = self._text_rows(text[clip], scale)
            rows = ids.expand(len(texts), -1, -1)
            q = torch.full((len(texts),), layer, device=self.device)
            result = self.residual(rows, q, texts, _all_valid(rows[..., 0]))
            logits[clip, :length] = _guided(result, scale)
        return logits

    @torch.inference_mode()
    def length_logits(self, text: Array) -> Array:
        if self.length is None:
            raise WeightsError(
                f"The model '{self.card.name}' cannot choose a length. Give one in seconds."
            )
        return np.concatenate([self.length(self._tensor(row[None])).cpu().numpy() for row in text])

    @torch.inference_mode()
    def encode(self, features: Array) -> Tokens:
        normed = self._tensor(((features - self.mean) / self.std).astype(np.float32)[None])
        return self.rvq.encode(normed)[0].cpu().numpy()

    @torch.inference_mode()
    def decode(self, tokens: Tokens) -> Array:
        normed = self.rvq.decode(self._tensor(tokens[None]))[0].cpu().numpy()
        return normed.astype(np.float64) * self.std + self.mean

    def _check_fit(self) -> None:
        """Raises WeightsError where the networks disagree on what they pass to each other."""
        rvq, base, residual = self.rvq.config, self.base.config, self.residual.config
        texts = {base.text_size, residual.text_size}
        texts |= {self.length.config.text_size} if self.length else set()
        texts |= {self.text.size} if self.text else set()
        sizes = {
            "codes": {rvq.num_codes, base.num_codes, residual.num_codes},
            "quantizers": {rvq.num_quantizers, residual.num_quantizers},
            "numbers for a text": texts,
        }
        for what, values in sizes.items():
            if len(values) > 1:
                numbers = ", ".join(str(value) for value in sorted(values))
                raise WeightsError(f"{self.card.folder}: networks of {numbers} {what} do not fit.")

    def _tensor(self, array: NDArray) -> Tensor:
        # A copy: PyTorch aligns its own memory, and how data lies can choose another kernel.
        return torch.tensor(array, device=self.device)

    def _text_rows(self, text: Array, scale: float) -> Tensor:
        """The text and, unless guidance does not need it, the empty condition. (E,) -> (1|2, E)."""
        rows = {0.0: [np.zeros_like(text)], 1.0: [text]}.get(scale, [text, np.zeros_like(text)])
        return self._tensor(np.stack(rows))


def _guided(logits: Tensor, scale: float) -> Array:
    rows = logits.cpu().numpy()
    return rows[0] if len(rows) == 1 else guide(rows[0], rows[1], scale)


def _all_valid(rows: Tensor) -> Tensor:
    return torch.ones_like(rows, dtype=torch.bool)


def build(kind: type, config: type, part: Part, folder: Path) -> Any:
    """A network from the configuration in its card. Raises WeightsError."""
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in part.config.items()}
    try:
        return kind(config(**values))
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"{folder}: the configuration of {part.file} cannot be used: {reason}"
        ) from error
