"""What the command line shows, without Blender's own prints, and how it ends."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from .contract.messages import Notice, Progress


class Terminal:
    """Progress as one line that changes, where stderr is a terminal; logs get notices only."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def message(self, message: Progress | Notice) -> None:
        if isinstance(message, Progress):
            self.phase(message.phase)
        else:
            self.note(message.in_one_line())

    def say(self, line: str) -> None:
        """A result: on stdout, at once, also where that is a file."""
        self.clear()
        print(line, flush=True)

    def note(self, line: str) -> None:
        self.clear()
        print(line, file=sys.stderr)

    def phase(self, name: str) -> None:
        self.clear()
        if self._live:
            print(f"{name}...", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            print("\r" + " " * width + "\r", end="", file=sys.stderr, flush=True)


@contextmanager
def quiet_stdout() -> Iterator[None]:
    """Blender and Cycles print to the process's stdout; that line is ours."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)


def leave(status: int) -> NoReturn:
    """Not through the end of Blender's module: that may crash, or wait for a thread for ever."""
    sys.stdout.flush()
    sys.stderr.flush()
    if (bpy := sys.modules.get("bpy")) is not None:
        shutil.rmtree(bpy.app.tempdir, ignore_errors=True)
        os._exit(status)
    sys.exit(status)
