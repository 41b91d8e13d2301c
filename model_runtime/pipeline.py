"""The whole story: text embedding -> tokens -> features -> joints."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model_runtime.features import features_to_joints
from model_runtime.kit import at_our_rate, kit_to_joints
from model_runtime.networks import Networks
from model_runtime.sampling import (
    ABSENT,
    MASK,
    Sampling,
    SeededNoise,
    add_residual_layers,
    fill_masked,
    sample_length,
    with_unknown_layers,
)
from momask_blender.contract.pose import Pose, pose_to_joints, solve_pose
from momask_blender.contract.skeleton import FRAMES_PER_TOKEN, MAX_FRAMES, tokens_for

Array = NDArray[np.floating]
Tokens = NDArray[np.int64]

SHORTEST_ESTIMATE = 10  # tokens; no training clip is shorter than two seconds


@dataclass(frozen=True)
class Motion:
    """One generated clip at 20 fps. Model axes, metres."""

    joints: Array  # (T, 22, 3) as decoded
    pose: Pose  # the same as rigid segments, what a rig plays
    features: Array  # (T, 263), or KIT-ML's (T', 251) at 12.5 fps
    tokens: Tokens  # (tokens that cover T, Q)

    @property
    def joints_rig(self) -> Array:
        """(T, 22, 3): the joints on constant bone lengths."""
        return pose_to_joints(self.pose)


class Report(Protocol):
    """Hears how a generation goes. Whatever its methods raise ends the generation."""

    def begin(self, phase: str) -> None: ...

    def step(self) -> None:
        """One network pass, or one clip decoded."""
        ...


class Silence:
    """A report that nobody reads."""

    def begin(self, phase: str) -> None:
        pass

    def step(self) -> None:
        pass


def generate(
    networks: Networks,
    text: Array,
    lengths_frames: Sequence[int | None],
    seeds: Sequence[int],
    sampling: Sampling,
    report: Report | None = None,
) -> list[Motion]:
    """Clips for text embeddings (B, E); a length of None is left to the length estimator.

    A clip's noise comes from its own seed: it gets the same tokens alone or in any batch.
    """
    report = report or Silence()
    noises = [SeededNoise(seed) for seed in seeds]
    estimated = estimate_frames(networks, text, noises) if None in lengths_frames else []
    frames = [
        estimated[clip] if wanted is None else wanted for clip, wanted in enumerate(lengths_frames)
    ]
    tokens = generate_tokens(networks, text, frames, noises, sampling, report)
    report.begin("Decoding")
    motions = []
    for clip_tokens, length in zip(tokens, frames, strict=True):
        motions.append(decode(networks, clip_tokens, length))
        report.step()
    return motions


def generate_tokens(
    networks: Networks,
    text: Array,
    lengths_frames: Sequence[int],
    noises: Sequence[SeededNoise],
    sampling: Sampling,
    report: Report | None = None,
) -> Tokens:
    """text (B, E) -> tokens (B, longest, Q), ABSENT beyond a clip's own length."""
    lengths = np.array([tokens_for(networks.frames_for(length)) for length in lengths_frames])
    valid = np.arange(lengths.max()) < lengths[:, None]  # (B, N)
    blank = np.where(valid, MASK, ABSENT)
    tokens = with_unknown_layers(blank, networks.card.num_quantizers)
    return sample_tokens(networks, text, tokens, noises, sampling, report)


def sample_tokens(
    networks: Networks,
    text: Array,
    tokens: Tokens,
    noises: Sequence[SeededNoise],
    sampling: Sampling,
    report: Report | None = None,
) -> Tokens:
    """tokens (B, N, Q) with MASK in all layers of some positions -> the same without MASK.

    Clips end where the base layer becomes ABSENT. Generating is filling empty clips.
    """
    report = report or Silence()
    valid = tokens[..., 0] != ABSENT

    def predict_base(base: Tokens) -> Array:
        report.step()
        return networks.predict_base(base, text, valid, sampling.guidance_scale)

    def predict_layer(layers: Tokens, layer: int) -> Array:
        report.step()
        scale = sampling.residual_guidance_scale
        return networks.predict_residual(layers, layer, text, valid, scale)

    report.begin("Generating motion")
    base = fill_masked(predict_base, tokens[..., 0], valid, sampling, noises)
    report.begin("Adding detail")
    layers = np.concatenate([base[..., None], tokens[..., 1:]], axis=-1)
    return add_residual_layers(predict_layer, layers, valid, sampling, noises)


def estimate_frames(networks: Networks, text: Array, noises: Sequence[SeededNoise]) -> list[int]:
    """A length for each text (B, E), drawn from the length estimator."""
    tokens = sample_length(networks.length_logits(text), noises)
    longest = MAX_FRAMES // FRAMES_PER_TOKEN
    return [int(n) * FRAMES_PER_TOKEN for n in np.clip(tokens, SHORTEST_ESTIMATE, longest)]


def decode(networks: Networks, tokens: Tokens, num_frames: int) -> Motion:
    """tokens (N, Q) -> the first `num_frames` (20 fps) of the motion that they code."""
    own_frames = networks.frames_for(num_frames)
    tokens = tokens[: tokens_for(own_frames)]
    features = networks.decode(tokens)[:own_frames]
    if networks.is_kit:
        joints = at_our_rate(kit_to_joints(features, networks.mean), num_frames)
    else:
        joints = features_to_joints(features)
    return Motion(joints, solve_pose(joints), features, tokens)
