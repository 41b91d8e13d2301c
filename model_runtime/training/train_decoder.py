"""Teach the decoder to plant feet in motions that the transformers make.

Tokens that were sampled do not fit each other as well as tokens of a recording: the root goes a
little faster or slower than the legs walk. The decoder alone is trained further, so that tokens
keep their meaning: on recordings as before, and on sampled tokens, where toes that the first
decoder holds to the floor must stay in place while all else stays as that decoder has it.
"""

import copy
import random
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_runtime.evaluation.measures import CONTACT_HEIGHT, CONTACT_RISE, TOES
from model_runtime.nets.rvq import Rvq
from model_runtime.networks import Networks
from model_runtime.pipeline import generate_tokens
from model_runtime.sampling import SeededNoise
from model_runtime.training.data import Motion
from model_runtime.training.loop import Losses, Stage
from model_runtime.training.mixed_bodies import mix_bodies
from model_runtime.training.recipe import Recipe
from model_runtime.training.train_rvq import (
    Windows,
    feature_losses,
    reconstruction_error,
    weighted_sum,
    world_joints,
)
from momask_blender.contract.skeleton import FPS, FRAMES_PER_TOKEN, MAX_FRAMES

HELD_OUT = 8  # every eighth sampled clip is for validation


def decoder_stage(
    recipe: Recipe,
    network: Rvq,
    motions: list[Motion],
    validation: list[Motion],
    statistics: tuple[Tensor, Tensor],
    sampled: list[Tensor],
) -> Stage:
    """`network` is the trained tokenizer, `sampled` are clips of tokens (N, Q) from the
    transformers, each at least as long as the shortest window. Encoder and codebooks stay."""
    training = recipe.decoder_training
    assert training
    mean, std = (values.float() for values in statistics)
    teacher = copy.deepcopy(network).eval().requires_grad_(False)
    network.encoder.requires_grad_(False)
    recorded = Windows(motions, mean, std)
    sizes = sorted(recorded.fitting(training.windows))
    num_tokens = sizes[0] // FRAMES_PER_TOKEN
    recording_weights = replace(recipe.rvq_training, path_weight=training.path_weight)
    held_out, used = sampled[::HELD_OUT], [c for i, c in enumerate(sampled) if i % HELD_OUT]

    def sampled_losses(student: Rvq, tokens: Tensor) -> Losses:
        """tokens (B, N, Q): how far feet slide, and how far all else moved from the teacher."""
        with torch.no_grad():
            before = teacher.decode(tokens) * std + mean
        after = student.decode(tokens) * std + mean
        goal, got = world_joints(before), world_joints(after)
        slides = got[:, :, TOES].diff(dim=1)[..., [0, 2]].norm(dim=-1)
        planted = touching(goal)
        kept = (got - got[:, :, :1]) - (goal - goal[:, :, :1])
        return {
            "slide": FPS * (slides * planted).sum() / planted.sum().clamp(min=1),
            "kept": kept.abs().mean() + (got[..., 0, 1] - goal[..., 0, 1]).abs().mean(),
            "kept_features": functional.l1_loss(after / std, before / std),
        }

    def loss(generator: torch.Generator, step: int) -> Losses:
        window = sizes[step % len(sizes)]
        count = training.batch_size * sizes[0] // window  # batches of about as many frames
        drawn = recorded.draw(count, window, generator)
        normed = mix_bodies(drawn, training.mixed_share, mean, std, generator)
        decoded = network.decode(network.encode(normed)).float()
        terms = feature_losses(recording_weights, normed, decoded, mean, std)
        terms["jerk"] = _jerk_ratio(decoded * std + mean, normed * std + mean)
        chosen = _windows(used, training.batch_size, num_tokens, generator)
        terms |= sampled_losses(network, chosen)
        total = (
            weighted_sum(recording_weights, terms)
            + training.jerk_weight * terms["jerk"]
            + training.slide_weight * terms["slide"]
            + training.kept_weight * (20.0 * terms["kept"] + terms["kept_features"])
        )
        return terms | {"total": total}

    clips = [torch.from_numpy(m.features).to(mean.device) for m in validation]

    @torch.no_grad()
    def validate(averaged: nn.Module) -> float:
        """Millimetres of reconstruction and centimetres per second of slide."""
        assert isinstance(averaged, Rvq)
        errors = [reconstruction_error(averaged, clip, mean, std) for clip in clips]
        fixed = torch.Generator(mean.device).manual_seed(0)
        tokens = _windows(held_out, 8 * len(held_out), num_tokens, fixed)
        slide = sampled_losses(averaged, tokens)["slide"].item()
        return sum(errors) / len(errors) + 100.0 * slide

    return Stage("decoder", network, loss, validate)


def sample_clips(
    networks: Networks, motions: list[Motion], count: int, window: int
) -> list[Tensor]:
    """Tokens (N, Q) of motions for captions of the data, at least `window` frames long."""
    chance = random.Random(count)  # noqa: S311 - no secrets here
    drawn = chance.choices(motions, [motion.weight for motion in motions], k=count)
    clips = []
    for seed, motion in enumerate(drawn):
        text = networks.embed_text([chance.choice(motion.captions)]).vectors
        frames = chance.randint(window, MAX_FRAMES) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN
        noises = [SeededNoise(seed)]
        tokens = generate_tokens(networks, text, [frames], noises, networks.card.sampling)
        clips.append(torch.from_numpy(tokens[0]))
    return clips


def touching(joints: Tensor) -> Tensor:
    """Steps in which a toe is held to the floor, as `measures.contact_steps` has them.

    joints (B, T, 22, 3) -> (B, T - 1, 2).
    """
    height = joints[:, :, TOES, 1]
    low = torch.maximum(height[:, 1:], height[:, :-1]) < CONTACT_HEIGHT
    return low & (height.diff(dim=1).abs() < CONTACT_RISE)


def _jerk_ratio(got: Tensor, goal: Tensor) -> Tensor:
    """How far the mean size of the third derivative is from the recording's, as a logarithm.

    Losses by distance alone make motion smoother than it was: what cannot be foreseen is averaged.
    """
    sizes = [world_joints(each).diff(n=3, dim=1).norm(dim=-1).mean() for each in (got, goal)]
    return (sizes[0] / sizes[1].clamp(min=1e-6)).log().abs()


def _windows(
    clips: list[Tensor], count: int, num_tokens: int, generator: torch.Generator
) -> Tensor:
    """Random windows of clips of tokens (N, Q) -> (count, num_tokens, Q)."""
    device = generator.device
    chosen = torch.randint(len(clips), (count,), generator=generator, device=device).tolist()
    shares = torch.rand(count, generator=generator, device=device).tolist()
    windows = []
    for index, share in zip(chosen, shares, strict=True):
        first = int(share * (len(clips[index]) - num_tokens + 1))
        windows.append(clips[index][first : first + num_tokens])
    return torch.stack(windows)
