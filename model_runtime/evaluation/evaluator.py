"""The learned judge of text-to-motion: motions and texts as vectors that can be compared.

Architecture of the published evaluator (Guo et al. 2022): a movement encoder that shortens by
four, and bidirectional GRUs over movements and over words. Its weights come from the user's copy of
the release (`weights_fetcher.evaluator`) or from a training of our own.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from model_runtime.nets.configs import EvaluatorConfig
from model_runtime.torch_backend import load_network
from model_runtime.weights_folder import WeightsError, differences

Array = NDArray[np.floating]
Lengths = NDArray[np.integer]

FRAMES_PER_MOVEMENT = 4
NUM_CONTACTS = 4  # last columns of the features; the evaluator does not see them
SLOPE = 0.2  # of all leaky ReLUs
DROPOUT = 0.2
GLOVE, TOWER = "glove", "tower"  # word features: the release's, and those of our own text tower


@dataclass(frozen=True)
class Reads:
    """Which word features an evaluator was trained on."""

    words: str  # GLOVE or TOWER
    tower_sha256: str = ""  # of our text tower's file; empty where nobody wrote it down


@dataclass(frozen=True)
class Words:
    """Texts as the evaluator reads them: words (B, L, W), roles (B, L, P), lengths (B,) >= 1."""

    words: Array
    roles: Array
    lengths: Lengths


class MovementEncoder(nn.Module):
    """Normed features without contacts (B, T, D - 4) -> (B, T / 4, C)."""

    def __init__(self, config: EvaluatorConfig) -> None:
        super().__init__()
        seen = config.num_features - NUM_CONTACTS
        self.first = nn.Conv1d(seen, config.movement_hidden, 4, stride=2, padding=1)
        self.second = nn.Conv1d(
            config.movement_hidden, config.movement_size, 4, stride=2, padding=1
        )
        self.leave = nn.Linear(config.movement_size, config.movement_size)
        self.rest = nn.Sequential(nn.Dropout(DROPOUT), nn.LeakyReLU(SLOPE))

    def forward(self, features: Tensor) -> Tensor:
        x = self.rest(self.first(features.transpose(1, 2)))
        return self.leave(self.rest(self.second(x)).transpose(1, 2))


class Reader(nn.Module):
    """Sequences of vectors -> one vector each, from both ends of a bidirectional GRU."""

    def __init__(self, in_size: int, hidden: int, leave_hidden: int, out_size: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(2, 1, hidden))  # learned first states
        self.enter = nn.Linear(in_size, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.leave = nn.Sequential(
            nn.Linear(2 * hidden, leave_hidden),
            nn.LayerNorm(leave_hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(leave_hidden, out_size),
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x (B, L, C), lengths (B,) in any order -> (B, out_size)."""
        packed = pack_padded_sequence(
            self.enter(x), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        start = self.start.expand(-1, len(x), -1).contiguous()
        ends = self.gru(packed, start)[1]  # (2, B, hidden), in the order of `x`
        return self.leave(torch.cat([ends[0], ends[1]], dim=-1))


class Evaluator(nn.Module):
    def __init__(self, config: EvaluatorConfig) -> None:
        super().__init__()
        self.config = config
        self.movement = MovementEncoder(config)
        hidden = config.motion_hidden
        self.motion = Reader(config.movement_size, hidden, hidden, config.size)
        self.roles = nn.Linear(config.role_size, config.word_size)
        self.text = Reader(config.word_size, config.text_hidden, config.text_hidden, config.size)

    def embed_motions(self, features: Tensor, lengths_frames: Tensor) -> Tensor:
        """Normed features (B, T, D), lengths (B,) of at least 4 -> (B, size), in the same order."""
        movements = self.movement(features[..., :-NUM_CONTACTS])
        return self.motion(movements, lengths_frames // FRAMES_PER_MOVEMENT)

    def embed_texts(self, words: Tensor, roles: Tensor, lengths: Tensor) -> Tensor:
        """words (B, L, W), roles (B, L, P), lengths (B,) -> (B, size), in the same order."""
        return self.text(words + self.roles(roles), lengths)


def pad_words(texts: Sequence[Array], role_size: int) -> Words:
    """Word features (L, W) of each text, as our own text tower gives them: without roles."""
    lengths = np.array([len(text) for text in texts])
    words = np.zeros((len(texts), lengths.max(), texts[0].shape[1]), np.float32)
    for row, text in zip(words, texts, strict=True):
        row[: len(text)] = text
    return Words(words, np.zeros((*words.shape[:2], role_size), np.float32), lengths)


def release_order(lengths_frames: Lengths) -> NDArray[np.integer]:
    """In which order the release hands out a batch, texts and motions alike: longest first."""
    return np.argsort(lengths_frames)[::-1]


class Judge:
    """An evaluator with its own statistics, on arrays."""

    def __init__(self, evaluator: Evaluator, mean: Array, std: Array, reads: "Reads") -> None:
        self.evaluator, self.mean, self.std, self.reads = evaluator, mean, std, reads

    @torch.inference_mode()
    def embed_motions(self, clips: Sequence[Array]) -> Array:
        """Physical features (T, D) each, in whole movements (the rest is cut off) -> (n, size).

        Each clip on its own: what is beside it in a batch cannot change it.
        """
        rows = []
        for clip in clips:
            length = len(clip) // FRAMES_PER_MOVEMENT * FRAMES_PER_MOVEMENT
            normed = ((clip[:length] - self.mean) / self.std).astype(np.float32)
            rows.append(
                self.evaluator.embed_motions(torch.from_numpy(normed)[None], torch.tensor([length]))
            )
        return torch.cat(rows).numpy()

    @torch.inference_mode()
    def embed_texts(self, texts: Words) -> Array:
        """-> (n, size)."""
        words, roles, lengths = (
            torch.from_numpy(np.asarray(values))
            for values in (texts.words, texts.roles, texts.lengths)
        )
        return self.evaluator.embed_texts(words.float(), roles.float(), lengths.long()).numpy()


def save_evaluator(
    file: Path, tensors: dict[str, NDArray], config: dict[str, Any], reads: Reads
) -> None:
    """One safetensors file that describes itself. `tensors` also has mean and std (D,)."""
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    save_file(contiguous, file, describe(EvaluatorConfig(**config), reads))


def describe(config: EvaluatorConfig, reads: Reads) -> dict[str, str]:
    """What an evaluator's file says of itself."""
    return {"config": json.dumps(asdict(config))} | asdict(reads)


def open_evaluator(file: Path) -> Judge:
    """Raises WeightsError for a file that is no evaluator or does not fit its configuration."""
    try:
        with safe_open(file, framework="numpy") as stored:
            about = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        config = EvaluatorConfig(**json.loads(about["config"]))
        reads = Reads(about["words"], about.get("tower_sha256", ""))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{file} is not an evaluator ({error}).") from error
    statistics = {name: tensors.pop(name, np.zeros(0)) for name in ("mean", "std")}
    expected = dict.fromkeys(statistics, (config.num_features,))
    if wrong := differences(expected, {name: value.shape for name, value in statistics.items()}):
        raise WeightsError(f"{file} does not fit its configuration: {wrong}.")
    network = load_network(Evaluator(config), tensors, file)
    return Judge(network, statistics["mean"], statistics["std"], reads)
