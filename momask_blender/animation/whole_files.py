"""Files that are complete or not there at all. No bpy."""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserError

BEGINNING = ".momask-"  # of folders of files in the making
UNFINISHED = f"{BEGINNING}{secrets.token_hex(4)}-"  # ours: others may write to the same folder
LEFT_OVER = 24 * 3600.0  # seconds after which nobody is making a file any more


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


def remove_left_over(folder: Path) -> None:
    """Remove what processes that were killed had been writing into `folder`."""
    for part in folder.glob(f"{BEGINNING}*"):
        if time.time() - part.lstat().st_mtime > LEFT_OVER:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _neighbour(file: Path) -> Iterator[Path]:
    """A new folder beside `file` to write into; what is there at the end takes its place."""
    beside = file.parent.absolute()  # Blender has its own idea of where a relative path begins
    with tempfile.TemporaryDirectory(dir=beside, prefix=UNFINISHED) as folder:
        part = Path(folder) / file.name
        yield part
        os.replace(part, file)
