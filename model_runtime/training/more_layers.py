"""Give a trained tokenizer more layers: what its codebooks leave over is coded further.

Encoder and codebooks stay, so that tokens keep their meaning and the transformers need no training:
they make the layers that they made before. The new ones code recordings; the decoder should learn
them.
"""

import torch
from torch import Tensor

from model_runtime.nets.rvq import Rvq
from model_runtime.training.codebooks import CodebookTrainer
from model_runtime.training.data import Motion
from momask_blender.contract.skeleton import FRAMES_PER_TOKEN

STEPS, BATCH, DECAY = 1500, 4096, 0.98  # of the moving averages; a batch is of tokens


@torch.no_grad()
def more_codebooks(
    network: Rvq, motions: list[Motion], statistics: tuple[Tensor, Tensor], count: int
) -> Tensor:
    """-> (Q + count, K, C): the network's own codebooks and `count` learned by what they leave."""
    mean, std = (values.float() for values in statistics)
    left = _left_over(network, motions, mean, std)
    added = torch.zeros(count, *network.codebooks.shape[1:], device=mean.device)
    trainer = CodebookTrainer(added, DECAY).to(mean.device)
    generator = torch.Generator(mean.device).manual_seed(0)
    for _ in range(STEPS):
        rows = torch.randint(len(left), (BATCH,), generator=generator, device=mean.device)
        trainer.quantize(left[rows], count, generator)
    return torch.cat([network.codebooks, added])


def _left_over(network: Rvq, motions: list[Motion], mean: Tensor, std: Tensor) -> Tensor:
    """Latents less their codes (M, C), at the four ways frames can fall into tokens."""
    rows = []
    for motion in motions:
        normed = (torch.from_numpy(motion.features).to(mean.device) - mean) / std
        for offset in range(FRAMES_PER_TOKEN):
            usable = (len(normed) - offset) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN
            latents = network.latents(normed[None, offset : offset + usable])
            codes = network.codes(network.quantize(latents)).sum(dim=0)
            rows.append((latents - codes)[0])
    return torch.cat(rows)
