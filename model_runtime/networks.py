"""A weights folder, its card, and what a backend offers to the pipeline.

`model.json` describes the folder: which file holds which network, its configuration and SHA-256,
what it was trained on and under which terms. Files are hashed before they are opened.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from model_runtime.packing import Tensors, unpack
from model_runtime.sampling import Sampling

Array = NDArray[np.floating]
Tokens = NDArray[np.int64]

FORMAT = 1  # of model.json; a newer one is refused
CARD_FILE = "model.json"
SHIPPED_WEIGHTS = Path(__file__).with_name("weights")
NETWORK_PARTS = ("rvq", "base", "residual", "length", "text")  # the last two may be missing


class WeightsError(ValueError):
    """A weights folder that cannot be used; the message says which file and what to do."""


@dataclass(frozen=True)
class Part:
    """One network, or the statistics, of a weights folder."""

    file: str
    sha256: str
    config: dict[str, Any] = field(default_factory=dict)
    vocabulary: "Part | None" = None  # of a text tower


@dataclass(frozen=True)
class ModelCard:
    folder: Path
    name: str
    licence: str
    data: str
    sampling: Sampling
    statistics: Part  # mean (D,) and std (D,)
    parts: dict[str, Part]  # by NETWORK_PARTS

    @property
    def num_quantizers(self) -> int:
        return self.parts["rvq"].config.get("num_quantizers", 6)

    def has(self, part: str) -> bool:
        return part in self.parts


def find_weights(name: str) -> Path:
    """Folder of a model by name, shipped or in $MOMASK_WEIGHTS, or by path.

    Raises WeightsError that lists the known names.
    """
    roots = [SHIPPED_WEIGHTS, *([Path(home)] if (home := os.environ.get("MOMASK_WEIGHTS")) else [])]
    plain = name == Path(name).name
    candidates = [root / name for root in roots] if plain else []
    for folder in [*candidates, Path(name)]:
        if name and (folder / CARD_FILE).is_file():
            return folder
    if Path(name).is_dir():
        raise WeightsError(f"{name} holds no {CARD_FILE}; it is not a weights folder.")
    known = sorted({card.parent.name for root in roots for card in root.glob(f"*/{CARD_FILE}")})
    raise WeightsError(
        f"There is no model '{name}'. Known models: {', '.join(known) or 'none'}; "
        f"or give a folder that holds a {CARD_FILE}."
    )


def read_card(folder: Path) -> ModelCard:
    """Raises WeightsError for a card that is damaged, too new, or names files elsewhere."""
    file = folder / CARD_FILE
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise WeightsError(f"Cannot read {file}: {error}. Fetch the model again.") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("format"), int):
        raise WeightsError(f"{file} is not a model card. Fetch the model again.")
    if fields["format"] > FORMAT:
        raise WeightsError(f"{file} needs a newer version of this software.")
    try:
        return ModelCard(
            folder=folder,
            name=str(fields["name"]),
            licence=str(fields["licence"]),
            data=str(fields["data"]),
            sampling=Sampling(**fields.get("sampling", {})),
            statistics=_read_part(fields["statistics"], file),
            parts={
                name: _read_part(fields[name], file)
                for name in NETWORK_PARTS
                if fields.get(name) or name in ("rvq", "base", "residual")
            },
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{file} is damaged ({error}). Fetch the model again.") from error


def _read_part(fields: dict[str, Any], card: Path) -> Part:
    vocabulary = fields.get("vocabulary")
    part = Part(
        file=str(fields["file"]),
        sha256=str(fields["sha256"]),
        config=dict(fields.get("config", {})),
        vocabulary=_read_part(vocabulary, card) if vocabulary else None,
    )
    file = card.parent / part.file
    inside = file.resolve().parent == card.parent.resolve()
    if Path(part.file).name != part.file or "\\" in part.file or not inside:
        raise WeightsError(f"{card} points outside its folder ('{part.file}'); it is not used.")
    return part


def verified_file(folder: Path, part: Part) -> Path:
    """The file of a part, after its hash was found right. Raises WeightsError."""
    file = folder / part.file
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"Cannot read {file}: {error.strerror}. Fetch it again.") from error
    if digest != part.sha256:
        raise WeightsError(f"{file} is damaged: its SHA-256 differs from {CARD_FILE}'s.")
    return file


def read_tensors(folder: Path, part: Part) -> Tensors:
    """Float32 tensors by name. Raises WeightsError."""
    file = verified_file(folder, part)
    try:
        return unpack(load_file(file))
    except (SafetensorError, KeyError) as error:
        raise WeightsError(f"{file} is not a complete safetensors file ({error}).") from error


def write_folder(
    folder: Path, about: dict[str, Any], packed: dict[str, Tensors], configs: dict[str, Any]
) -> None:
    """Write one safetensors file per entry of `packed` ("statistics", "rvq", ...) and the card.

    `about` holds name, licence, data and, if wanted, sampling and a ready "text" part. The card
    comes last and by renaming: a folder with a card is complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    card: dict[str, Any] = {"format": FORMAT} | about
    for name, tensors in packed.items():
        file = folder / f"{name}.safetensors"
        save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, file)
        card[name] = file_part(file) | ({"config": configs[name]} if name in configs else {})
    draft = folder / f"{CARD_FILE}.part"
    draft.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, folder / CARD_FILE)


def file_part(file: Path) -> dict[str, Any]:
    """The card's entry for a file."""
    return {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


@dataclass(frozen=True)
class Text:
    """Embedded prompts: vectors (B, E) and which prompts were too long to be read whole."""

    vectors: Array
    truncated: list[bool]


class Networks(Protocol):
    """The networks of one model on one backend. Arrays are NumPy, float32 or int64.

    Each clip is run at its own length, its rows with and without text together: logits do not
    depend on which other clips are asked for.
    """

    card: ModelCard

    def embed_text(self, prompts: list[str]) -> Text: ...

    def predict_base(self, tokens: Tokens, text: Array, valid: NDArray, scale: float) -> Array:
        """tokens (B, N) with MASK, text (B, E), valid (B, N) -> guided logits (B, N, K)."""
        ...

    def predict_residual(
        self, tokens: Tokens, layer: int, text: Array, valid: NDArray, scale: float
    ) -> Array:
        """tokens (B, N, Q), of which layers below `layer` are read -> (B, N, K + 1)."""
        ...

    def length_logits(self, text: Array) -> Array:
        """text (B, E) -> (B, classes), class = number of tokens. Raises WeightsError."""
        ...

    def encode(self, features: Array) -> Tokens:
        """Physical features (T, D) -> (T // 4, Q)."""
        ...

    def decode(self, tokens: Tokens) -> Array:
        """(N, Q) -> physical features (4 N, D) float64."""
        ...
