"""Everything that resuming needs in one file, replaced as a whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class CheckpointError(ValueError):
    """A checkpoint that cannot be written or read; the message names the file."""


def save_atomically(
    tensors: dict[str, Tensor], file: Path, metadata: dict[str, str] | None = None
) -> None:
    """A full disk or a crash leaves the previous file as it was. Raises CheckpointError."""
    part = file.with_suffix(".part")
    try:
        save_file({k: v.contiguous() for k, v in tensors.items()}, part, metadata)
        os.replace(part, file)
    except (OSError, SafetensorError) as error:
        kept = "the last good one is kept" if file.exists() else "there is none yet"
        raise CheckpointError(
            f"Cannot write {file}: {error}. Of this checkpoint {kept}. "
            "Make room and start the same command again."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def load_weights(file: Path) -> dict[str, Tensor]:
    """What an earlier stage left. Raises CheckpointError."""
    if not file.is_file():
        raise CheckpointError(f"There is no {file}. Train the stage '{file.stem}' first.")
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{file} is damaged ({error}). Train the stage '{file.stem}' again."
        ) from error


def save_state(
    file: Path,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    position: dict[str, Any],
) -> None:
    """Modules by name, the optimizer's moments, and where training stands."""
    tensors = {
        f"{name}.{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    save_atomically(tensors, file, {"position": json.dumps(position)})


def load_state(
    file: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Put back what `save_state` wrote; returns the position. Raises CheckpointError."""
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            position = json.loads((opened.metadata() or {})["position"])
        position = {"step": int(position["step"]), "best": float(position["best"])}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{file} is damaged ({error}). Remove it to train this stage anew."
        ) from error
    try:
        for name, module in modules.items():
            module.load_state_dict(_under(tensors, f"{name}."))
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(tensors, "optimizer.").items():
            index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = value
        optimizer.load_state_dict(optimizer.state_dict() | {"state": slots})
    except (RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{file} was made with another configuration. Use that one, or another --out."
        ) from error
    return position


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
