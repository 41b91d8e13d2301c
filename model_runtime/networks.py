"""What every backend does alike: prompts, guidance, statistics, each clip at its own length."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_runtime.action_kinds import ActionKinds, num_kinds
from model_runtime.byte_pairs import BytePairs
from model_runtime.familiarity import KnownPrompts
from model_runtime.kit import KIT_FPS, NUM_KIT_FEATURES
from model_runtime.nets.configs import (
    ClipTowerConfig,
    Config,
    LengthConfig,
    NetworkConfig,
    RvqConfig,
    SentenceTowerConfig,
    TransformerConfig,
    build_config,
)
from model_runtime.sampling import ABSENT, MASK, guide
from model_runtime.tokenizer import NUM_CUES, Reworded, WordPiece, cue_words
from model_runtime.weights_folder import (
    CARD_FILE,
    SHIPPED_WEIGHTS,
    ModelCard,
    Part,
    WeightsError,
    file_part,
    find_weights,
    read_card,
    read_statistics,
    read_tensors,
    read_verified,
    write_folder,
)
from momask_blender.contract.skeleton import FPS

__all__ = [
    "CARD_FILE",
    "SHIPPED_WEIGHTS",
    "Configs",
    "ModelCard",
    "Networks",
    "Part",
    "Text",
    "WeightsError",
    "file_part",
    "find_weights",
    "read_card",
    "read_statistics",
    "read_tensors",
    "write_folder",
]

Array = NDArray[np.floating]
Tokens = NDArray[np.int64]
TowerConfig = SentenceTowerConfig | ClipTowerConfig
Tokenizer = WordPiece | BytePairs

RECENT_PROMPTS = 64  # whose vectors are kept: the next seed or edit does not read them again


@dataclass(frozen=True)
class Text:
    """Embedded prompts: vectors (B, E), which of them were too long to be read whole, the words."""

    vectors: Array
    truncated: list[bool]
    prompts: list[str]


@dataclass(frozen=True)
class Configs:
    """The configurations of a model's networks, from its card."""

    rvq: RvqConfig
    base: TransformerConfig
    residual: TransformerConfig
    length: LengthConfig | None
    text: TowerConfig | None

    @classmethod
    def of(cls, card: ModelCard) -> "Configs":
        """Raises WeightsError for one that cannot be used or does not fit the others."""
        folder, parts = card.folder, card.parts
        configs = cls(
            read_config(RvqConfig, folder, parts["rvq"]),
            read_config(TransformerConfig, folder, parts["base"]),
            read_config(TransformerConfig, folder, parts["residual"]),
            read_config(LengthConfig, folder, parts["length"]) if "length" in parts else None,
            read_tower_config(folder, parts["text"]) if "text" in parts else None,
        )
        configs._check_fit(card)
        return configs

    def by_part(self) -> dict[str, NetworkConfig]:
        return {name: config for name, config in vars(self).items() if config}

    def _check_fit(self, card: ModelCard) -> None:
        """Raises WeightsError where the networks disagree on what they pass to each other."""
        texts = {self.base.text_size, self.residual.text_size}
        texts |= {self.length.text_size} if self.length else set()
        if self.text:
            texts.add(fitting_text_size(self.text, self.base.text_size, num_kinds(card)))
        sizes = {
            "codes": {self.rvq.num_codes, self.base.num_codes, self.residual.num_codes},
            "quantizers": {
                self.rvq.num_quantizers,
                max(self.rvq.num_quantizers, self.residual.num_quantizers),
            },
            "numbers for a text": texts,
        }
        for what, values in sizes.items():
            if len(values) > 1:
                numbers = ", ".join(str(value) for value in sorted(values))
                raise WeightsError(f"{card.folder}: networks of {numbers} {what} do not fit.")


def read_config(kind: type[Config], folder: Path, part: Part) -> Config:
    """A network's configuration as its card has it. Raises WeightsError."""
    try:
        return build_config(kind, part.config)
    except (TypeError, ValueError) as error:
        raise unusable(folder, part, error) from error


def read_tower_config(folder: Path, tower: Part) -> TowerConfig:
    """Raises WeightsError."""
    kind = ClipTowerConfig if tower.kind == "clip" else SentenceTowerConfig
    return read_config(kind, folder, tower)


def fitting_text_size(tower: TowerConfig, wanted: int, num_kinds: int) -> int:
    """The size nearest to `wanted` that texts can have with this tower: our own has its sentence
    vector, as many cue words as a model hears and, after all of these, kinds of action."""
    if isinstance(tower, ClipTowerConfig):
        return tower.size
    with_cues = tower.width + NUM_CUES
    if wanted > with_cues:
        return with_cues + num_kinds
    return max(wanted, tower.width)


def unusable(folder: Path, part: Part, error: Exception) -> WeightsError:
    reason = " ".join(str(error).split())
    return WeightsError(f"{folder}: the configuration of {part.file} cannot be used: {reason}")


def read_tokenizer(folder: Path, tower: Part) -> Tokenizer:
    """What splits prompts for a text tower. Raises WeightsError."""
    if tower.vocabulary is None:
        raise WeightsError(f"{folder} names no vocabulary for its text tower.")
    kind = BytePairs if tower.kind == "clip" else WordPiece
    try:
        return kind(read_verified(folder, tower.vocabulary).decode("utf-8").splitlines())
    except (KeyError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        file = folder / tower.vocabulary.file
        raise WeightsError(f"{file} is no vocabulary: {error}. Fetch the model again.") from error


class Networks(ABC):
    """The networks of one model on one backend. Arrays are NumPy, float32 or int64.

    Each clip is run at its own length, its rows with and without text together: logits do not
    depend on which other clips are asked for. A backend supplies the runs below.
    """

    runs_on: str  # in words, for a panel
    detour: str = ""  # why not on the device that was to be expected, in words

    def __init__(self, card: ModelCard) -> None:
        """Raises WeightsError for a folder that is damaged or incomplete."""
        self.card, self.configs = card, Configs.of(card)
        self.mean, self.std = read_statistics(card)
        tower = card.parts.get("text")
        self.tokenizer = read_tokenizer(card.folder, tower) if tower else None
        self._reworded = Reworded(card.read_as)
        self.known = KnownPrompts.read(card)
        self.kinds = ActionKinds.read(card) if self.hears_kinds else None
        self._embed = lru_cache(maxsize=RECENT_PROMPTS)(self._embed_one)

    @property
    def is_kit(self) -> bool:
        """Whether its motions are KIT-ML's, see kit.py."""
        return self.configs.rvq.num_features == NUM_KIT_FEATURES

    @property
    def reads_order(self) -> bool:
        """Whether its text vectors tell what a prompt says first and what it says then: CLIP's do,
        a mean over word pieces does not."""
        return not isinstance(self.configs.text, SentenceTowerConfig)

    @property
    def hears_kinds(self) -> bool:
        """Whether its texts have room for kinds of action beside sentence and cue words."""
        tower = self.configs.text
        with_cues = tower.width + NUM_CUES if isinstance(tower, SentenceTowerConfig) else None
        return with_cues is not None and self.configs.base.text_size > with_cues

    def stays_on_floor(self, text: Array) -> bool:
        """Whether no part of a text (E,) or (P, E) is likely to climb or to sit high."""
        return self.kinds is not None and self.kinds.stay_on_floor(text)

    def frames_for(self, num_frames: int) -> int:
        """How many frames of its own cover `num_frames` at 20 fps."""
        return math.ceil((num_frames - 1) * KIT_FPS / FPS) + 1 if self.is_kit else num_frames

    def for_drafts(self) -> "Networks":
        """The same networks, multiplying in 8 bits where backend and folder can."""
        return self

    @abstractmethod
    def run_base(self, tokens: Tokens, texts: Array) -> Array:
        """tokens (B, N), texts (B, E) or zeros for none -> logits (B, N, K)."""

    @abstractmethod
    def run_residual(self, tokens: Tokens, layer: int, texts: Array) -> Array:
        """tokens (B, N, Q), of which layers below `layer` are read -> logits (B, N, K + 1)."""

    @abstractmethod
    def run_length(self, texts: Array) -> Array:
        """texts (B, E) -> logits (B, classes)."""

    @abstractmethod
    def run_tower(self, pieces: Tokens) -> Array:
        """Word pieces (B, L) -> sentence vectors (B, width)."""

    @abstractmethod
    def run_encoder(self, normed: Array) -> Tokens:
        """normed (B, T, D) -> tokens (B, T // 4, Q)."""

    @abstractmethod
    def run_decoder(self, tokens: Tokens) -> Array:
        """tokens (B, N, Q) -> normed (B, 4 N, D)."""

    @abstractmethod
    def close(self) -> None:
        """Give the memory back; the networks cannot be used any more."""

    def embed_text(self, prompts: list[str]) -> Text:
        """Vector of each prompt, read on its own; beside the starter's sentence vectors stand cue
        words and kinds of action. Raises WeightsError."""
        if self.tokenizer is None:
            raise WeightsError(f"The model '{self.card.name}' has no text tower.")
        rows, truncated = zip(*(self._embed(prompt) for prompt in prompts), strict=True)
        return Text(np.stack(rows), list(truncated), prompts)

    def _embed_one(self, prompt: str) -> tuple[Array, bool]:
        """A prompt's vector (E,), and whether it was too long to be read whole."""
        assert self.tokenizer
        prompt = self._reworded(prompt)
        pieces = self.tokenizer.encode(prompt)
        sentence = self.run_tower(np.array([pieces.ids], dtype=np.int64))[0]
        vector = sentence
        if isinstance(self.tokenizer, WordPiece):
            vector = np.concatenate([sentence, cue_words(prompt)])
            vector = (
                self.kinds.heard(vector) if self.kinds else vector[: self.configs.base.text_size]
            )
        return vector.astype(np.float32), pieces.truncated

    def predict_base(self, tokens: Tokens, text: Array, valid: NDArray, scale: float) -> Array:
        """tokens (B, N) with MASK, text (B, E), valid (B, N) -> guided logits (B, N, K)."""
        num_codes = self.configs.base.num_codes
        logits = np.zeros((*valid.shape, num_codes), dtype=np.float32)
        first_of_kind: dict[tuple[bytes, bytes], int] = {}
        for clip, length in enumerate(valid.sum(axis=1)):
            own = tokens[clip, :length]
            twin = first_of_kind.setdefault((own.tobytes(), text[clip].tobytes()), clip)
            if twin != clip:  # variations of one prompt, before their first token is drawn
                logits[clip] = logits[twin]
                continue
            texts = _text_rows(text[clip], scale)
            ids = np.where(own == MASK, num_codes, own)  # MASK comes after the codes
            logits[clip, :length] = _guided(self.run_base(_repeat(ids, texts), texts), scale)
        return logits

    def predict_residual(
        self, tokens: Tokens, layer: int, text: Array, valid: NDArray, scale: float
    ) -> Array:
        """tokens (B, N, Q), of which layers below `layer` are read -> (B, N, K + 1)."""
        num_codes, made = self.configs.residual.num_codes, self.configs.residual.num_quantizers
        logits = np.zeros((*valid.shape, num_codes + 1), dtype=np.float32)
        for clip, length in enumerate(valid.sum(axis=1)):
            own, texts = tokens[clip, :length, :made], _text_rows(text[clip], scale)
            ids = np.where(own == ABSENT, num_codes, own)  # PAD comes after the codes
            result = self.run_residual(_repeat(ids, texts), layer, texts)
            logits[clip, :length] = _guided(result, scale)
        return logits

    def length_logits(self, text: Array) -> Array:
        """text (B, E) -> (B, classes), class = number of tokens. Raises WeightsError."""
        if not self.configs.length:
            raise WeightsError(
                f"The model '{self.card.name}' cannot choose a length. Give one in seconds."
            )
        return np.concatenate([self.run_length(row[None]) for row in text])

    def encode(self, features: Array) -> Tokens:
        """Physical features (T, D) -> (T // 4, Q)."""
        normed = ((features - self.mean) / self.std).astype(np.float32)
        return self.run_encoder(normed[None])[0]

    def decode(self, tokens: Tokens) -> Array:
        """(N, Q) -> physical features (4 N, D) float64."""
        normed = self.run_decoder(tokens[None].astype(np.int64))[0]
        return normed.astype(np.float64) * self.std + self.mean


def _text_rows(text: Array, scale: float) -> Array:
    """The text and, unless guidance does not need it, the empty condition. (E,) -> (1|2, E)."""
    rows = {0.0: [np.zeros_like(text)], 1.0: [text]}.get(scale, [text, np.zeros_like(text)])
    return np.stack(rows).astype(np.float32)


def _repeat(ids: Tokens, texts: Array) -> Tokens:
    """The same tokens for every row of texts."""
    return np.repeat(ids[None].astype(np.int64), len(texts), axis=0)


def _guided(rows: Array, scale: float) -> Array:
    return rows[0] if len(rows) == 1 else guide(rows[0], rows[1], scale)
