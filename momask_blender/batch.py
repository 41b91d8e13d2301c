"""Use case: a table of prompts -> a file for each row. No bpy until it writes for Blender."""

import shutil
import tempfile
import time
from argparse import Namespace
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

from .animation.whole_files import remove_left_over, remove_unfinished, write_whole
from .batch_ledger import Ledger
from .batch_rows import chosen_rows, read_table, rows_of
from .blender_module import require_bpy
from .contract.command_line import Parser, add_model_arguments
from .contract.messages import Finished, Notice, Progress
from .errors import UserError
from .generate_arguments import (
    ENDINGS,
    add_character_arguments,
    add_file_arguments,
    check_file_arguments,
)
from .interrupt import ends_on_interrupt
from .job import MISMATCH, NOT_STARTED, Job, follow, start_worker
from .terminal import Terminal, quiet_stdout
from .worker_client import Worker

SOME_FAILED = 1  # exit status; 2 is for a table, folder or option that cannot be used
HOPELESS = (MISMATCH, NOT_STARTED)  # what no other row would survive either


def add_batch_arguments(parser: Parser) -> None:
    parser.add_argument("table", type=Path, help="FILE.csv with a column 'prompt'")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to fill")
    parser.add_argument(
        "--format", choices=ENDINGS, default=".fbx", help="of all files (default: .fbx)"
    )
    parser.add_argument(
        "--rows", metavar="A:B", default="1:", help="only these, both included (default: all)"
    )
    add_file_arguments(parser)
    model = parser.add_argument_group("what a row leaves open")
    add_model_arguments(model)
    add_character_arguments(parser)


@dataclass
class Outcome:
    """What came of the rows so far."""

    num_rows: int
    num_made: int = 0
    num_there: int = 0
    failures: dict[int, str] = field(default_factory=dict)  # row number -> reason
    began: float = field(default_factory=time.monotonic)

    def progress(self, row: Namespace) -> str:
        done = self.num_made + self.num_there + len(self.failures)
        text = f"{done} of {self.num_rows}"
        if self.num_made:
            each = (time.monotonic() - self.began) / (done - self.num_there)
            text += f", about {each * (self.num_rows - done) / 60:.0f} min left"
        return f"{text}: {row.out.name}"

    def tell(self, show: Terminal) -> None:
        show.say(
            f"{self.num_made} made, {self.num_there} there already, {len(self.failures)} failed, "
            f"of {self.num_rows} rows"
        )
        for number, reason in sorted(self.failures.items()):
            show.note(f"row {number}: {reason}")


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
        file = self._folder / f"motion{number % 2}.npz"  # one is read while the other is written
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


def run_batch(chosen: Namespace) -> int:
    """-> exit status. Raises UserError, ValueError when no row can be made at all."""
    numbers = chosen_rows(chosen.rows)
    check_file_arguments(chosen, chosen.format)
    table = read_table(chosen.table)
    rows = {number: row for number, row in rows_of(table, chosen) if number in numbers}
    _open_folder(chosen.out)
    outcome, ledger, show = Outcome(len(rows)), Ledger(chosen.out), Terminal()
    wanted = _still_to_make(rows, outcome, ledger)
    if wanted:
        _make(wanted, outcome, ledger, show)
    outcome.tell(show)
    return SOME_FAILED if outcome.failures else 0


def _open_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_left_over(out)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UserError(f"Cannot write to the folder {out}: {error.strerror}.") from error


def _still_to_make(
    rows: dict[int, Namespace | UserError], outcome: Outcome, ledger: Ledger
) -> dict[int, Namespace]:
    wanted = {}
    for number, row in rows.items():
        if isinstance(row, UserError):
            outcome.failures[number] = str(row)
        elif ledger.has(row):
            outcome.num_there += 1
        else:
            wanted[number] = row
    return wanted


def _make(wanted: dict[int, Namespace], outcome: Outcome, ledger: Ledger, show: Terminal) -> None:
    """Ctrl-C ends it at once; what is made stays, with nothing half done beside it."""
    motions = Motions(show)

    def abandon() -> None:
        motions.close()
        remove_unfinished([ledger.folder, ledger.folder / "any"])
        num_done = outcome.num_made + outcome.num_there
        show.say(f"Ended with {num_done} of {outcome.num_rows} rows. Run it again to go on.")

    with ends_on_interrupt(abandon), closing(motions):
        first = next(iter(wanted.items()))
        motions.ask(*first)  # the worker starts while Blender's module is imported
        if first[1].format != ".npz":
            require_bpy()
        for (number, row), after in zip_longest(wanted.items(), [*wanted.items()][1:]):
            show.phase(outcome.progress(row))
            try:
                finished = motions.wait(number, row)
                if after is not None:
                    motions.ask(*after)  # made while Blender writes this one
                _write(row, finished, show)
                ledger.enter(row)
            except Exception as error:  # whatever it is, one bad row does not stop the rest
                if isinstance(error, UserError) and error.code in HOPELESS:
                    raise
                outcome.failures[number] = _reason(error)
            else:
                outcome.num_made += 1
                show.say(f"Wrote {row.out}")


def _write(row: Namespace, finished: Finished, show: Terminal) -> None:
    """Raises UserError, and whatever Blender says of a character that it cannot cope with."""
    motion = finished.files[0]
    if row.format == ".npz":
        write_whole(row.out, lambda part: shutil.copyfile(motion, part))
        return
    from .animation.takes import made_by, read_pose
    from .generate import Delivery, deliver
    from .own_character import open_own
    from .rig.known_maps import known_maps

    known_maps.open(None)  # a map that another row gave is no part of this one
    how = made_by(row.request, finished, row.seed)
    with quiet_stdout():
        own = open_own(row, show.note)
        deliver(read_pose(motion), how, Delivery.of(row), lambda _stage: None, own)


def _reason(error: Exception) -> str:
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())
