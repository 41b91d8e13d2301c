"""What the command line shows: one line of progress, and nothing of Blender's own prints."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
