"""The loop that every stage runs: step, EMA of weights, validation, checkpoints that resume."""

import copy
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from model_runtime.training.recipe import Loop

SAVE_EVERY_SECONDS = 60.0

Losses = dict[str, Tensor]


@dataclass
class Stage:
    """What differs between stages. `loss` draws its batch from the generator it is given."""

    name: str
    network: nn.Module
    loss: Callable[[torch.Generator, int], Losses]  # step -> named losses; their "total" is used
    validate: Callable[[nn.Module], float]  # lower is better
    after_step: Callable[[], None] = lambda: None
    extra: nn.Module | None = None  # trained state that is not shipped, such as codebook counts
    best: float = math.inf
    step: int = 0
    averaged: nn.Module = field(init=False)  # EMA of the weights

    def __post_init__(self) -> None:
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)


def learning_rate(loop: Loop, step: int) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    if step < loop.warmup_steps:
        return loop.learning_rate * (step + 1) / (loop.warmup_steps + 1)
    progress = (step - loop.warmup_steps) / max(1, loop.steps - loop.warmup_steps)
    return loop.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress)))


def run(stage: Stage, loop: Loop, out: Path, report: Callable[[str], None]) -> Path:
    """Train to the end and return the file with the best weights by validation.

    `out`/NAME.state.safetensors holds everything that resuming needs; steps draw their noise from
    (seed, step), so a run that was cut off goes on as if it had not been.
    """
    device = next(stage.network.parameters()).device
    optimizer = torch.optim.AdamW(
        stage.network.parameters(),
        lr=loop.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=loop.weight_decay,
        fused=device.type == "cuda",
    )
    out.mkdir(parents=True, exist_ok=True)
    state_file = out / f"{stage.name}.state.safetensors"
    best_file = out / f"{stage.name}.safetensors"
    if state_file.exists():
        _resume(stage, optimizer, state_file)
        report(f"{stage.name}: resumed at step {stage.step}")
    started, saved = time.monotonic(), time.monotonic()
    while stage.step < loop.steps:
        losses = _one_step(stage, loop, optimizer, device)
        if stage.step % loop.validate_every == 0 or stage.step == loop.steps:
            score = stage.validate(stage.averaged)
            report(_line(stage, loop, losses, score, time.monotonic() - started))
            if score <= stage.best:
                stage.best = score
                save_atomically(stage.averaged.state_dict(), best_file)
        if time.monotonic() - saved > SAVE_EVERY_SECONDS or stage.step == loop.steps:
            save_atomically(_state(stage, optimizer), state_file, _position(stage))
            saved = time.monotonic()
    return best_file


def _one_step(
    stage: Stage, loop: Loop, optimizer: torch.optim.Optimizer, device: torch.device
) -> Losses:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(loop, stage.step)
    generator = torch.Generator(device).manual_seed(loop.seed * 1_000_003 + stage.step)
    torch.manual_seed(loop.seed * 1_000_003 + stage.step)  # dropout has no generator argument
    stage.network.train()
    losses = stage.loss(generator, stage.step)
    optimizer.zero_grad(set_to_none=True)
    losses["total"].backward()
    torch.nn.utils.clip_grad_norm_(stage.network.parameters(), 1.0)
    optimizer.step()
    stage.after_step()
    stage.step += 1
    decay = min(loop.weights_decay, (1 + stage.step) / (10 + stage.step))
    _average(stage.averaged, stage.network, decay)
    return losses


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    for kept, new in zip(averaged.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1.0 - decay)
    for target, source in zip(averaged.buffers(), network.buffers(), strict=True):
        target.copy_(source)


def _line(stage: Stage, loop: Loop, losses: Losses, score: float, seconds: float) -> str:
    shown = " ".join(f"{name} {value.item():.4f}" for name, value in losses.items())
    return (
        f"{stage.name} {stage.step}/{loop.steps}: {shown} | validation {score:.4f} "
        f"(best {min(score, stage.best):.4f}) | {seconds:.0f} s"
    )


def _state(stage: Stage, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors = {f"network.{k}": v for k, v in stage.network.state_dict().items()}
    tensors |= {f"averaged.{k}": v for k, v in stage.averaged.state_dict().items()}
    if stage.extra is not None:
        tensors |= {f"extra.{k}": v for k, v in stage.extra.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    return tensors


def _position(stage: Stage) -> dict[str, str]:
    return {"position": json.dumps({"step": stage.step, "best": stage.best})}


def save_atomically(
    tensors: dict[str, Tensor], file: Path, metadata: dict[str, str] | None = None
) -> None:
    """A full disk or a crash leaves the previous file as it was."""
    part = file.with_suffix(".part")
    try:
        save_file({k: v.contiguous() for k, v in tensors.items()}, part, metadata)
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def _resume(stage: Stage, optimizer: torch.optim.Optimizer, file: Path) -> None:
    with safe_open(file, framework="pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        position = json.loads(opened.metadata()["position"])
    stage.network.load_state_dict(_under(tensors, "network."))
    stage.averaged.load_state_dict(_under(tensors, "averaged."))
    if stage.extra is not None:
        stage.extra.load_state_dict(_under(tensors, "extra."))
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in _under(tensors, "optimizer.").items():
        index, slot = name.split(".")
        slots.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": slots})
    stage.step, stage.best = position["step"], position["best"]


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
