"""Train the residual VQ-VAE (paper, section 3.1 and MoMask's training code).

Beyond the release: windows of several lengths, so that clips of two seconds count; a loss on
joints in world space, which keeps the integrated root path from drifting; a short start as a
plain autoencoder, after which the codebooks are drawn from data.
"""

import random

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model_runtime.features import COLUMNS
from model_runtime.nets.rvq import Rvq
from model_runtime.training.codebooks import CodebookTrainer
from model_runtime.training.data import Motion
from model_runtime.training.layouts import DataError
from model_runtime.training.loop import Losses, Stage
from model_runtime.training.mixed_bodies import mix_bodies
from model_runtime.training.recipe import Recipe, RvqTraining
from momask_blender.contract.skeleton import NUM_JOINTS


class Windows:
    """All motions end to end on one device, and random windows out of them."""

    def __init__(self, motions: list[Motion], mean: Tensor, std: Tensor) -> None:
        device = mean.device
        rows = np.concatenate([motion.features for motion in motions])
        lengths = [len(motion.features) for motion in motions]
        self.normed = (torch.from_numpy(rows).to(device) - mean) / std  # (F, D)
        self.lengths = torch.tensor(lengths, device=device)
        self.starts = torch.tensor(np.cumsum([0, *lengths[:-1]]), device=device)
        # A window position is as likely as any other of its clip's family.
        weights = [m.weight / len(m.features) for m in motions]
        self.weights = torch.tensor(weights, device=device, dtype=torch.float32)

    def fitting(self, windows: tuple[int, ...]) -> list[int]:
        """Those of `windows` that a motion is long enough for. Raises DataError when none is."""
        longest = int(self.lengths.max())
        if fitting := [frames for frames in windows if frames <= longest]:
            return fitting
        raise DataError(f"The longest clip has {longest} frames; windows starts at {min(windows)}.")

    def draw(self, count: int, frames: int, generator: torch.Generator) -> Tensor:
        """-> (count, frames, D) normed features."""
        room = (self.lengths - frames + 1).clamp(min=0)
        chosen = torch.multinomial(self.weights * room, count, True, generator=generator)
        share = torch.rand(count, generator=generator, device=generator.device)
        first = self.starts[chosen] + (share * room[chosen]).long()
        steps = torch.arange(frames, device=first.device)
        return self.normed[first[:, None] + steps]


def world_joints(features: Tensor) -> Tensor:
    """`features_to_joints` for gradients: physical features (B, T, D) -> (B, T, 22, 3)."""
    step = features[..., COLUMNS["heading_step"]].squeeze(-1)
    angle = 2.0 * functional.pad(step.cumsum(dim=1)[:, :-1], (1, 0))
    cosine, sine = angle.cos().unsqueeze(-1), angle.sin().unsqueeze(-1)

    def to_world(x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        return cosine * x - sine * z, sine * x + cosine * z

    root_step = functional.pad(features[:, :-1, COLUMNS["root_step"]], (0, 0, 1, 0))
    root_x, root_z = to_world(root_step[..., :1], root_step[..., 1:])
    root_x, root_z = root_x.cumsum(dim=1), root_z.cumsum(dim=1)
    local = features[..., COLUMNS["positions"]].unflatten(-1, (NUM_JOINTS - 1, 3))
    x, z = to_world(local[..., 0], local[..., 2])
    others = torch.stack([x + root_x, local[..., 1], z + root_z], dim=-1)
    root = torch.cat([root_x, features[..., COLUMNS["root_height"]], root_z], dim=-1)
    return torch.cat([root.unsqueeze(2), others], dim=2)


def feature_losses(
    recipe: RvqTraining, normed: Tensor, decoded: Tensor, mean: Tensor, std: Tensor
) -> Losses:
    """How decoded clips differ from recorded ones, both normed (B, T, D)."""
    positions = COLUMNS["positions"]
    goal, got = world_joints(normed * std + mean), world_joints(decoded * std + mean)
    return {
        "features": functional.smooth_l1_loss(decoded, normed, beta=recipe.beta),
        "positions": functional.smooth_l1_loss(
            decoded[..., positions], normed[..., positions], beta=recipe.beta
        ),
        "path": (got - goal).abs().mean(),
        "speed": (got.diff(dim=1) - goal.diff(dim=1)).abs().mean(),
    }


def weighted_sum(recipe: RvqTraining, terms: Losses) -> Tensor:
    """What `feature_losses` found, as one number."""
    return (
        terms["features"]
        + recipe.position_weight * terms["positions"]
        + recipe.path_weight * terms["path"]
        + recipe.speed_weight * terms["speed"]
    )


def rvq_stage(
    recipe: Recipe,
    motions: list[Motion],
    validation: list[Motion],
    statistics: tuple[Tensor, Tensor],
) -> Stage:
    """statistics: mean (D,) and std (D,) on the device that is to train."""
    mean, std = (values.float() for values in statistics)
    training = recipe.rvq_training
    torch.manual_seed(training.seed)
    network = Rvq(recipe.rvq).to(mean.device)
    codebooks = CodebookTrainer(network.codebooks, training.code_decay)
    windows = Windows(motions, mean, std)
    sizes = windows.fitting(training.windows)

    def loss(generator: torch.Generator, step: int) -> Losses:
        chance = random.Random(training.seed * 1_000_003 + step)  # noqa: S311 - no secrets here
        normed = windows.draw(training.batch_size, chance.choice(sizes), generator)
        normed = mix_bodies(normed, training.mixed_share, mean, std, generator)
        latents, layers = network.latents(normed), recipe.rvq.num_quantizers
        if chance.random() < training.quantize_dropout:
            layers = chance.randint(1, layers)
        commitment = latents.new_zeros(())
        if step >= training.plain_steps or codebooks.ready:
            coded, commitment = codebooks.quantize(latents, layers, generator)
            latents = latents + (coded - latents).detach()
        decoded = network.decode_latents(latents).float()
        terms = feature_losses(training, normed, decoded, mean, std)
        total = weighted_sum(training, terms) + training.commit_weight * commitment
        return terms | {"commit": commitment, "total": total}

    clips = [torch.from_numpy(m.features).to(mean.device) for m in validation]

    def validate(averaged: nn.Module) -> float:
        assert isinstance(averaged, Rvq)
        return sum(reconstruction_error(averaged, clip, mean, std) for clip in clips) / len(clips)

    return Stage("rvq", network, loss, validate, extra=codebooks)


@torch.no_grad()
def reconstruction_error(network: Rvq, features: Tensor, mean: Tensor, std: Tensor) -> float:
    """Mean distance of decoded joints, root-aligned (the paper's MPJPE) plus a third of the root's
    own drift, in millimetres: pose first, but a clip must also end where it should."""
    usable = features[: len(features) // 4 * 4]
    decoded = network.decode(network.encode(((usable - mean) / std)[None]))
    goal, got = world_joints(usable[None]), world_joints(decoded * std + mean)
    pose = ((got - got[:, :, :1]) - (goal - goal[:, :, :1])).norm(dim=-1).mean()
    drift = (got[:, :, 0] - goal[:, :, 0]).norm(dim=-1).mean()
    return 1000.0 * (pose + drift / 3.0).item()
