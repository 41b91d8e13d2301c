"""The whole story: text embedding -> tokens -> features -> joints."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_runtime.features import features_to_joints
from model_runtime.networks import Networks
from model_runtime.sampling import (
    MASK,
    Sampling,
    SeededNoise,
    add_residual_layers,
    fill_masked,
    sample_length,
)
from momask_blender.contract.pose import pose_to_joints, solve_pose
from momask_blender.contract.skeleton import FRAMES_PER_TOKEN, MAX_FRAMES, tokens_for

Array = NDArray[np.floating]
Tokens = NDArray[np.int64]
Report = Callable[[str], None]  # told when a phase begins

SHORTEST_ESTIMATE = 10  # tokens; no training clip is shorter than two seconds


@dataclass(frozen=True)
class Motion:
    """One generated clip at 20 fps. Model axes, metres."""

    joints: Array  # (T, 22, 3) as decoded
    joints_rig: Array  # (T, 22, 3) the same on constant bone lengths
    features: Array  # (T, 263)
    tokens: Tokens  # (tokens that cover T, Q)


def _no_report(_phase: str) -> None:
    pass


def generate(
    networks: Networks,
    text: Array,
    lengths_frames: Sequence[int | None],
    seeds: Sequence[int],
    sampling: Sampling,
    report: Report = _no_report,
) -> list[Motion]:
    """Clips for text embeddings (B, E); a length of None is left to the length estimator.

    A clip's noise comes from its own seed: it gets the same tokens alone or in any batch.
    """
    noises = [SeededNoise(seed) for seed in seeds]
    estimated = estimate_frames(networks, text, noises) if None in lengths_frames else []
    frames = [
        estimated[clip] if wanted is None else wanted for clip, wanted in enumerate(lengths_frames)
    ]
    tokens = generate_tokens(networks, text, frames, noises, sampling, report)
    report("Decoding")
    return [
        decode(networks, clip_tokens[: tokens_for(length)], length)
        for clip_tokens, length in zip(tokens, frames, strict=True)
    ]


def generate_tokens(
    networks: Networks,
    text: Array,
    lengths_frames: Sequence[int],
    noises: Sequence[SeededNoise],
    sampling: Sampling,
    report: Report = _no_report,
) -> Tokens:
    """text (B, E) -> tokens (B, longest, Q), ABSENT beyond a clip's own length."""
    lengths = np.array([tokens_for(length) for length in lengths_frames])
    valid = np.arange(lengths.max()) < lengths[:, None]  # (B, N)

    def predict_base(tokens: Tokens) -> Array:
        return networks.predict_base(tokens, text, valid, sampling.guidance_scale)

    def predict_layer(tokens: Tokens, layer: int) -> Array:
        scale = sampling.residual_guidance_scale
        return networks.predict_residual(tokens, layer, text, valid, scale)

    report("Generating motion")
    blank = np.full(valid.shape, MASK)
    base = fill_masked(predict_base, blank, valid, sampling, noises)
    report("Adding detail")
    num_quantizers = networks.card.num_quantizers
    return add_residual_layers(predict_layer, base, valid, num_quantizers, sampling, noises)


def estimate_frames(networks: Networks, text: Array, noises: Sequence[SeededNoise]) -> list[int]:
    """A length for each text (B, E), drawn from the length estimator."""
    tokens = sample_length(networks.length_logits(text), noises)
    longest = MAX_FRAMES // FRAMES_PER_TOKEN
    return [int(n) * FRAMES_PER_TOKEN for n in np.clip(tokens, SHORTEST_ESTIMATE, longest)]


def decode(networks: Networks, tokens: Tokens, num_frames: int) -> Motion:
    """tokens (N, Q) -> the first `num_frames` of the motion that they code."""
    features = networks.decode(tokens)[:num_frames]
    joints = features_to_joints(features)
    joints_rig = pose_to_joints(solve_pose(joints))
    return Motion(joints, joints_rig, features, tokens)
