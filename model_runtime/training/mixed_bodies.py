"""Clips whose upper body is that of another clip: more poses than the recordings have."""

import torch
from torch import Tensor

from model_runtime.features import COLUMNS
from momask_blender.contract.skeleton import INDEX, PARENTS


def _upper_body() -> list[int]:
    """Spine, head and arms."""
    found = [INDEX["spine1"]]
    for joint, parent in enumerate(PARENTS):
        if parent in found:
            found.append(joint)
    return sorted(found)


UPPER = _upper_body()


def mix_bodies(
    normed: Tensor, share: float, mean: Tensor, std: Tensor, generator: torch.Generator
) -> Tensor:
    """normed features (B, T, D) -> the same, of which the first `share` of the batch exchange
    their upper bodies among themselves. Each keeps its path, facing and legs."""
    count = int(share * len(normed))
    if count < 2:
        return normed
    clips = normed[:count] * std + mean
    order = torch.randperm(count, generator=generator, device=normed.device)
    mixed = (with_upper_body(clips, clips[order]) - mean) / std
    return torch.cat([mixed, normed[count:]])


def with_upper_body(clips: Tensor, others: Tensor) -> Tensor:
    """Features (B, T, D) in physical units: root, legs and contacts of `clips`, spine, head and
    arms of `others`, at the pelvis of `clips`."""
    mixed = clips.clone()
    lift = clips[..., COLUMNS["root_height"]] - others[..., COLUMNS["root_height"]]

    def joints(features: Tensor, name: str, width: int) -> Tensor:
        """A view (B, T, joints, width) of one kind of column."""
        return features[..., COLUMNS[name]].unflatten(-1, (-1, width))

    without_root = [joint - 1 for joint in UPPER]
    positions = joints(others, "positions", 3)[:, :, without_root].clone()
    positions[..., 1] += lift
    joints(mixed, "positions", 3)[:, :, without_root] = positions
    turned = joints(others, "rotations_6d", 6)[:, :, without_root]
    joints(mixed, "rotations_6d", 6)[:, :, without_root] = turned
    speeds = joints(others, "velocities", 3)
    beside_root = speeds[:, :, UPPER] - speeds[:, :, :1]
    joints(mixed, "velocities", 3)[:, :, UPPER] = (
        beside_root + joints(clips, "velocities", 3)[:, :, :1]
    )
    return mixed
