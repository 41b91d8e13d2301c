"""Several processes that train one model, as `torchrun` starts them; one process needs nothing.

Every rank holds the same weights, draws its own batches and shares gradients and codebook counts.
Rank 0 alone validates, writes and reports.
"""

import os
from collections.abc import Iterable

import torch
from torch import Tensor
from torch import distributed as dist

SEED_STRIDE = 7_919_000_017  # far apart, so that no rank repeats the steps of another


def join() -> torch.device:
    """Meet the other ranks, if torchrun started several; the device that this one trains on."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    has_cuda = torch.cuda.is_available()
    if has_cuda:
        torch.cuda.set_device(local % torch.cuda.device_count())
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if has_cuda else "gloo")
    return torch.device("cuda" if has_cuda else "cpu")


def leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    return rank() == 0


def seed(base: int, step: int) -> int:
    """From (seed, step, rank); rank 0 draws what a single process draws."""
    return base * 1_000_003 + step + rank() * SEED_STRIDE


def wait() -> None:
    """Until every rank is here."""
    if dist.is_initialized():
        dist.barrier()


def add_up(*tensors: Tensor) -> None:
    """Sum over ranks, in place."""
    if dist.is_initialized():
        for tensor in tensors:
            dist.all_reduce(tensor)


def take_from_first(*tensors: Tensor) -> None:
    """What rank 0 has, in place."""
    if dist.is_initialized():
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Mean over ranks, all gradients in one message. Every rank must have the same ones."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients]) / dist.get_world_size()
    dist.all_reduce(flat)
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
