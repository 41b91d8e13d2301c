"""Files that are complete or not there at all."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserError

UNFINISHED = f".momask-{os.getpid()}-"  # how our folders of files in the making begin


def write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make the file elsewhere and put it in its place. Raises UserError."""
    try:
        with _neighbour(file) as part:
            write(part)
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"Could not write {file}: {reason}") from error


def remove_unfinished(files: list[Path]) -> None:
    """Remove what this process was writing for `files` when it was told to end."""
    for file in files:
        for folder in file.parent.glob(f"{UNFINISHED}*"):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _neighbour(file: Path) -> Iterator[Path]:
    """A new folder beside `file` to write into; what is there at the end takes its place."""
    beside = file.parent.absolute()  # Blender has its own idea of where a relative path begins
    with tempfile.TemporaryDirectory(dir=beside, prefix=UNFINISHED) as folder:
        part = Path(folder) / file.name
        yield part
        os.replace(part, file)
