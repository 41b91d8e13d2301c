"""The child process that the add-on starts: requests in on stdin, messages out on stdout.

A thread reads stdin all the time, so that a cancel is heard in the middle of a job and the process
ends the moment its parent does. Only messages reach the add-on's pipe: what libraries print goes to
stderr.
"""

import argparse
import contextlib
import os
import platform
import queue
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, TextIO

from model_runtime.backends import DeviceError
from model_runtime.motions import MotionMaker, Phases, Send
from model_runtime.networks import WeightsError
from momask_blender.contract.messages import (
    BAD_INPUT,
    CANCELLED,
    DEVICE,
    FILES,
    INTERNAL,
    OUT_OF_MEMORY,
    PROTOCOL,
    WEIGHTS,
    Answer,
    Cancel,
    Failed,
    Generate,
    Hello,
    Inpaint,
    Job,
    Load,
    Loaded,
    Message,
    Quit,
    Unload,
    Unloaded,
    from_line,
    to_line,
)

NO_MEMORY = (  # how libraries say it
    *("out of memory", "bad allocation", "failed to allocate", "bad_alloc"),
    *("cannot allocate memory", "failed to map segment", "pthread_create failed"),
)


class CancelledError(Exception):
    """The add-on gave the job up."""


class Inbox:
    """Requests as they come in; a cancel overtakes the jobs that wait."""

    def __init__(self, requests: TextIO) -> None:
        self._requests = requests
        self._waiting: queue.Queue[Job | Quit | Failed] = queue.Queue()
        self._cancelled: set[int] = set()
        threading.Thread(target=self._read, daemon=True).start()

    def next(self, patience: float | None) -> Job | Quit | Failed | None:
        """The next job, or None after `patience` seconds without one."""
        with contextlib.suppress(queue.Empty):
            return self._waiting.get(timeout=patience)
        return None

    def check(self, job: int) -> None:
        """Raises CancelledError when the job was given up."""
        if job in self._cancelled:
            raise CancelledError

    def _read(self) -> None:
        for line in self._requests:
            try:
                message = from_line(line)
            except ValueError as error:
                self._waiting.put(Failed(message=str(error), code=BAD_INPUT))
                continue
            if isinstance(message, Cancel):
                self._cancelled.add(message.job)
            elif isinstance(message, Load | Generate | Inpaint | Unload | Quit):
                self._waiting.put(message)
            else:
                words = f"The worker takes no {type(message).__name__}."
                self._waiting.put(Failed(message=words, code=BAD_INPUT))
        os._exit(0)  # the parent is gone, whatever the main thread is doing


def serve(inbox: Inbox, send: Send, idle_seconds: float | None = None) -> None:
    """Answer every job until `Quit`. Unloads the model after `idle_seconds` without a job."""
    maker = MotionMaker()
    send(Hello(protocol=PROTOCOL, python=platform.python_version(), pid=os.getpid()))
    while True:
        job = inbox.next(idle_seconds if maker.has_model else None)
        if job is None:
            maker.unload()
            send(Unloaded(job=0))
        elif isinstance(job, Quit):
            return
        elif isinstance(job, Failed):
            send(job)
        else:
            send(answer(job, maker, inbox, send))


def answer(job: Job, maker: MotionMaker, inbox: Inbox, send: Send) -> Answer:
    """Do one job; whatever goes wrong becomes a `Failed` that says so to the user."""
    phases = Phases(send, job.job, lambda: inbox.check(job.job))
    try:
        if isinstance(job, Unload):
            maker.unload()
            return Unloaded(job=job.job)
        if isinstance(job, Load):
            networks = maker.load(job.weights, job.device, phases)
            return Loaded(job=job.job, weights=job.weights, runs_on=networks.runs_on)
        if isinstance(job, Inpaint):
            return maker.fill(job, send, phases)
        return maker.make(job, send, phases)
    except Exception as error:  # noqa: BLE001 - the add-on must hear of every failure
        return failure(error, job.job)


def failure(error: Exception, job: int) -> Failed:
    """What went wrong, with the code by which the add-on offers help."""

    def failed(code: str, message: str) -> Failed:
        return Failed(job=job, code=code, message=message)

    if isinstance(error, CancelledError):
        return failed(CANCELLED, "Cancelled.")
    if lacks_memory(error):
        traceback.print_exception(error)
        return failed(
            OUT_OF_MEMORY,
            "There is not enough memory for this motion. Make fewer variations at once, close "
            "other programs, or choose the CPU as device in the preferences.",
        )
    if isinstance(error, DeviceError):
        return failed(DEVICE, str(error))
    if isinstance(error, WeightsError):
        return failed(WEIGHTS, str(error))
    if isinstance(error, OSError):
        return failed(FILES, f"The motion could not be written: {error}. Is the disk full?")
    if isinstance(error, ValueError):
        return failed(BAD_INPUT, str(error))
    traceback.print_exception(error)
    words = f"The motion generator failed: {type(error).__name__}: {error}"
    return failed(INTERNAL, " ".join(words.split()))


def lacks_memory(error: BaseException | None) -> bool:
    """Whether it, or what it was raised from, is a lack of memory."""
    while error is not None:
        text = str(error).lower()
        if isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY):
            return True
        error = error.__cause__
    return False


@contextmanager
def private_pipes() -> Iterator[tuple[TextIO, Send]]:
    """Requests and a `send` that own the process's stdin and stdout.

    Every other print is turned to stderr, and who reads stdin finds it empty.
    """
    sys.stdout.flush()
    with (
        os.fdopen(os.dup(0), encoding="utf-8", errors="replace") as requests,
        os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as pipe,
    ):
        os.dup2(2, 1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

        def send(message: Message) -> None:
            pipe.write(to_line(message))

        yield requests, send


def main(arguments: list[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=float, help="seconds without a job until memory is freed")
    chosen = parser.parse_args(arguments)
    with private_pipes() as (requests, send):
        serve(Inbox(requests), send, chosen.idle)
        os._exit(0)  # the reading thread still waits for its next line
