"""Start the runtime as a child process, ask it for a motion, hear how it goes. No bpy."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from .contract.messages import Failed, Finished, Generate, Message, from_line, to_line
from .errors import UserError

ROOT = Path(__file__).resolve().parents[1]  # the folder that holds both packages
COMMAND = (sys.executable, "-m", "model_runtime", "worker")


def request_motion(
    request: Generate,
    on_message: Callable[[Message], None],
    command: tuple[str, ...] = COMMAND,
) -> Finished:
    """Run one request in a child process of its own; its `.npz` is complete on return.

    Progress and notices go to `on_message`. Raises UserError when the child says that it failed or
    dies without an answer. The child never outlives the call.
    """
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
        encoding="utf-8",
        errors="replace",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    last_words = _Tail(child)
    try:
        _send(child, request)
        answer = _answer(child, on_message)
        child.wait()
    finally:
        child.kill()
        child.wait()
        last_words.join()
    if isinstance(answer, Failed):
        raise UserError(answer.message)
    if answer is None:
        raise UserError(
            f"The motion generator stopped without an answer (exit status {child.returncode}). "
            f"It last said: {last_words.text or 'nothing'}"
        )
    return answer


def _environment() -> dict[str, str]:
    """Ours, with the packages on the path and UTF-8 everywhere."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"}


def _send(child: subprocess.Popen, request: Generate) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(to_line(request))
        child.stdin.close()
    except BrokenPipeError:
        pass  # it died first; that it gave no answer is reported later


def _answer(
    child: subprocess.Popen, on_message: Callable[[Message], None]
) -> Finished | Failed | None:
    """The first final message. Lines that are no messages, from libraries, are passed over."""
    assert child.stdout is not None
    for line in child.stdout:
        try:
            message = from_line(line)
        except ValueError:
            continue
        if isinstance(message, Finished | Failed):
            return message
        on_message(message)
    return None


class _Tail:
    """Reads a child's stderr to its end, so that the pipe never fills, and keeps the last line."""

    def __init__(self, child: subprocess.Popen) -> None:
        assert child.stderr is not None
        self.text = ""
        self._stream = child.stderr
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            self.text = line.strip() or self.text

    def join(self) -> None:
        self._thread.join(timeout=5.0)
