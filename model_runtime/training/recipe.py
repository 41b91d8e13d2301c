"""Typed training configuration: one TOML file describes a model and how it is trained."""

import tomllib
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

from model_runtime.nets.configs import (
    TOWER_EVALUATOR,
    EvaluatorConfig,
    LengthConfig,
    RvqConfig,
    TransformerConfig,
)
from model_runtime.sampling import Sampling


class RecipeError(ValueError):
    """The configuration file says something that we do not understand."""


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    mirror: bool = True
    speeds: tuple[float, ...] = (1.0, 0.87, 1.15)  # copies of each clip, played faster or slower
    paraphrases: int = 12  # other wordings of each caption; the captions count as a quarter
    user_prompts: float = 0.0  # prompts in users' own words, for each caption or paraphrase
    prolonged: int = 0  # joined clips that go on with the same action, for the transformers only,
    prolonged_share: float = 0.3  # and their draws beside one of every clip
    settled: int = 0  # attempts to let an action that is over soon end in standing or sitting still
    settled_share: float = 0.15
    two_part: int = 0  # attempts to join two actions; about half fit together
    two_part_share: float = 0.3
    family_weights: dict[str, float] = field(default_factory=dict)  # 1 for the families not named
    root_emphasis: float = 5.0  # divides the std of root and contacts (MoMask's feat_bias)


@dataclass(frozen=True, kw_only=True)
class Loop:
    """What every stage has: AdamW with warm-up and cosine decay, EMA of weights, validation."""

    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int = 500
    weight_decay: float = 0.0
    weights_decay: float = 0.999  # EMA of the weights; what is validated and shipped
    validate_every: int = 500
    keep_last: bool = False  # the last weights, not the best by validation
    seed: int = 3407
    mixed_precision: bool = False  # bfloat16 autocast; on a CPU worth it with AVX512-BF16 or AMX


@dataclass(frozen=True, kw_only=True)
class RvqTraining(Loop):
    windows: tuple[int, ...] = (40, 64, 96)  # frames; one length per batch, so short clips count
    beta: float = 0.1  # smooth L1 turns linear here
    position_weight: float = 0.5  # extra weight on the joint positions (release: loss_vel)
    path_weight: float = 2.0  # world-space joints, root path integrated (metres)
    speed_weight: float = 20.0  # their change per frame: jerk and foot skate
    commit_weight: float = 0.05
    quantize_dropout: float = 0.2
    code_decay: float = 0.98  # EMA of the codebooks
    plain_steps: int = 250  # autoencoder only, before the codebooks are drawn from data
    mixed_share: float = 0.0  # of a batch, with upper bodies of other clips; see mixed_bodies.py


@dataclass(frozen=True, kw_only=True)
class DecoderTraining(Loop):
    """The decoder alone, after the transformers; see train_decoder.py."""

    windows: tuple[int, ...] = (64, 96)  # frames; one length per batch of recordings
    num_sampled: int = 600  # clips from the transformers
    path_weight: float = 14.0  # in place of the tokenizer's: drift over a clip
    mixed_share: float = 0.0  # of a batch of recordings, as for the tokenizer
    jerk_weight: float = 0.05
    slide_weight: float = 0.5
    kept_weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class TransformerTraining(Loop):
    condition_drop: float = 0.1
    label_smoothing: float = 0.05
    text_noise: float = 0.02  # standard deviation per dimension of the sentence vector
    sentence_drop: float = 0.0  # chance of the sentence to be left out: cue words and kinds lead
    random_token: float = 0.1  # share of masked tokens shown as a random token (BERT)
    crop_chance: float = 0.3  # train on a random part of the clip, in which it moves most,
    shortest_part: float = 0.6  # of at least so much of a clip of one action


@dataclass(frozen=True, kw_only=True)
class LengthTraining(Loop):
    text_noise: float = 0.02


@dataclass(frozen=True, kw_only=True)
class EvaluatorTraining(Loop):
    """The evaluator judges models and is part of none: recipes may leave its table out."""

    steps: int = 900
    batch_size: int = 64
    learning_rate: float = 5e-4
    warmup_steps: int = 100
    weight_decay: float = 0.05
    validate_every: int = 100
    crop_chance: float = 0.3  # train on a random part of the clip
    word_drop: float = 0.1  # chance of each word piece to be left blank


@dataclass(frozen=True, kw_only=True)
class Recipe:
    name: str
    licence: str
    data_notice: str
    description: str = ""
    read_as: dict[str, str] = field(default_factory=dict)  # see tokenizer.Reworded
    data: DataRecipe = field(default_factory=DataRecipe)
    rvq: RvqConfig = field(default_factory=RvqConfig)
    base: TransformerConfig = field(default_factory=TransformerConfig)
    residual: TransformerConfig = field(default_factory=TransformerConfig)
    length: LengthConfig = field(default_factory=LengthConfig)
    evaluator: EvaluatorConfig = field(default_factory=lambda: TOWER_EVALUATOR)
    sampling: Sampling = field(default_factory=Sampling)
    rvq_training: RvqTraining
    base_training: TransformerTraining
    residual_training: TransformerTraining
    length_training: LengthTraining
    decoder_training: DecoderTraining | None = None
    evaluator_training: EvaluatorTraining = field(default_factory=EvaluatorTraining)


def read_recipe(file: Path) -> Recipe:
    """Raises RecipeError that names the file and the key."""
    return build_recipe(read_toml(file), file)


def read_toml(file: Path) -> dict[str, Any]:
    """Raises RecipeError."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"Cannot read the configuration {file}: {error.strerror}.") from error
    except ValueError as error:  # TOMLDecodeError, or no UTF-8
        raise RecipeError(f"{file}: {error}") from error


def build_recipe(values: dict[str, Any], file: Path) -> Recipe:
    """`values` as they stand in `file`. Raises RecipeError that names the file and the key."""
    try:
        return _build(Recipe, values, "")
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{file}: {error}") from error


def _build(kind: Any, values: dict[str, Any], where: str) -> Any:
    known = {item.name: item.type for item in fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"unknown key {where}{unknown[0]}")
    built = {}
    for name, value in values.items():
        table = next(
            (each for each in get_args(known[name]) or (known[name],) if is_dataclass(each)), None
        )
        if table:
            built[name] = _build(table, value, f"{where}{name}.")
        else:
            built[name] = tuple(value) if isinstance(value, list) else value
    return kind(**built)


def as_config(config: Any) -> dict[str, Any]:
    """A configuration dataclass as JSON-ready fields."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}
