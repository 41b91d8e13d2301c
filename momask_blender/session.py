"""The one mutable object: the worker, the running job, its result, the last error.

Nothing of it is stored in a file or undone. The panel draws from it; timers move it on.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import bpy

from .contract.cuda_folder import Installed, find_installed
from .contract.messages import (
    CANCELLED,
    FILES,
    Answer,
    Finished,
    Generate,
    Load,
    Loaded,
    Making,
    Notice,
    Unload,
    Unloaded,
)
from .errors import UserError
from .history import History
from .inputs import (
    Lack,
    can_choose_length,
    known_models,
    lack_of_runtime,
    model_name,
    weights_folder,
)
from .job import Job, start_worker
from .placement import Placement
from .rig.known_maps import known_maps
from .settings import ADDON_ID, preferences
from .steps import APPLYING, TICK, Steps, is_editing, reason_to_wait
from .timeline.fills import Fill
from .worker_client import Ended, Worker

IDLE_TICK = 2.0  # while a worker waits


class Deed(Protocol):
    """What is done with a motion when it has been made."""

    undo_name: str

    def steps(self, finished: Finished, request: Making) -> Iterator[Any]:
        """Put it into the file in short steps, each of which says what has been done so far."""
        ...

    def told(self, latest: Any, request: Making, seconds: float) -> str:
        """What came of it, in one line, `seconds` after it was begun."""
        ...


@dataclass
class Report:
    """An error that stays readable until it is dismissed."""

    message: str
    code: str = ""
    fix: str = ""


@dataclass
class Session:
    worker: Worker | None = None
    job: Job | None = None
    error: Report | None = None
    result: str = ""  # one line about the last motion
    notice: Notice | None = None
    lack: Lack | None = None  # what the installation misses
    models: list[str] = field(default_factory=list)  # names to choose from
    can_choose_length: bool = True  # the chosen model
    runs_on: str = ""  # where the loaded model runs, empty while none is loaded
    suspended: str = ""  # why a finished motion has to wait
    history: History = field(default_factory=History)
    _deed: Deed | None = None
    _finished: tuple[Finished, Making] | None = None  # kept until the next motion
    _steps: Steps | None = None  # work on the file that is under way
    _conclude: Callable[[], str] = str  # its result in words, when it is done
    _began: float = 0.0
    _num_jobs: int = 0
    _folder: tempfile.TemporaryDirectory | None = None
    _options: tuple[float, str, Installed | None] | None = None  # that the worker was started with
    _last_log: list[str] = field(default_factory=list)  # of the worker before

    # What the panel asks

    @property
    def is_busy(self) -> bool:
        return self.job is not None or self._steps is not None

    @property
    def is_running(self) -> bool:
        """Whether there is something to cancel."""
        if self._steps is not None:
            return bool(self.suspended) or self._steps.can_be_cancelled
        return self.job is not None and not self.job.is_cancelled

    @property
    def can_apply_again(self) -> bool:
        """A fill belongs into its gap and nowhere else."""
        made = self._finished is not None and isinstance(self._finished[1], Generate)
        return made and not self.is_busy

    @property
    def phase(self) -> str:
        if self.suspended:
            return self.suspended
        if self.job is None:
            return self._steps.name if self._steps else ""
        return "Cancelling" if self.job.is_cancelled else self.job.phase

    @property
    def share(self) -> float:
        work = self.job or self._steps
        return work.share if work else 1.0

    @property
    def log(self) -> list[str]:
        return list(self.worker.log) if self.worker else self._last_log

    # What operators do

    def look_around(self) -> None:
        """Look at the disk when the add-on or a preference changes, so that drawing need not."""
        self.models, self.lack = known_models(), lack_of_runtime()
        self.can_choose_length = can_choose_length(preferences().model)

    def open_folder(self) -> None:
        """Earlier prompts and joint maps: a folder that cannot be made costs these only."""
        folder = None
        with contextlib.suppress(OSError, ValueError, AttributeError):
            folder = Path(bpy.utils.extension_path_user(ADDON_ID, create=True))
        self.history = History(folder)
        known_maps.open(folder)

    def start(self, request: Generate, placement: Placement) -> None:
        """Begin a motion; `tick` carries it on. Job number and files are set here.

        Raises UserError.
        """
        self._check_free()
        self._clear()
        self._began = time.monotonic()
        self._request(request, placement)

    def start_fill(self, fill: Fill) -> None:
        """Begin to fill gaps: read the animation, have them made, write. Raises UserError."""
        self._check_free()
        self._clear()
        self._began = time.monotonic()
        source = self._private_folder() / f"source{self._num_jobs}.npz"

        def go_on() -> str:
            request = fill.request(source)
            if finished := fill.without_model(source, request):
                self._begin_deed(finished, request, fill)
            else:
                self._request(request, fill)
            return ""

        self._steps = Steps("Reading the animation", fill.read(source), "", can_be_cancelled=True)
        self._conclude = go_on

    def _request(self, request: Making, deed: Deed) -> None:
        self._deed = deed
        if request.prompt:
            self.history.add(request.prompt)
        number = self._next_job()
        out = self._private_folder() / f"motion{number}.npz"
        self.job = Job(self._ensure_worker(), replace(request, job=number, out=str(out)))

    def _clear(self) -> None:
        """What the panel showed of the last motion."""
        self.error, self.notice, self.result = None, None, ""
        self._drop_result()

    def load(self) -> None:
        """Have the model opened, so that the next motion starts at once. Raises UserError."""
        self._check_free()
        self.error = None
        wanted = preferences()
        request = Load(job=self._next_job(), weights=model_name(wanted.model), device=wanted.device)
        self.job = Job(self._ensure_worker(), request)

    def unload(self) -> None:
        """Give the model's memory back. Raises UserError."""
        self._check_free()
        if self.worker is not None and self.worker.is_alive:
            self.job = Job(self.worker, Unload(job=self._next_job()))

    def cancel(self) -> None:
        if self.job is not None:
            self.job.cancel()
        elif self._steps is not None and self.is_running:
            self._steps.close()
            self._fail(UserError("Cancelled.", code=CANCELLED))

    def apply_again(self, placement: Placement) -> None:
        """Put the last motion somewhere once more. Raises UserError."""
        self._check_free()
        if self._finished is None:
            raise UserError("There is no motion to apply. Press Generate.")
        self._begin_deed(*self._finished, placement)

    def carry_out(self, steps: Steps, conclude: Callable[[], str]) -> None:
        """Begin work on the file; `tick` carries it on. `conclude` says what came of it.

        Raises UserError.
        """
        self._check_free()
        self.error, self.notice, self.result = None, None, ""
        self._steps, self._conclude = steps, conclude

    def tick(self) -> float | None:
        """One short step, for a timer. -> seconds until the next one, None when all is quiet."""
        try:
            return self._step()
        except UserError as error:
            self._fail(error)
        except Exception as error:
            self._fail(unexpected(error, self.phase))
            raise  # to Blender's console, which also ends the timer
        return IDLE_TICK if self.worker else None

    def finish(self) -> None:
        """Carry a motion to its end without a window. Raises UserError."""
        while self.is_busy:
            try:
                self._step(patience=TICK)
            except UserError as error:
                self._fail(error)
                raise

    def end_worker(self) -> None:
        """Close all that it has open; the next motion starts another one. Raises UserError."""
        self._check_free()
        if self.worker is not None:
            self._lose_worker()

    def shut_down(self) -> None:
        """End the worker and whatever it was doing."""
        self.job, self._steps = None, None
        self._drop_result()
        if self.worker is not None:
            self._lose_worker()
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.cleanup()
        self._folder = None

    def forget_file(self) -> None:
        """Another file was opened: what was under way belongs to the old one."""
        if self.job is not None and isinstance(self.job.request, Making):
            self.job.cancel()
        self._steps, self._deed, self.suspended = None, None, ""
        self._drop_result()
        known_maps.forget_all()
        self.error, self.notice, self.result = None, None, ""

    # How it goes on

    def _step(self, patience: float = 0.0) -> float | None:
        if self._steps is not None:
            return self._work_on()
        if self.job is None:
            return self._watch_worker()
        job = self.job
        answer = job.poll(patience)
        self.notice = job.notices[-1] if job.notices else self.notice
        if answer is not None:
            self.job = None
            self._take_answer(answer, job)
        return self._work_on() if self._steps else TICK

    def _take_answer(self, answer: Answer, job: Job) -> None:
        if isinstance(answer, Loaded):
            self.runs_on = answer.runs_on
        elif isinstance(answer, Unloaded):
            self._lose_worker()  # what it still holds goes too; a new one starts in a moment
        elif isinstance(answer, Finished) and isinstance(job.request, Making):
            self.runs_on = answer.runs_on
            self._finished = (answer, job.request)
            if self._deed is not None:
                self._begin_deed(answer, job.request, self._deed)

    def _begin_deed(self, finished: Finished, request: Making, deed: Deed) -> None:
        steps = Steps("Writing keys", deed.steps(finished, request), deed.undo_name)
        self._deed, self._steps = deed, steps
        self._conclude = lambda: deed.told(steps.latest, request, time.monotonic() - self._began)

    def _work_on(self) -> float:
        assert self._steps is not None
        self.suspended = reason_to_wait()
        if self.suspended:
            return TICK
        try:
            is_done = self._steps.take()
        except UserError:
            self._steps = None
            raise
        if not is_done:
            return APPLYING
        self._steps = None
        self.result = self._conclude()
        return TICK

    def _watch_worker(self) -> float | None:
        """Hear that a worker was idle for long or is gone."""
        if self.worker is None:
            return None
        if any(isinstance(message, Ended | Unloaded) for message in self.worker.messages()):
            self._lose_worker()
            return None
        return IDLE_TICK

    def _fail(self, error: UserError) -> None:
        self.job, self._steps, self.suspended = None, None, ""
        if self.worker is not None and not self.worker.is_alive:
            self._lose_worker()
        if error.code == CANCELLED:
            self.result = "Cancelled. Nothing was changed"
        else:
            self.error = Report(str(error), error.code, error.fix)

    def _lose_worker(self) -> None:
        assert self.worker is not None
        self._last_log = list(self.worker.log)
        self.worker.kill()
        self.worker, self.runs_on = None, ""

    def _ensure_worker(self) -> Worker:
        options = (preferences().idle_minutes * 60.0, weights_folder())
        runtime = find_installed()  # PyTorch came or went meanwhile
        if self.worker is not None and (
            not self.worker.is_alive or (*options, runtime) != self._options
        ):
            self._lose_worker()
        if self.worker is None:
            self.worker, self._options = start_worker(*options), (*options, runtime)
        return self.worker

    def _next_job(self) -> int:
        self._num_jobs += 1
        return self._num_jobs

    def _private_folder(self) -> Path:
        """Where results come to, readable by this user only. Raises UserError."""
        try:
            if self._folder is None or not Path(self._folder.name).is_dir():
                self._folder = tempfile.TemporaryDirectory(prefix="momask-")
        except OSError as error:
            raise UserError(
                f"There is no room for the motion in the temporary folder: {error.strerror}. Free "
                "some disk space, then try again.",
                code=FILES,
            ) from error
        return Path(self._folder.name)

    def _check_free(self) -> None:
        if bpy.app.background and is_editing():  # nobody would ever leave it
            raise UserError("Leave Edit Mode first: keys written now could not be undone.")
        if self.is_busy:
            raise UserError("A motion is being made. Wait for it, or press Cancel.")

    def _drop_result(self) -> None:
        if self._finished is not None:
            for file in self._finished[0].files:
                with contextlib.suppress(OSError):
                    Path(file).unlink()
        self._finished = None


def unexpected(error: Exception, phase: str) -> UserError:
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return UserError(f"Something went wrong while '{phase}' ({words}). Please send us the report.")


session = Session()
