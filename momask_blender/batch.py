"""Use case: a table of prompts -> a file for each row. No bpy: Blender works in processes."""

import math
import os
import tempfile
import time
from argparse import Namespace
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from .animation.whole_files import remove_left_over, remove_unfinished
from .batch_ledger import Ledger
from .batch_processes import Motions, Writers
from .batch_rows import chosen_rows, read_table, rows_of
from .contract.command_line import Parser, add_model_arguments
from .contract.messages import Finished
from .errors import UserError
from .generate_arguments import (
    ENDINGS,
    add_character_arguments,
    add_file_arguments,
    check_file_arguments,
)
from .interrupt import ends_on_interrupt
from .job import MISMATCH, NOT_STARTED
from .terminal import Terminal

SOME_FAILED = 1  # exit status; 2 is for a table, folder or option that cannot be used
HOPELESS = (MISMATCH, NOT_STARTED)  # what no other row would survive either
MAX_PROCESSES = 64
USUAL_PROCESSES = min(8, max(1, (os.cpu_count() or 1) // 2))  # more outrun the one worker


def add_batch_arguments(parser: Parser) -> None:
    parser.add_argument("table", type=Path, help="FILE.csv with a column 'prompt'")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to fill")
    parser.add_argument(
        "--format", choices=ENDINGS, default=".fbx", help="of all files (default: .fbx)"
    )
    parser.add_argument(
        "--rows", metavar="A:B", default="1:", help="only these, both included (default: all)"
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=USUAL_PROCESSES,
        help=f"how many Blenders write at once (default here: {USUAL_PROCESSES})",
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

    def progress(self) -> str:
        done = self.num_made + self.num_there + len(self.failures)
        text = f"{done} of {self.num_rows}"
        if self.num_made:
            each = (time.monotonic() - self.began) / self.num_made
            text += f", about {math.ceil(each * (self.num_rows - done) / 60)} min left"
        return text

    def fail(self, number: int, error: BaseException) -> None:
        """Raises the error where no row can be made any more."""
        if isinstance(error, UserError) and error.code in HOPELESS:
            raise error
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        self.failures[number] = kind + " ".join(str(error).split())

    def tell(self, show: Terminal) -> None:
        show.say(
            f"{self.num_made} made, {self.num_there} there already, {len(self.failures)} failed, "
            f"of {self.num_rows} rows"
        )
        for number, reason in sorted(self.failures.items()):
            show.note(f"row {number}: {reason}")


def run_batch(chosen: Namespace) -> int:
    """-> exit status. Raises UserError, ValueError when no row can be made at all."""
    numbers = chosen_rows(chosen.rows)
    check_file_arguments(chosen, chosen.format)
    if not 1 <= chosen.processes <= MAX_PROCESSES:
        raise UserError(f"There can be 1 to {MAX_PROCESSES} processes, got {chosen.processes}.")
    table = read_table(chosen.table)
    rows = {number: row for number, row in rows_of(table, chosen) if number in numbers}
    _open_folder(chosen.out)
    outcome, ledger, show = Outcome(len(rows)), Ledger(chosen.out), Terminal()
    wanted = _still_to_make(rows, outcome, ledger)
    if wanted:
        num_writers = 0 if chosen.format == ".npz" else min(chosen.processes, len(wanted))
        Batch(wanted, num_writers, outcome, ledger, show).run()
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
            outcome.fail(number, row)
        elif ledger.has(row):
            outcome.num_there += 1
        else:
            wanted[number] = row
    return wanted


class Batch:
    """Rows on their way: while Blender writes some, the worker makes the motion of the next."""

    def __init__(
        self,
        wanted: dict[int, Namespace],
        num_writers: int,
        outcome: Outcome,
        ledger: Ledger,
        show: Terminal,
    ) -> None:
        """Raises UserError."""
        self._wanted, self._num_writers = wanted, num_writers
        self._outcome, self._ledger, self._show = outcome, ledger, show
        self._motions, self._writers = Motions(show), Writers(num_writers)
        self._writing: dict[Future[list[str]], int] = {}  # -> row number

    def run(self) -> None:
        """Ctrl-C ends it at once; what is made stays, with nothing half done beside it."""
        with (
            ends_on_interrupt(self._abandon),
            closing(self._motions),
            closing(self._writers),
            ThreadPoolExecutor(max(1, self._num_writers)) as pool,
        ):
            numbers = [*self._wanted]
            for number, following in zip(numbers, [*numbers[1:], None], strict=True):
                self._show.phase(self._outcome.progress())
                try:
                    finished = self._motions.wait(number, self._wanted[number])
                    if following is not None:
                        self._motions.ask(following, self._wanted[following])
                except UserError as error:
                    self._outcome.fail(number, error)
                    continue
                self._writing[pool.submit(self._write, number, finished)] = number
                if len(self._writing) > self._num_writers:
                    self._collect(FIRST_COMPLETED)
            self._collect(ALL_COMPLETED)

    def _write(self, number: int, finished: Finished) -> list[str]:
        row = self._wanted[number]
        notes = self._writers.write(row, finished)
        self._ledger.enter(row)
        return notes

    def _collect(self, when: str) -> None:
        for written in wait(self._writing, return_when=when).done:
            number = self._writing.pop(written)
            if (error := written.exception()) is not None:
                self._outcome.fail(number, error)
                continue
            self._outcome.num_made += 1
            for note in written.result():
                self._show.note(f"row {number}: {note}")
            self._show.say(f"Wrote {self._wanted[number].out}")

    def _abandon(self) -> None:
        self._writers.close()
        self._motions.close()
        remove_unfinished([self._ledger.folder, self._ledger.folder / "any"])
        num_done = self._outcome.num_made + self._outcome.num_there
        self._show.say(f"Ended with {num_done} of {self._outcome.num_rows} rows.")
