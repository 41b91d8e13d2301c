"""One request on its way through the worker: progress, silence, cancel, answer. No bpy."""

import time
from collections.abc import Callable

from .contract.messages import (
    CANCELLED,
    OUT_OF_MEMORY,
    PROTOCOL,
    Answer,
    Cancel,
    Failed,
    Finished,
    Generate,
    Hello,
    Loaded,
    Message,
    Notice,
    Progress,
    Unloaded,
)
from .contract.messages import Job as Request
from .errors import UserError
from .worker_client import Ended, Worker, worker_command

DIED, HUNG, MISMATCH, NOT_STARTED = "DIED", "HUNG", "MISMATCH", "NOT_STARTED"  # as messages' codes
STARTING = "Starting"
PATIENCE = 120.0  # seconds of silence after which a worker counts as hung
CANCEL_PATIENCE = 0.15  # seconds that a worker has to answer a cancel before it is killed
KILLED_BY_SYSTEM = -9  # what Linux does when memory runs out


class Job:
    """Sends a request and follows it. `poll` is called now and then until it gives the answer."""

    def __init__(
        self,
        worker: Worker,
        request: Request,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.worker, self.request = worker, request
        self.phase, self.share = STARTING, 0.0
        self.notices: list[Notice] = []
        self._clock, self._patience = clock, patience
        self._last_heard = clock()
        self._cancelled_at: float | None = None
        worker.send(request)

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled_at is not None

    def cancel(self) -> None:
        """Ask the worker to stop; `poll` kills it when it does not answer soon."""
        if self._cancelled_at is None:
            self._cancelled_at = self._clock()
            self.worker.send(Cancel(job=self.request.job))

    def poll(self, patience: float = 0.0) -> Answer | None:
        """The answer, or None while there is none; waits up to `patience` seconds for news.

        Raises UserError when the worker failed, died, hung or speaks another protocol.
        """
        for message in self.worker.messages(patience):
            self._last_heard = self._clock()
            if isinstance(message, Ended):
                raise self._end(message)
            if (answer := self._hear(message)) is not None:
                return answer
        self._lose_patience()
        return None

    def _hear(self, message: Message) -> Answer | None:
        if isinstance(message, Hello):
            self._check_protocol(message)
        if getattr(message, "job", None) != self.request.job:
            return None  # of a job that was given up
        if isinstance(message, Progress):
            self.phase, self.share = message.phase, message.done / max(1, message.total)
        elif isinstance(message, Notice):
            self.notices.append(message)
        elif isinstance(message, Failed):
            raise UserError(message.message, code=message.code)
        elif isinstance(message, Finished | Loaded | Unloaded):
            return message
        return None

    def _check_protocol(self, hello: Hello) -> None:
        if hello.protocol != PROTOCOL:
            self.worker.kill()
            raise UserError(
                f"The motion generator speaks protocol {hello.protocol}, this add-on {PROTOCOL}: "
                "they are of different versions. Restart Blender; if that does not help, install "
                "the add-on again.",
                code=MISMATCH,
            )

    def _lose_patience(self) -> None:
        now = self._clock()
        if self._cancelled_at is not None and now - self._cancelled_at > CANCEL_PATIENCE:
            self.worker.kill()
            raise UserError("Cancelled.", code=CANCELLED)
        if now - self._last_heard > self._patience:
            self.worker.kill()
            raise UserError(
                f"The motion generator said nothing for {self._patience:.0f} seconds while "
                f"'{self.phase}' and was ended. Try again.",
                code=HUNG,
            )

    def _end(self, ended: Ended) -> UserError:
        self.worker.kill()
        if self.is_cancelled:
            return UserError("Cancelled.", code=CANCELLED)
        if ended.exit_status == KILLED_BY_SYSTEM or "memory" in ended.last_words.lower():
            return UserError(
                f"The system ended the motion generator while '{self.phase}', probably because "
                "memory ran out. Close other programs or make fewer variations, then try again.",
                code=OUT_OF_MEMORY,
            )
        return UserError(
            f"The motion generator stopped without an answer while '{self.phase}' (exit status "
            f"{ended.exit_status}). It last said: {ended.last_words or 'nothing'}",
            code=DIED,
        )


def start_worker(idle_seconds: float | None = None, weights_folder: str = "") -> Worker:
    """Raises UserError when the program cannot be started."""
    command = worker_command(idle_seconds)
    try:
        return Worker(command, weights_folder)
    except OSError as error:
        raise UserError(
            f"The motion generator could not be started with {command[0]}: {error.strerror}. "
            "Is the disk full, or does a virus scanner hold it back?",
            code=NOT_STARTED,
        ) from error


def request_motion(
    request: Generate,
    on_message: Callable[[Progress | Notice], None],
    worker: Worker | None = None,
) -> Finished:
    """Run one request to its end in a worker of its own; its `.npz` files are complete on return.

    Raises UserError. The worker never outlives the call.
    """
    worker = worker or start_worker()
    try:
        return follow(Job(worker, request), on_message)
    finally:
        worker.kill()


def follow(job: Job, on_message: Callable[[Progress | Notice], None]) -> Finished:
    """Wait for a motion; its `.npz` files are complete on return. Raises UserError."""
    num_notices, shown = 0, STARTING
    while True:
        answer = job.poll(patience=0.1)
        for notice in job.notices[num_notices:]:
            on_message(notice)
        num_notices = len(job.notices)
        if job.phase != shown:
            shown = job.phase
            on_message(Progress(phase=job.phase, done=0, total=1))
        if isinstance(answer, Finished):
            return answer
