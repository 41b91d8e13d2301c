"""Files that are complete or not there at all. No bpy."""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
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
    for folder in {file.parent for file in files}:
        _remove(folder.glob(f"{UNFINISHED}*"))


def remove_left_over(folder: Path) -> None:
    """Remove what processes that were killed had been writing into `folder`."""
    _remove(part for part in folder.glob(f"{BEGINNING}*") if _age(part) > LEFT_OVER)


def _age(part: Path) -> float:
    """In seconds; none for what is gone again, as others may write to the same folder."""
    with suppress(OSError):
        return time.time() - part.lstat().st_mtime
    return 0.0


def _remove(parts: Iterable[Path]) -> None:
    for part in parts:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            with suppress(OSError):
                part.unlink()


@contextmanager
def _neighbour(file: Path) -> Iterator[Path]:
    """A new folder beside `file` to write into; what is there at the end takes its place."""
    beside = file.parent.absolute()  # Blender has its own idea of where a relative path begins
    with tempfile.TemporaryDirectory(dir=beside, prefix=UNFINISHED) as folder:
        part = Path(folder) / file.name
        yield part
        os.replace(part, file)
