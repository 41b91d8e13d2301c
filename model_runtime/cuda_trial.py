"""Tries PyTorch in a process of its own: a broken library can end the process that loads it."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from model_runtime.nvidia_driver import Driver
from momask_blender.contract.cuda_folder import Installed

SCRIPT = Path(__file__).with_name("start_trial.py")
PATIENCE = 90.0  # seconds; the first start reads gigabytes from the disk
TRIED = "tried.json"  # in the runtime's folder: with which driver it was tried, and what came of it


@dataclass(frozen=True)
class Trial:
    """What came of it. `error`: PyTorch does not even start; `trouble`: it does, without CUDA."""

    torch: str = ""
    cuda: str = ""
    device: str = ""
    trouble: str = ""
    error: str = ""


def run_trial(folders: Iterable[Path | str], patience: float = PATIENCE) -> Trial:
    """Import PyTorch from the first of `folders` that has it, and compute something on CUDA."""
    command = [sys.executable, "-I", "-X", "utf8", str(SCRIPT), *map(str, folders)]
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=patience,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.TimeoutExpired:
        return Trial(error=f"PyTorch did not start within {patience:.0f} seconds")
    except OSError as error:
        return Trial(error=f"{command[0]} cannot be started ({error.strerror})")
    lines = ended.stdout.strip().splitlines()
    with contextlib.suppress(ValueError, TypeError, IndexError):
        return Trial(**json.loads(lines[-1]))
    last_words = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return Trial(error=f"PyTorch ended its process, status {ended.returncode} ({last_words[:200]})")


def trouble_with(installed: Installed, driver: Driver) -> str:
    """Why the installed PyTorch cannot compute on CUDA, in words; empty if it can.

    Once it has worked it is not tried again until the driver or the devices change.
    """
    if recall_trial(installed, driver) == "":
        return ""
    trial = run_trial(sys.path)
    trouble = trial.error or trial.trouble
    remember_trial(installed, driver, trouble)
    return trouble


def remember_trial(installed: Installed, driver: Driver, trouble: str) -> None:
    tried = {"driver": driver.version, "devices": driver.devices, "trouble": trouble}
    with contextlib.suppress(OSError):  # a share that cannot be written to is tried each time
        (installed.folder / TRIED).write_text(json.dumps(tried), encoding="utf-8")


def recall_trial(installed: Installed, driver: Driver) -> str | None:
    """The trouble of the last trial, "" for none; None if there was no trial with this driver."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        tried = json.loads((installed.folder / TRIED).read_text(encoding="utf-8"))
        if (tried["driver"], tuple(tried["devices"])) == (driver.version, driver.devices):
            return tried["trouble"]
    return None
