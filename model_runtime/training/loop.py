"""The loop that every stage runs: step, EMA of weights, validation, checkpoints that resume."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from model_runtime.training import ranks
from model_runtime.training.checkpoint import (
    CheckpointError,
    load_state,
    save_atomically,
    save_state,
)
from model_runtime.training.progress import Progress
from model_runtime.training.recipe import Loop

SAVE_EVERY_SECONDS = 60.0

Losses = dict[str, Tensor]


def save_network(network: nn.Module, file: Path) -> None:
    """The plain weights. Raises CheckpointError."""
    save_atomically(network.state_dict(), file)


@dataclass
class Stage:
    """What differs between stages. `loss` draws its batch from the generator it is given."""

    name: str
    network: nn.Module
    loss: Callable[[torch.Generator, int], Losses]  # step -> named losses; their "total" is used
    validate: Callable[[nn.Module], float]  # lower is better
    after_step: Callable[[], None] = lambda: None
    save: Callable[[nn.Module, Path], None] = save_network  # the best weights, as later read
    extra: nn.Module | None = None  # trained state that is not shipped, such as codebook counts
    best: float = math.inf
    step: int = 0
    averaged: nn.Module = field(init=False)  # EMA of the weights

    def __post_init__(self) -> None:
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)

    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds, by name."""
        named = {"network": self.network, "averaged": self.averaged}
        return named | ({"extra": self.extra} if self.extra is not None else {})


def learning_rate(loop: Loop, step: int) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    if step < loop.warmup_steps:
        return loop.learning_rate * (step + 1) / (loop.warmup_steps + 1)
    progress = (step - loop.warmup_steps) / max(1, loop.steps - loop.warmup_steps)
    return loop.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress)))


def run(stage: Stage, loop: Loop, out: Path, report: Callable[[str], None]) -> Path:
    """Train to the end and return the file with the best weights by validation, or the last ones.

    `out`/NAME.state.safetensors holds everything that resuming needs; steps draw their noise from
    (seed, step, rank), so a run that was cut off goes on as if it had not been. Raises
    CheckpointError.
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
    with Progress(stage.name, loop.steps, out / "logs", report) as progress:
        if state_file.exists():
            position = load_state(state_file, stage.modules(), optimizer)
            stage.step, stage.best = position["step"], position["best"]
            progress.report(f"{stage.name}: resumed at step {stage.step}")
        ranks.wait()  # until all have read what the first will replace
        saved = time.monotonic()
        while stage.step < loop.steps:
            losses = _one_step(stage, loop, optimizer, device)
            progress.stepped(stage.step, losses)
            is_last = stage.step == loop.steps
            if ranks.is_first() and (stage.step % loop.validate_every == 0 or is_last):
                _validate(stage, losses, best_file, progress, loop.keep_last)
            is_due = is_last or time.monotonic() - saved > SAVE_EVERY_SECONDS
            if ranks.is_first() and is_due:
                position = {"step": stage.step, "best": stage.best}
                save_state(state_file, stage.modules(), optimizer, position)
                saved = time.monotonic()
        ranks.wait()  # until the first has written what all will read
    return best_file


def _validate(
    stage: Stage, losses: Losses, file: Path, progress: Progress, keep_last: bool
) -> None:
    score = stage.validate(stage.averaged)
    if not math.isfinite(score):
        raise CheckpointError(
            f"{stage.name}: the loss is no number any more at step {stage.step}. Earlier "
            f"checkpoints are kept; lower the learning rate in [{stage.name}_training]."
        )
    progress.validated(stage.step, losses, score, stage.best)
    if keep_last or score <= stage.best:
        stage.save(stage.averaged, file)
    stage.best = min(stage.best, score)


def _one_step(
    stage: Stage, loop: Loop, optimizer: torch.optim.Optimizer, device: torch.device
) -> Losses:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(loop, stage.step)
    seed = ranks.seed(loop.seed, stage.step)
    generator = torch.Generator(device).manual_seed(seed)
    torch.manual_seed(seed)  # dropout has no generator argument
    stage.network.train()
    with torch.autocast(device.type, torch.bfloat16, enabled=loop.mixed_precision):
        losses = stage.loss(generator, stage.step)
    optimizer.zero_grad(set_to_none=True)
    losses["total"].backward()
    ranks.average_gradients(stage.network.parameters())
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
