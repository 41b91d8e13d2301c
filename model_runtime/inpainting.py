"""Fill the gaps of a motion: kept tokens stay, the others are predicted between them.

Paper, sections 3.4 and 4.3. The motion is encoded as a whole, filled window by window and decoded as
a whole; then each gap is brought to the place, heading and pose of its kept frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_runtime.features import features_to_joints, joints_to_features, place_at_origin
from model_runtime.gap_travel import bring_home
from model_runtime.networks import Networks
from model_runtime.pipeline import Report, Silence
from model_runtime.sampling import MASK, Sampling, SeededNoise, add_residual_layers, fill_masked
from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose, pose_to_joints, solve_pose
from momask_blender.contract.seams import (
    Gap,
    find_gaps,
    interpolate_positions,
    interpolate_rotations,
    join_positions,
    join_rotations,
)
from momask_blender.contract.skeleton import FRAMES_PER_TOKEN, FPS, MAX_FRAMES, tokens_for

Array = NDArray[np.floating]
Kept = NDArray[np.bool_]
Tokens = NDArray[np.int64]

LONGEST = MAX_FRAMES // FRAMES_PER_TOKEN  # tokens that the transformers see at once
CONTEXT = 6  # tokens: known ones before a window's gap, and its last ones that are made again

KNOBS = {"partial": "mask", "fade": 4.0, "carry": False, "solve": True, "margin": 0}


@dataclass(frozen=True)
class Window:
    """Tokens `start` to `stop - 1` are sampled together; those before `settled` are final."""

    start: int
    stop: int
    settled: int


def inpaint(
    networks: Networks,
    text: Array,
    source: Pose,
    is_kept: Kept,
    seeds: Sequence[int],
    sampling: Sampling,
    report: Report | None = None,
) -> list[Pose]:
    report = report or Silence()
    guess = interpolate_pose(source, is_kept)
    tokens = encode_kept(networks, guess, is_kept)
    filled = fill_tokens(networks, text, tokens, seeds, sampling, report)
    floor = pose_to_joints(guess)[..., 1].min()
    return [join(decode_pose(networks, t, len(is_kept), floor), source, is_kept) for t in filled]


def interpolate_pose(source: Pose, is_kept: Kept) -> Pose:
    fade = KNOBS["fade"]
    return Pose(
        interpolate_positions(source.root, is_kept, fade),
        interpolate_rotations(source.rotations, is_kept, fade),
    )


def encode_kept(networks: Networks, guess: Pose, is_kept: Kept) -> Tokens:
    joints = place_at_origin(pose_to_joints(guess))
    num_tokens = tokens_for(len(joints))
    missing = num_tokens * FRAMES_PER_TOKEN + 1 - len(joints)
    joints = np.concatenate([joints, np.repeat(joints[-1:], missing, axis=0)])
    tokens = networks.encode(joints_to_features(joints))
    kept = np.concatenate([is_kept, np.repeat(is_kept[-1:], missing - 1)])
    per_token = kept.reshape(num_tokens, FRAMES_PER_TOKEN).sum(axis=1)
    limit = {"mask": 4, "keep": 1, "half": 2, "3": 3}[KNOBS["partial"]]
    unknown = per_token < limit
    for _ in range(KNOBS["margin"]):
        unknown = unknown | np.roll(unknown, 1) | np.roll(unknown, -1)
    return np.where(unknown[:, None], MASK, tokens)


def windows(tokens: Tokens) -> Iterator[Window]:
    """Windows that together cover every unknown token. tokens (N, Q)."""
    unknown = tokens[:, 0] == MASK
    num_tokens, settled = len(tokens), 0
    while unknown[settled:].any():
        first = settled + int(unknown[settled:].argmax())
        known_again = np.flatnonzero(~unknown[first:])
        length = int(known_again[0]) if len(known_again) else num_tokens - first
        start = max(0, min(first - max(CONTEXT, (LONGEST - length) // 2), num_tokens - LONGEST))
        stop = min(num_tokens, start + LONGEST)
        settled = stop if stop == num_tokens else stop - CONTEXT
        yield Window(start, stop, settled)


def fill_tokens(networks, text, tokens, seeds, sampling, report) -> Tokens:
    noises = [SeededNoise(seed) for seed in seeds]
    filled = np.repeat(tokens[None], len(seeds), axis=0)
    for window in windows(tokens):
        new = fill_window(
            networks, text, filled[:, window.start : window.stop], noises, sampling, report
        )
        count = window.settled - window.start
        filled[:, window.start : window.settled] = new[:, :count]
    return filled


def fill_window(networks, text, tokens, noises, sampling, report) -> Tokens:
    valid = np.ones(tokens.shape[:2], dtype=bool)

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
    num_quantizers = networks.card.num_quantizers
    return add_residual_layers(
        predict_layer, base, valid, num_quantizers, sampling, noises, kept=tokens
    )


def decode_pose(networks: Networks, tokens: Tokens, num_frames: int, floor: float) -> Pose:
    joints = features_to_joints(networks.decode(tokens)[:num_frames])
    pose = solve_pose(joints)
    return Pose(pose.root + (0.0, floor, 0.0), pose.rotations)


def join(made: Pose, source: Pose, is_kept: Kept) -> Pose:
    """Each gap in the place and heading of its kept frames, and smoothly between them."""
    root, rotations = source.root.copy(), source.rotations.copy()
    for gap in find_gaps(is_kept):
        frames = slice(max(0, gap.start - 2), gap.stop + 2)
        offset = frames.start
        length = len(is_kept)
        before = gap.start - 1 if gap.start else gap.stop
        after = gap.stop if gap.stop < length else gap.start - 1
        part = bring_home(cut(made, frames), cut(source, frames), before - offset, after - offset)
        kept = is_kept[frames].copy()
        fade, carry = KNOBS["fade"], KNOBS["carry"]
        inside = slice(gap.start - offset, gap.stop - offset)
        root[gap.start : gap.stop] = join_positions(
            part.root, source.root[frames], kept, fade, carry
        )[inside]
        rotations[gap.start : gap.stop] = join_rotations(
            part.rotations, source.rotations[frames], kept, fade, carry
        )[inside]
    return Pose(root, rotation.continuous(rotations))


def cut(pose: Pose, frames: slice) -> Pose:
    return Pose(pose.root[frames], pose.rotations[frames])
