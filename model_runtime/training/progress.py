"""What training shows while it runs: lines, a moving line on terminals, TensorBoard's curves."""

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from model_runtime.training import ranks

REFRESH_SECONDS = 1.0
CURVE_EVERY_STEPS = 20
BAR_WIDTH = 24

Losses = dict[str, Tensor]


class Progress:
    """Of one stage; ranks other than the first are silent. Close it, or leave its `with`."""

    def __init__(self, name: str, steps: int, logs: Path, report: Callable[[str], None]) -> None:
        self.name, self.steps = name, steps
        self.is_silent = not ranks.is_first()
        self.report_line = report
        self.curves = None if self.is_silent else _open_curves(logs / name)
        self.has_terminal = sys.stderr.isatty() and not self.is_silent
        self.started = self.shown = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_error: object) -> None:
        self._wipe()
        if self.curves is not None:
            self.curves.close()

    def report(self, line: str) -> None:
        if not self.is_silent:
            self._wipe()
            self.report_line(line)

    def stepped(self, step: int, losses: Losses) -> None:
        """After every step; waits for the device only when something is shown."""
        if self.curves is not None and step % CURVE_EVERY_STEPS == 0:
            for name, value in losses.items():
                self.curves.add_scalar(f"loss/{name}", value.item(), step)
        if self.has_terminal and time.monotonic() - self.shown > REFRESH_SECONDS:
            self.shown = time.monotonic()
            filled = BAR_WIDTH * step // self.steps
            bar = "#" * filled + "." * (BAR_WIDTH - filled)
            line = f"{self.name} [{bar}] {step}/{self.steps} {_shown(losses)}"
            print(f"\r\033[K{line[:120]}", end="", file=sys.stderr, flush=True)

    def validated(self, step: int, losses: Losses, score: float, best: float) -> None:
        if self.curves is not None:
            self.curves.add_scalar("validation", score, step)
        seconds = time.monotonic() - self.started
        self.report(
            f"{self.name} {step}/{self.steps}: {_shown(losses)} | validation {score:.4f} "
            f"(best {min(score, best):.4f}) | {seconds:.0f} s"
        )

    def _wipe(self) -> None:
        if self.has_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _shown(losses: Losses) -> str:
    return " ".join(f"{name} {value.item():.4f}" for name, value in losses.items())


def _open_curves(folder: Path) -> Any:
    """TensorBoard's writer, or None where it is not installed."""
    try:
        return importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(folder))
    except ImportError:
        return None
