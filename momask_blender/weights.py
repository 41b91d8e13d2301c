"""Published models: what is known of them, and the fetch that is under way. No bpy.

The work is done by `weights_fetcher` in a child process, which may be killed at any moment: what
came stays, and the next fetch goes on from there.
"""

from dataclasses import dataclass, field

from .contract.messages import Failed, Finished, Message, Notice, Offer, Progress
from .errors import UserError
from .worker_client import ROOT, Ended, Worker, child_command

SCRIPT = ROOT / "weights_fetcher" / "start_fetcher.py"
LISTING = "list"


@dataclass
class Weights:
    """One child at a time: it lists, fetches, imports or removes. `poll` carries it on."""

    offers: tuple[Offer, ...] = ()
    is_stale: bool = True  # nobody has looked since something changed
    doing: str = ""  # the command under way
    name: str = ""  # of the model that it is about
    phase: str = ""
    share: float = 0.0
    error: str = ""
    notice: str = ""
    _child: Worker | None = None
    _answer: Finished | Failed | None = None
    _heard: list[Offer] = field(default_factory=list)

    @property
    def is_busy(self) -> bool:
        return self._child is not None

    def look(self, folder: str) -> None:
        """Have the models listed; `folder` is the weights folder of the preferences, or empty."""
        self._start(folder, LISTING)

    def fetch(self, folder: str, name: str, is_licence_accepted: bool) -> None:
        """Raises UserError when the child cannot be started or another one runs."""
        accepted = ["--accept-licence"] if is_licence_accepted else []
        self._start(folder, "fetch", name, *accepted)

    def import_from(self, folder: str, name: str, source: str) -> None:
        self._start(folder, "import", name, source)

    def remove(self, folder: str, name: str) -> None:
        self._start(folder, "remove", name)

    def cancel(self) -> None:
        if self._child is not None:
            self._end()
            self.notice = "Cancelled. What came so far is kept; fetching again goes on from there"
            self.is_stale = True

    def forget(self) -> None:
        """The weights folder is another one now."""
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

    def _start(self, folder: str, doing: str, name: str = "", *options: str) -> None:
        if self.is_busy:
            raise UserError("Models are being fetched or looked for. Wait, or press Cancel.")
        names = [name] if name else []
        command = [*child_command(SCRIPT), doing, "--progress", "json", *names, *options]
        try:
            self._child = Worker(command, folder)
        except OSError as error:
            raise UserError(
                f"The fetcher cannot be started: {error}. Install the add-on again."
            ) from error
        self.doing, self.name, self.phase, self.share = doing, name, "Starting", 0.0
        self._answer, self._heard = None, []
        if doing != LISTING:  # which tells nothing new about what was done before
            self.error, self.notice = "", ""

    def _hear(self, message: Message) -> None:
        if isinstance(message, Offer):
            self._heard.append(message)
        elif isinstance(message, Progress):
            self.phase = message.phase
            self.share = message.done / message.total if message.total else 0.0
        elif isinstance(message, Notice):
            self.notice = message.text
        elif isinstance(message, Finished | Failed):
            self._answer = message

    def _conclude(self, end: Ended) -> None:
        doing, answer = self.doing, self._answer
        self._end()
        if isinstance(answer, Failed):
            self.error = answer.message
        elif answer is None:
            self.error = f"The fetcher ended unexpectedly ({end.last_words or end.exit_status})."
        self.is_stale = doing != LISTING
        if doing == LISTING:
            self.offers = tuple(self._heard)
        else:
            self.notice = ""

    def _end(self) -> None:
        assert self._child is not None
        self._child.kill()
        self._child, self.doing, self.name, self.phase = None, "", "", ""


weights = Weights()
