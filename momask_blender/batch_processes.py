"""The child processes of a batch, from the parent: one makes motions, some write files. No bpy."""

import contextlib
import json
import os
import queue
import shutil
import subprocess
import tempfile
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from .animation.whole_files import write_whole
from .batch_writer import job_to_line
from .contract.messages import Finished, Notice, Progress
from .errors import UserError
from .job import NOT_STARTED, Job, follow, start_worker
from .terminal import Terminal
from .worker_client import ROOT, Worker, python_executable

PARTING = 3.0  # seconds that a writer has to end by itself; it takes one itself


class Motions:
    """Motions from one worker, which is warm after the first and makes one ahead."""

    def __init__(self, show: Terminal) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="momask-"))
        self._show = show
        self._worker: Worker | None = None
        self._job: Job | None = None

    def ask(self, number: int, row: Namespace) -> None:
        """Have the row's motion made; one at a time. Raises UserError."""
        if self._worker is None or not self._worker.is_alive:
            self._worker = start_worker()
        file = self._folder / f"motion{number}.npz"
        self._job = Job(self._worker, replace(row.request, job=number, out=str(file)))

    def wait(self, number: int, row: Namespace) -> Finished:
        """The row's motion, whether or not it was asked for. Raises UserError."""
        if self._job is None or self._job.request.job != number:
            self.ask(number, row)
        job, self._job = self._job, None
        assert job is not None

        def tell(message: Progress | Notice) -> None:
            if isinstance(message, Notice):
                self._show.note(f"row {number}: {message.in_one_line()}")

        return follow(job, tell)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


class Writer:
    """One Blender in a process of its own. It starts at once and says so with its first line."""

    def __init__(self) -> None:
        """Raises UserError."""
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            self._child = subprocess.Popen(
                [python_executable(), "-m", f"{__package__}.batch_writer"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": path, "PYTHONUTF8": "1"},
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is ours: we close its stdin
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            raise UserError(f"Cannot start Blender: {error.strerror}.", NOT_STARTED) from error
        self._is_ready = False

    def write(self, row: Namespace, finished: Finished) -> list[str]:
        """-> what is odd about the row's character. Raises UserError."""
        assert self._child.stdin is not None
        if not self._is_ready:
            error = self._answer()["error"]
            if error:
                raise UserError(error, NOT_STARTED)
            self._is_ready = True
        with contextlib.suppress(OSError):  # a child that is gone does not answer either
            self._child.stdin.write(job_to_line(row, finished))
            self._child.stdin.flush()
        answer = self._answer()
        if answer["error"]:
            raise UserError(answer["error"])
        return answer["notes"]

    @property
    def is_alive(self) -> bool:
        return self._child.poll() is None

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        if line := self._child.stdout.readline():
            return json.loads(line)
        status = self._child.wait()
        raise UserError(f"Blender crashed while it wrote this row (exit status {status}).")

    def part(self) -> None:
        assert self._child.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # full, or being written to
            self._child.stdin.close()

    def end(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(PARTING)
        self._child.kill()


class Writers:
    """As many Blenders as are to write at once."""

    def __init__(self, count: int) -> None:
        """Raises UserError."""
        self._all = [Writer() for _ in range(count)]
        self._free: queue.SimpleQueue[Writer] = queue.SimpleQueue()
        for writer in self._all:
            self._free.put(writer)

    def write(self, row: Namespace, finished: Finished) -> list[str]:
        """-> what is odd about the row's character. Called from threads. Raises UserError."""
        motion = Path(finished.files[0])
        try:
            if row.format == ".npz":
                write_whole(row.out, lambda part: shutil.copyfile(motion, part))
                return []
            return self._write(row, finished)
        finally:
            motion.unlink(missing_ok=True)

    def _write(self, row: Namespace, finished: Finished) -> list[str]:
        writer = self._free.get()
        if not writer.is_alive:
            writer = Writer()
            self._all.append(writer)
        try:
            return writer.write(row, finished)
        finally:
            self._free.put(writer)

    def close(self) -> None:
        for writer in self._all:
            writer.part()
        for writer in self._all:
            writer.end()
