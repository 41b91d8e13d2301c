"""The runtime as a child process: start it, speak to it, hear it, end it. No bpy.

Two threads read the child's pipes; nobody else waits for it. Killing the child is always safe.
"""

import contextlib
import importlib.util
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .contract.cuda_folder import find_installed
from .contract.messages import Message, Quit, from_line, to_line

ROOT = Path(__file__).resolve().parents[1]  # the folder that holds both packages
SCRIPT = ROOT / "model_runtime" / "start_worker.py"
WHEELS = ("onnxruntime", "safetensors", "torch", "numpy")  # what the child imports
LOG_LINES = 400
PARTING = 2.0  # seconds that a child has to end by itself


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The child is gone; nothing more will come from it."""

    exit_status: int
    last_words: str


def worker_command(idle_seconds: float | None = None) -> list[str]:
    """This Python, isolated, with the folders that its packages really come from."""
    installed = find_installed()
    runtime = ["--runtime", str(installed.site)] if installed else []
    idle = ["--idle", f"{idle_seconds:g}"] if idle_seconds else []
    return child_command(SCRIPT, *runtime) + idle


def child_command(script: Path, *options: str) -> list[str]:
    """A script of ours that takes `--site DIR` for each folder to import from, after `options`."""
    command = [python_executable(), "-I", "-u", "-X", "utf8", str(script), *options]
    for folder in package_folders(WHEELS):
        command += ["--site", folder]
    return command


def python_executable() -> str:
    """`sys.executable`, or the interpreter beside the library where that is Blender itself."""
    if Path(sys.executable).stem.lower().startswith("python"):
        return sys.executable
    folder = Path(sys.prefix) / ("" if os.name == "nt" else "bin")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    names = ("python.exe",) if os.name == "nt" else (f"python{version}", "python3", "python")
    found = [folder / name for name in names if (folder / name).is_file()]
    return str(found[0]) if found else sys.executable


def package_folders(names: Iterable[str]) -> list[str]:
    """Folders that hold these packages, looked up without importing them."""
    folders: list[str] = []
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            folder = str(Path(spec.origin).parents[1])
            folders += [folder] if folder not in folders else []
    return folders


class Worker:
    """A running child. Never blocks, but for `stop`."""

    def __init__(self, command: Sequence[str], weights_folder: str = "") -> None:
        """Raises OSError when the program cannot be started."""
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._messages: queue.Queue[Message | Ended] = queue.Queue()
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(weights_folder),
            encoding="utf-8",
            errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._listener = threading.Thread(target=self._hear_errors, daemon=True)
        self._listener.start()
        threading.Thread(target=self._hear_messages, daemon=True).start()

    @property
    def is_alive(self) -> bool:
        return self._child.poll() is None

    @property
    def pid(self) -> int:
        return self._child.pid

    def send(self, message: Message) -> None:
        """A child that is gone hears nothing; `Ended` comes from `messages`."""
        assert self._child.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._child.stdin.write(to_line(message))
            self._child.stdin.flush()

    def messages(self, patience: float = 0.0) -> list[Message | Ended]:
        """What came since the last call; waits up to `patience` seconds for the first one."""
        heard: list[Message | Ended] = []
        with contextlib.suppress(queue.Empty):
            if patience > 0.0:
                heard.append(self._messages.get(timeout=patience))
            while True:
                heard.append(self._messages.get_nowait())
        return heard

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._child.kill()
        self._child.wait()
        self._close_stdin()

    def stop(self) -> None:
        """Let it end by itself, soon."""
        self.send(Quit())
        self._close_stdin()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=PARTING)
        self.kill()

    def _close_stdin(self) -> None:
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):
            self._child.stdin.close()

    def _hear_messages(self) -> None:
        """Lines that are no messages, from libraries, go into the log."""
        assert self._child.stdout is not None
        with contextlib.suppress(ValueError):  # closed under our hands
            for line in self._child.stdout:
                try:
                    self._messages.put(from_line(line))
                except ValueError:
                    self.log.append(line.rstrip()[:500])
        status = self._child.wait()
        self._listener.join(timeout=1.0)
        last_words = next((line for line in reversed(self.log) if line.strip()), "")
        self._messages.put(Ended(exit_status=status, last_words=last_words.strip()))

    def _hear_errors(self) -> None:
        """Read stderr to its end, so that the pipe never fills."""
        assert self._child.stderr is not None
        with contextlib.suppress(ValueError):
            for line in self._child.stderr:
                self.log.append(line.rstrip()[:500])


def _environment(weights_folder: str) -> dict[str, str]:
    """Ours; the weights folder of the preferences comes before the user's own variable."""
    wanted = {"MOMASK_WEIGHTS": weights_folder} if weights_folder else {}
    return dict(os.environ) | wanted
