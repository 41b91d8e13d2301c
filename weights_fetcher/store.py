"""Where fetched files lie, and which of them are whole.

`ROOT/downloads/NAME/` holds a model's published files under fixed names, each put there by renaming
after its hash was found right; `ROOT/NAME/` is the model converted from them. What is on its way
lies in `ROOT/downloads/NAME/.incoming/`.
"""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from momask_blender.contract.messages import FILES
from momask_blender.contract.weights_root import VARIABLE
from weights_fetcher.catalogue import File, Model
from weights_fetcher.errors import FetchError, UnfitError

CHUNK = 1 << 20
SUMS = "SHA256SUMS"  # of the files that arrived, as `sha256sum -c` reads it
ORIGIN = "fetched.txt"  # in a converted model: that it is ours to remove, and its licence
CARD_FILE = "model.json"
READY, FETCHED, BEGUN, ABSENT = "ready", "fetched", "begun", "absent"


class Store:
    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def downloads(self, model: Model) -> Path:
        return self.root / "downloads" / model.name

    def incoming(self, model: Model) -> Path:
        return self.downloads(model) / ".incoming"

    def converted(self, model: Model) -> Path:
        return self.root / model.name

    def path(self, model: Model, file: File) -> Path:
        return self.downloads(model) / file.path

    def state(self, model: Model) -> str:
        """By names and sizes only, for a list."""
        if (self.converted(model) / CARD_FILE).is_file():
            return READY
        there = [file for file in model.files if self._is_there(model, file)]
        if len(there) == len(model.files):
            return FETCHED
        return BEGUN if there or self.incoming(model).exists() else ABSENT

    def _is_there(self, model: Model, file: File) -> bool:
        with contextlib.suppress(OSError):
            return file.can_have(self.path(model, file).stat().st_size)
        return False

    def missing(self, model: Model) -> list[File]:
        """Files that are not there, or not as they were published: every one is hashed."""
        return [file for file in model.files if self.fault(model, file)]

    def fault(self, model: Model, file: File) -> str:
        """What is wrong with a file, in words; empty when it is as it was published."""
        path, expected = self.path(model, file), file.sha256 or self.sums(model).get(file.path)
        if not path.is_file():
            return "is missing"
        if not file.can_have(path.stat().st_size) or sha256_of(path) != expected:
            return "is damaged"
        return ""

    def take(self, model: Model, file: File, arrived: Path, sha256: str) -> None:
        """Put a file in its place, whose hash was found to be `sha256` and right."""
        target = self.path(model, file)
        target.parent.mkdir(parents=True, exist_ok=True)
        sums = self.sums(model) | {file.path: sha256}
        lines = "".join(f"{value}  {path}\n" for path, value in sorted(sums.items()))
        os.replace(arrived, target)
        write_text(self.downloads(model) / SUMS, lines)

    def sums(self, model: Model) -> dict[str, str]:
        """SHA-256 that files had when they arrived, by path."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            lines = (self.downloads(model) / SUMS).read_text(encoding="utf-8").splitlines()
            return {path: value for value, _, path in (line.partition("  ") for line in lines)}
        return {}

    def free_bytes(self) -> int:
        return free_bytes(self.root)

    @contextmanager
    def lock(self, model: Model) -> Iterator[None]:
        """Only one process at a time works on a model. Raises FetchError."""
        file = self.root / "downloads" / f".{model.name}.lock"
        with only_one(file, f"Another process is fetching '{model.name}'. Wait for it."):
            self._clear(model)
            yield

    def _clear(self, model: Model) -> None:
        """What a killed process left half-made; the download itself stays, it can go on."""
        for name in ("unpacking", "draft"):
            folder = self.incoming(model) / name
            if folder.exists():
                shutil.rmtree(folder)

    def remove(self, model: Model) -> list[Path]:
        """Delete a model and its downloads. -> what was there. Raises FetchError, OSError."""
        folders = [self.converted(model), self.downloads(model)]
        self.check_ours(model)
        there = [folder for folder in folders if folder.exists()]
        for folder in there:
            shutil.rmtree(folder)
        return there

    def check_ours(self, model: Model) -> None:
        """Raises FetchError when the model's folder was not made by fetching."""
        folder = self.converted(model)
        if folder.exists() and not (folder / ORIGIN).is_file():
            raise FetchError(
                f"{folder} was not made by fetching and is left alone. Rename it, then try again."
            )


def free_bytes(folder: Path) -> int:
    """On the disk of a folder that need not be there yet."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return shutil.disk_usage(there).free


@contextmanager
def only_one(file: Path, otherwise: str) -> Iterator[None]:
    """Hold the lock on `file`; FetchError says `otherwise` where another process does.

    The system frees a dead process's lock.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as stream:
        if not _try_lock(stream):
            raise FetchError(otherwise)
        yield


def _try_lock(stream: BinaryIO) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def copy_hashed(source: BinaryIO, target: Path, limit: int) -> str:
    """Write what `source` holds into a new file and return its SHA-256.

    Raises UnfitError beyond `limit` bytes, whatever a header promised.
    """
    digest, num_bytes = hashlib.sha256(), 0
    with target.open("wb") as sink:
        while chunk := source.read(CHUNK):
            num_bytes += len(chunk)
            if num_bytes > limit:
                raise UnfitError(f"{target.name} is larger than the published one")
            digest.update(chunk)
            sink.write(chunk)
        sink.flush()
        os.fsync(sink.fileno())
    return digest.hexdigest()


def sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return sha256_of_stream(stream)


def sha256_of_stream(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def write_text(file: Path, text: str) -> None:
    """Whole or not at all."""
    draft = file.with_name(f"{file.name}.part")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, file)


def in_words(error: OSError, folder: Path, variable: str = VARIABLE) -> FetchError:
    """What the disk refused, and what to do about it. `variable` names another folder."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        advice = "The disk is full. Free some space and fetch again: it goes on where it stopped"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        advice = f"You may not write there. Set {variable} to a folder that you can write to"
    else:
        advice = f"Set {variable} to another folder, or try again"
    return FetchError(
        f"Cannot write {error.filename or folder}: {error.strerror}. {advice}.", FILES
    )
