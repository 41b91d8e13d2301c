"""The one mutable object: the worker, the running job, its result, the last error.

Nothing of it is stored in a file or undone. The panel draws from it; timers move it on.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import bpy

from .contract.messages import (
    CANCELLED,
    FILES,
    Answer,
    Finished,
    Generate,
    Load,
    Loaded,
    Notice,
    Unload,
    Unloaded,
)
from .errors import UserError
from .history import History
from .inputs import Lack, known_models, lack_of_runtime, model_name
from .job import Job, start_worker
from .placement import Placed, Placement, place
from .settings import ADDON_ID, preferences
from .worker_client import Ended, Worker

TICK = 0.05  # seconds between looks at a running job
APPLYING = 0.001  # between ticks that put a result into the file
BUDGET = 0.012  # seconds after which such a tick begins no further step; a step takes up to 12 ms
IDLE_TICK = 2.0  # while a worker waits
EDITING = "Finished. Leave Edit Mode to get the motion"
RENDERING = "Finished. The motion comes when the render is done"


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
    runs_on: str = ""  # where the loaded model runs, empty while none is loaded
    suspended: str = ""  # why a finished motion has to wait
    history: History = field(default_factory=History)
    _placement: Placement | None = None
    _finished: tuple[Finished, Generate] | None = None  # kept until the next motion
    _placing: Iterator[Placed] | None = None
    _placed: Placed = field(default_factory=Placed)
    _began: float = 0.0
    _num_jobs: int = 0
    _folder: tempfile.TemporaryDirectory | None = None
    _options: tuple[float, str] | None = None  # that the worker was started with
    _last_log: list[str] = field(default_factory=list)  # of the worker before

    # What the panel asks

    @property
    def is_busy(self) -> bool:
        return self.job is not None or self._placing is not None

    @property
    def is_running(self) -> bool:
        """Whether there is something to cancel."""
        return bool(self.suspended) or (self.job is not None and not self.job.is_cancelled)

    @property
    def can_apply_again(self) -> bool:
        return self._finished is not None and not self.is_busy

    @property
    def phase(self) -> str:
        if self.suspended:
            return self.suspended
        if self.job is None:
            return "Writing keys"
        return "Cancelling" if self.job.is_cancelled else self.job.phase

    @property
    def share(self) -> float:
        return self.job.share if self.job else 1.0

    @property
    def log(self) -> list[str]:
        return list(self.worker.log) if self.worker else self._last_log

    # What operators do

    def look_around(self) -> None:
        """Look at the disk when the add-on or a preference changes, so that drawing need not."""
        self.models, self.lack = known_models(), lack_of_runtime()

    def open_history(self) -> None:
        """A folder that cannot be made or written costs the history, nothing else."""
        try:
            folder = Path(bpy.utils.extension_path_user(ADDON_ID, create=True))
        except (OSError, ValueError, AttributeError):
            self.history = History()
        else:
            self.history = History(folder)

    def start(self, request: Generate, placement: Placement) -> None:
        """Begin a motion; `tick` carries it on. Job number and files are set here.

        Raises UserError.
        """
        self._check_free()
        self.error, self.notice, self.result = None, None, ""
        self._drop_result()
        self._placement, self._began = placement, time.monotonic()
        self.history.add(request.prompt)
        number = self._next_job()
        out = self._private_folder() / f"motion{number}.npz"
        self.job = Job(self._ensure_worker(), replace(request, job=number, out=str(out)))

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
        elif self.suspended:
            self._fail(UserError("Cancelled.", code=CANCELLED))

    def apply_again(self, placement: Placement) -> None:
        """Put the last motion somewhere once more. Raises UserError."""
        self._check_free()
        if self._finished is None:
            raise UserError("There is no motion to apply. Press Generate.")
        self._begin_placing(*self._finished, placement)

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

    def shut_down(self) -> None:
        """End the worker and whatever it was doing."""
        self.job, self._placing = None, None
        self._drop_result()
        if self.worker is not None:
            self._lose_worker()
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.cleanup()
        self._folder = None

    def forget_file(self) -> None:
        """Another file was opened: what was under way belongs to the old one."""
        if self.job is not None and isinstance(self.job.request, Generate):
            self.job.cancel()
        self._placing, self._placement, self.suspended = None, None, ""
        self._drop_result()
        self.error, self.notice, self.result = None, None, ""

    # How it goes on

    def _step(self, patience: float = 0.0) -> float | None:
        if self._placing is not None:
            return self._place_step()
        if self.job is None:
            return self._watch_worker()
        job = self.job
        answer = job.poll(patience)
        self.notice = job.notices[-1] if job.notices else self.notice
        if answer is not None:
            self.job = None
            self._take_answer(answer, job)
        return self._place_step() if self._placing else TICK

    def _take_answer(self, answer: Answer, job: Job) -> None:
        if isinstance(answer, Loaded):
            self.runs_on = answer.runs_on
        elif isinstance(answer, Unloaded):
            self._lose_worker()  # what it still holds goes too; a new one starts in a moment
        elif isinstance(answer, Finished) and isinstance(job.request, Generate):
            self.runs_on = answer.runs_on
            self._finished = (answer, job.request)
            if self._placement is not None:
                self._begin_placing(answer, job.request, self._placement)

    def _begin_placing(self, finished: Finished, request: Generate, where: Placement) -> None:
        self._placement = where
        self._placing = place(finished, request, where)

    def _place_step(self) -> float:
        self.suspended = reason_to_wait()
        if self.suspended:
            return TICK
        assert self._placing is not None
        until = time.perf_counter() + BUDGET
        try:
            while time.perf_counter() < until:
                self._placed = next(self._placing)
        except StopIteration:
            self._placing = None
            self._conclude()
            return TICK
        except UserError:
            self._placing = None
            raise
        return APPLYING

    def _conclude(self) -> None:
        assert self._finished is not None
        _, request = self._finished
        push_undo("Generate Motion")
        assert self._placement is not None
        seconds = self._placed.num_keys / self._placement.span.fps
        count = len(self._placed.actions)
        what = f"{count} takes" if count > 1 else f"'{self._placed.actions[0]}'"
        self.result = (
            f"{what}: {seconds:.1f} s, {self._placed.num_keys} keys per channel, seed "
            f"{request.seed}, in {time.monotonic() - self._began:.1f} s"
        )
        if self._placed.replaced:
            self.result += f". '{self._placed.replaced}' stays in the file"
        self.result += self._beyond_the_scene()
        self.result += "".join(f". {words.rstrip('.')}" for words in self._placed.warnings)

    def _beyond_the_scene(self) -> str:
        assert self._placement is not None
        scene = self._placement.scene.find()
        last = self._placement.span.first_frame + self._placed.num_keys - 1
        if scene is None or last <= scene.frame_end:
            return ""
        return f". It ends at frame {last}, after the scene's last frame {scene.frame_end}"

    def _watch_worker(self) -> float | None:
        """Hear that a worker was idle for long or is gone."""
        if self.worker is None:
            return None
        if any(isinstance(message, Ended | Unloaded) for message in self.worker.messages()):
            self._lose_worker()
            return None
        return IDLE_TICK

    def _fail(self, error: UserError) -> None:
        self.job, self._placing, self.suspended = None, None, ""
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
        wanted = preferences()
        folder = bpy.path.abspath(wanted.weights_folder) if wanted.weights_folder else ""
        options = (wanted.idle_minutes * 60.0, folder)
        if self.worker is not None and (not self.worker.is_alive or options != self._options):
            self._lose_worker()
        if self.worker is None:
            self.worker, self._options = start_worker(*options), options
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


def reason_to_wait() -> str:
    """Why nothing can be written into the file now, in words; empty if it can."""
    if is_editing():
        return EDITING
    return RENDERING if bpy.app.is_job_running("RENDER") else ""


def is_editing() -> bool:
    """Whether some mode with an undo of its own is on: keys written now could not be undone."""
    return any(ob.mode not in ("OBJECT", "POSE") for ob in _active_objects())


def _active_objects() -> list[bpy.types.Object]:
    manager = bpy.context.window_manager
    layers = [window.view_layer for window in manager.windows] if manager else []
    return [layer.objects.active for layer in layers if layer.objects.active]


def push_undo(name: str) -> None:
    """One undo step, also from a timer, where no window is active."""
    manager = bpy.context.window_manager
    if bpy.context.window is None and manager and manager.windows:
        with bpy.context.temp_override(window=manager.windows[0]):
            bpy.ops.ed.undo_push(message=name)
    else:
        bpy.ops.ed.undo_push(message=name)


session = Session()
