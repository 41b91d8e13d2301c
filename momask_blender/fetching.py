"""A child process of `weights_fetcher` at its work: what it says, and how it is stopped. No bpy.

It may be killed at any moment: what came stays, and the next one goes on from there.
"""

from dataclasses import dataclass

from .contract.messages import Failed, Finished, Message, Notice, Progress
from .errors import UserError
from .worker_client import ROOT, Ended, Worker, child_command

SCRIPT = ROOT / "weights_fetcher" / "start_fetcher.py"


@dataclass
class Fetching:
    """One child at a time. `poll` carries it on."""

    is_stale: bool = True  # nobody has looked since something changed
    doing: str = ""  # the command under way
    phase: str = ""
    share: float = 0.0
    error: str = ""
    notice: str = ""
    _child: Worker | None = None
    _answer: Finished | Failed | None = None

    LOOKING = ""  # the command that only tells what is here
    CANCELLED = ""  # what is said after a cancel

    @property
    def is_busy(self) -> bool:
        return self._child is not None

    def cancel(self) -> None:
        if self._child is not None:
            self._end()
            self.notice = self.CANCELLED
            self.is_stale = True

    def poll(self, patience: float = 0.0) -> bool:
        """Hear the child. -> whether it is still at work; waits up to `patience` seconds."""
        if self._child is None:
            return False
        for message in self._child.messages(patience):
            if isinstance(message, Ended):
                self._conclude(message)
                return False
            self._hear(message)
        return True

    def finish(self) -> None:
        """Carry it to its end without a window. Raises UserError."""
        self.error = ""
        while self.poll(patience=0.1):
            pass
        if self.error:
            raise UserError(self.error)

    def shut_down(self) -> None:
        if self._child is not None:
            self._end()

    def take(self, message: Message) -> None:
        """Keep what the child has found."""

    def start(self, folder: str, doing: str, command: list[str]) -> None:
        """`folder`: the weights folder of the preferences, or empty. Raises UserError when the
        child cannot be started or another one runs."""
        if self.is_busy:
            raise UserError("Something is being fetched or looked for. Wait, or press Cancel.")
        try:
            self._child = Worker([*child_command(SCRIPT), *command], folder)
        except OSError as error:
            raise UserError(
                f"The fetcher cannot be started: {error}. Install the add-on again."
            ) from error
        self.doing, self.phase, self.share, self._answer = doing, "Starting", 0.0, None
        if doing != self.LOOKING:  # which tells nothing new about what was done before
            self.error, self.notice = "", ""

    def _hear(self, message: Message) -> None:
        if isinstance(message, Progress):
            self.phase = message.phase
            self.share = message.done / message.total if message.total else 0.0
        elif isinstance(message, Notice):
            self.notice = message.text
        elif isinstance(message, Finished | Failed):
            self._answer = message
        else:
            self.take(message)

    def _conclude(self, end: Ended) -> None:
        doing, answer = self.doing, self._answer
        self._end()
        if isinstance(answer, Failed):
            self.error = answer.message
        elif answer is None:
            self.error = f"The fetcher ended unexpectedly ({end.last_words or end.exit_status})."
        if doing != self.LOOKING:
            self.is_stale, self.notice = True, ""
        else:
            self.is_stale = False
        self.conclude(doing)

    def conclude(self, doing: str) -> None:
        """What is to be done when the command `doing` has come to its end."""

    def _end(self) -> None:
        assert self._child is not None
        self._child.kill()
        self._child, self.doing, self.phase = None, "", ""
