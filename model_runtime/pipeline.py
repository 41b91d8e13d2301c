"""The whole story: text embedding -> tokens -> features -> joints."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model_runtime.features import features_to_joints
from model_runtime.floor import grounded
from model_runtime.kit import at_our_rate, kit_to_joints
from model_runtime.networks import Networks, Text
from model_runtime.parts import (
    Led,
    Predicts,
    part_shares,
    predict_by_parts,
    split_prompt,
    stretches,
)
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

    joints: Array  # (T, 22, 3) as decoded, neither under the floor nor hovering
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
    """Clips for text embeddings (B, E), or (B, P, E) of P actions one after the other, see
    parts.py; a length of None is left to the length estimator.

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
    for clip_tokens, length, said in zip(tokens, frames, text, strict=True):
        motions.append(decode(networks, clip_tokens, length, networks.stays_on_floor(said)))
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
    """text (B, E) or (B, P, E) -> tokens (B, longest, Q), ABSENT beyond a clip's own length."""
    lengths = np.array([tokens_for(networks.frames_for(length)) for length in lengths_frames])
    valid = np.arange(lengths.max()) < lengths[:, None]  # (B, N)
    blank = np.where(valid, MASK, ABSENT)
    tokens = with_unknown_layers(blank, networks.card.num_quantizers)
    return sample_tokens(networks, text, tokens, noises, sampling, report)


def sample_tokens(
    networks: Networks,
    text: Array | Led,
    tokens: Tokens,
    noises: Sequence[SeededNoise],
    sampling: Sampling,
    report: Report | None = None,
) -> Tokens:
    """tokens (B, N, Q) with MASK in all layers of some positions, text (B, E) or (B, P, E) -> the
    same without MASK.

    Clips end where the base layer becomes ABSENT, and layers that no transformer makes are ABSENT,
    too, where they were MASK. Generating is filling empty clips. P actions
    share a clip by their usual lengths if it is not said where each of them leads.
    """
    report = report or Silence()
    valid = tokens[..., 0] != ABSENT
    led = _lead(networks, text, valid)

    def predict_base(base: Tokens) -> Array:
        report.step()
        return led(partial(networks.predict_base, scale=sampling.guidance_scale), base)

    def predict_layer(layers: Tokens, layer: int) -> Array:
        report.step()
        scale = sampling.residual_guidance_scale
        return led(partial(networks.predict_residual, layer=layer, scale=scale), layers)

    report.begin("Generating motion")
    base = fill_masked(predict_base, tokens[..., 0], valid, sampling, noises)
    report.begin("Adding detail")
    layers = np.concatenate([base[..., None], tokens[..., 1:]], axis=-1)
    made, beyond = np.split(layers, [networks.card.num_sampled], axis=-1)
    made = add_residual_layers(predict_layer, made, valid, sampling, noises)
    beyond = np.where((beyond == MASK) | ~valid[..., None], ABSENT, beyond)
    return np.concatenate([made, beyond], axis=-1)


def _lead(
    networks: Networks, text: Array | Led, valid: NDArray[np.bool_]
) -> Callable[[Predicts, Tokens], Array]:
    """Which text speaks for which tokens: (B, E) for all of a clip, (B, P, E) part by part."""
    if isinstance(text, Led):
        return partial(predict_by_parts, led=text)
    if text.ndim == 2:
        return lambda predict, tokens: predict(tokens, text=text, valid=valid)
    clips = [
        stretches(int(length), part_shares(networks, parts))
        for parts, length in zip(text, valid.sum(axis=1), strict=True)
    ]
    return partial(predict_by_parts, led=Led(text, clips))


def read_prompt(networks: Networks, prompt: str) -> Text:
    """A prompt's vector (1, E), or (P, E) of its actions one after the other where the text tower
    does not tell their order. Raises WeightsError."""
    return networks.embed_text([prompt] if networks.reads_order else split_prompt(prompt))


def as_condition(text: Text, num_clips: int) -> Array:
    """What `generate` takes for clips of one prompt, from `read_prompt`."""
    vectors = text.vectors if len(text.vectors) > 1 else text.vectors[0]
    return np.repeat(vectors[None], num_clips, axis=0)


def estimate_frames(networks: Networks, text: Array, noises: Sequence[SeededNoise]) -> list[int]:
    """A length for each text (B, E) or, over its parts, (B, P, E), from the length estimator."""
    parts = text[:, None] if text.ndim == 2 else text
    drawn = [sample_length(networks.length_logits(part), noises) for part in parts.swapaxes(0, 1)]
    tokens = np.sum(drawn, axis=0)
    longest = MAX_FRAMES // FRAMES_PER_TOKEN
    return [int(n) * FRAMES_PER_TOKEN for n in np.clip(tokens, SHORTEST_ESTIMATE, longest)]


def decode(networks: Networks, tokens: Tokens, num_frames: int, on_floor: bool) -> Motion:
    """tokens (N, Q) -> the first `num_frames` (20 fps) of the motion that they code. `on_floor`: it
    is none that climbs or sits high."""
    own_frames = networks.frames_for(num_frames)
    tokens = tokens[: tokens_for(own_frames)]
    features = networks.decode(tokens)[:own_frames]
    if networks.is_kit:
        joints = at_our_rate(kit_to_joints(features, networks.mean), num_frames)
    else:
        joints = features_to_joints(features)
    joints = grounded(joints, on_floor)
    return Motion(joints, solve_pose(joints), features, tokens)
