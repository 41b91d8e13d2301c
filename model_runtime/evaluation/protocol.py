"""What is run to evaluate a model: reconstructions of a split, and motions for its captions."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_runtime.evaluation.measures import Windows
from model_runtime.features import features_to_joints
from model_runtime.floor import grounded
from model_runtime.networks import Networks
from model_runtime.pipeline import generate_tokens
from model_runtime.sampling import ABSENT, Sampling, SeededNoise
from model_runtime.training.data import clip_features, mirror_joints
from model_runtime.training.layouts import DataError, read_clips
from momask_blender.contract.skeleton import FRAMES_PER_TOKEN, tokens_for

Array = NDArray[np.floating]
Tokens = NDArray[np.int64]

SPREAD_TEXTS = 8  # captions that get several seeds, spread over the split
SPREAD_SEEDS = 8
SEEDS_PER_REPEAT = 10_000


@dataclass(frozen=True)
class Example:
    """A clip of the data in whole tokens."""

    features: Array  # (T, 263)
    joints: Array  # (T, 22, 3), from the features
    captions: tuple[str, ...]


def read_examples(folder: Path, split: str) -> list[Example]:
    """Raises DataError that names the file at fault."""
    examples = []
    for clip in read_clips(folder, split):
        length = len(clip.joints) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN
        features = clip_features(clip.joints)[:length]
        examples.append(Example(features, features_to_joints(features), clip.captions))
    return examples


def read_training(folder: Path) -> list[Example]:
    """The training split, or nothing where the folder has none."""
    try:
        return read_examples(folder, "train")
    except DataError:
        if (folder / "train.txt").is_file():
            raise
        return []


def with_mirrored(clips: Sequence[Array]) -> list[Array]:
    """Clips (T, 22, 3) and their mirror images: training sees both."""
    return [*clips, *(mirror_joints(clip) for clip in clips)]


@dataclass(frozen=True)
class Decoded:
    features: list[Array]
    joints: list[Array]


def reconstruct(networks: Networks, tokens: Sequence[Tokens], num_layers: int) -> Decoded:
    """Clips from only the first `num_layers` of their tokens (N, Q)."""
    features = []
    for clip in tokens:
        kept = np.where(np.arange(clip.shape[1]) < num_layers, clip, ABSENT)
        features.append(networks.decode(kept))
    return Decoded(features, [features_to_joints(clip) for clip in features])


@dataclass(frozen=True)
class Generated:
    features: Array  # (T, 263)
    joints: Array  # (T, 22, 3), neither under the floor nor hovering
    tokens: Tokens  # (T / 4, Q)


@dataclass(frozen=True)
class Round:
    """One repeat: a motion for one caption of every example, at the example's length."""

    captions: list[str]
    motions: list[Generated]

    @property
    def joints(self) -> list[Array]:
        return [motion.joints for motion in self.motions]


def draw_captions(examples: Sequence[Example], repeat: int) -> list[str]:
    """One of each, as in the release's test loader; another repeat draws others."""
    rng = np.random.default_rng(repeat)
    return [str(rng.choice(example.captions)) for example in examples]


def generate_round(
    networks: Networks, examples: Sequence[Example], sampling: Sampling, repeat: int
) -> Round:
    captions = draw_captions(examples, repeat)
    text = networks.embed_text(captions).vectors
    lengths = [len(example.joints) for example in examples]
    seeds = [repeat * SEEDS_PER_REPEAT + clip for clip in range(len(examples))]
    return Round(captions, generate(networks, text, lengths, seeds, sampling))


def generate(
    networks: Networks,
    text: Array,
    lengths_frames: Sequence[int],
    seeds: Sequence[int],
    sampling: Sampling,
) -> list[Generated]:
    """What `pipeline.generate` makes of text (B, E), without fitting it to constant bones."""
    noises = [SeededNoise(seed) for seed in seeds]
    tokens = generate_tokens(networks, text, lengths_frames, noises, sampling)
    motions = []
    for clip, length, said in zip(tokens, lengths_frames, text, strict=True):
        own = clip[: tokens_for(length)]
        features = networks.decode(own)[:length]
        joints = grounded(features_to_joints(features), networks.stays_on_floor(said))
        motions.append(Generated(features, joints, own))
    return motions


def generate_seeds(
    networks: Networks, examples: Sequence[Example], sampling: Sampling, num_seeds: int
) -> list[list[Generated]]:
    """Several seeds for the first caption of each example."""
    by_text = []
    for example in examples:
        text = networks.embed_text([example.captions[0]]).vectors.repeat(num_seeds, axis=0)
        lengths = [len(example.joints)] * num_seeds
        by_text.append(generate(networks, text, lengths, range(num_seeds), sampling))
    return by_text


def spread_examples(examples: Sequence[Example]) -> list[Example]:
    """A few examples, evenly over the split."""
    picked = np.linspace(0, len(examples) - 1, min(SPREAD_TEXTS, len(examples))).round()
    return [examples[int(index)] for index in picked]


def spread(groups: Sequence[Sequence[Array]]) -> float | None:
    """Mean distance of the first two seconds of two clips of one text, in metres, each pair
    heading-aligned. None where no text has two clips (T, 22, 3)."""
    apart = []
    for clips in groups:
        windows = [Windows.of(clip[:40]) for clip in clips]
        apart += [float(a.distances(b)[0, 0]) for a, b in combinations(windows, 2)]
    return float(np.mean(apart)) if apart else None


def same_caption_groups(examples: Sequence[Example]) -> list[list[Example]]:
    """Clips of the data that share a caption: what the seeds of one prompt are compared with."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        for caption in set(example.captions):
            groups[caption].append(example)
    return [clips for clips in groups.values() if len(clips) > 1]
