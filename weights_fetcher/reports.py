"""How a fetch tells of itself: lines for a person, or JSON messages for the add-on."""

import sys
import time
from typing import Protocol, TextIO

from momask_blender.contract.messages import Message, Notice, Progress, to_line

BEAT = 0.2  # seconds between two reports of progress
CLEAR = "\x1b[K"  # a terminal's line, from the cursor on
SLOW_BEAT = 5.0  # where lines cannot be written over


class Reporter(Protocol):
    def progress(self, phase: str, done: int, total: int) -> None: ...
    def notice(self, text: str) -> None: ...


class Lines:
    """On stderr; where that is a terminal, progress is one line that what follows writes over."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._rhythm = Rhythm(BEAT if self._is_terminal else SLOW_BEAT)

    def progress(self, phase: str, done: int, total: int) -> None:
        if not self._rhythm.is_due(phase, done == total):
            return
        share = f" {100 * done / total:3.0f} %" if total > 1 else ""
        _write(sys.stderr, f"{CLEAR}{phase}{share}\r" if self._is_terminal else f"{phase}{share}\n")

    def notice(self, text: str) -> None:
        _write(sys.stderr, f"{CLEAR if self._is_terminal else ''}{text}\n")


class Messages:
    """On stdout, one JSON object per line."""

    def __init__(self) -> None:
        self._rhythm = Rhythm(BEAT)

    def progress(self, phase: str, done: int, total: int) -> None:
        if self._rhythm.is_due(phase, done == total):
            say(Progress(phase=phase, done=done, total=total))

    def notice(self, text: str) -> None:
        say(Notice(text=text))


class Rhythm:
    def __init__(self, beat: float) -> None:
        self._beat, self._last, self._phase = beat, 0.0, ""

    def is_due(self, phase: str, is_end: bool) -> bool:
        now = time.monotonic()
        if phase == self._phase and not is_end and now - self._last < self._beat:
            return False
        self._last, self._phase = now, phase
        return True


def say(message: Message) -> None:
    _write(sys.stdout, to_line(message))


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()


def megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.0f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:,.0f} kB"
