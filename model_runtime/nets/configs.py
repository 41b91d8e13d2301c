"""The sizes of the networks, one dataclass each. Importing them brings no framework with it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar


class NetworkConfig:
    """What all have: counts and widths are whole numbers from 1 on. Raises ValueError."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            counts = value if isinstance(value, tuple) else (value,)
            if field.name in ("dropout", "shared"):
                continue
            if not all(isinstance(count, int) and count >= 1 for count in counts):
                raise ValueError(f"{field.name} must be 1 or more, got {value}")
        width, num_heads = getattr(self, "width", 0), getattr(self, "num_heads", 1)
        if width % num_heads:
            raise ValueError(f"width {width} does not divide into {num_heads} heads")


Config = TypeVar("Config", bound=NetworkConfig)


def build_config(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """From JSON's fields, where tuples are lists. Raises TypeError or ValueError."""
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


@dataclass(frozen=True, kw_only=True)
class RvqConfig(NetworkConfig):
    num_features: int = 263
    width: int = 512
    code_size: int = 512
    num_codes: int = 512
    num_quantizers: int = 6
    depth: int = 3  # residual blocks per stage
    dilation_growth: int = 3
    num_stages: int = 2  # each halves the rate: 4 frames per token
    dropout: float = 0.2


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(NetworkConfig):
    """Shape of a masked or a residual transformer."""

    num_codes: int = 512
    code_size: int = 512  # width of its token tables, not tied to the RVQ's codebooks
    text_size: int = 512
    width: int = 384
    feedforward: int = 1024
    num_layers: int = 8
    num_heads: int = 6
    dropout: float = 0.2
    num_quantizers: int = 6
    shared: bool = True  # residual only: input and output tables are one (section 3.3)


@dataclass(frozen=True, kw_only=True)
class LengthConfig(NetworkConfig):
    text_size: int = 512
    hidden: tuple[int, ...] = (512, 256, 128)
    num_classes: int = 50  # class = number of tokens, 0 to 49
    dropout: float = 0.2


@dataclass(frozen=True, kw_only=True)
class SentenceTowerConfig(NetworkConfig):
    num_pieces: int
    width: int = 384
    feedforward: int = 1536
    num_layers: int = 6
    num_heads: int = 12
    max_pieces: int = 128


@dataclass(frozen=True, kw_only=True)
class ClipTowerConfig(NetworkConfig):
    """CLIP ViT-B/32's text tower, unless said otherwise."""

    num_pieces: int = 49408
    width: int = 512
    feedforward: int = 2048
    num_layers: int = 12
    num_heads: int = 8
    max_pieces: int = 77
    size: int = 512  # numbers for a text


@dataclass(frozen=True, kw_only=True)
class EvaluatorConfig(NetworkConfig):
    """Sizes; the defaults are those of the published evaluator of HumanML3D."""

    num_features: int = 263
    movement_hidden: int = 512
    movement_size: int = 512
    motion_hidden: int = 1024
    text_hidden: int = 512
    size: int = 512  # of the vectors that are compared
    word_size: int = 300  # GloVe
    role_size: int = 15  # one-hot part of speech


TOWER_EVALUATOR = EvaluatorConfig(
    movement_hidden=384,
    movement_size=384,
    motion_hidden=384,
    text_hidden=384,
    size=256,
    word_size=384,
    role_size=1,  # always zero: the tower's words have their place in the sentence
)  # what training makes unless told otherwise; an hour of mocap does not fill the published sizes
