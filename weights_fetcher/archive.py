"""A zip from outside: only catalogued files leave it, under names that are ours.

Names, links, sizes and methods are looked at before anything is unpacked; sizes are counted again
while it is.
"""

import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from weights_fetcher.catalogue import File
from weights_fetcher.errors import UnfitError
from weights_fetcher.store import copy_hashed

MAX_ENTRIES = 10_000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1


class Arrived(NamedTuple):
    """A file that is what was published, not yet in its place."""

    file: File
    path: Path
    sha256: str


def unpack(archive: Path, wanted: Sequence[File], folder: Path) -> list[Arrived]:
    """Write those wanted files into the new `folder` that the archive holds.

    Raises UnfitError when the archive is damaged, hostile, or holds another file by a wanted name.
    """
    arrived: list[Arrived] = []
    folder.mkdir(parents=True)
    with zip_faults(archive.name), zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        check_entries(entries, archive.name)
        for number, file in enumerate(wanted):
            entry = _entry_of(file, entries, archive.name)
            if entry is None:
                continue
            target = folder / f"{number}"
            with opened.open(entry) as source:
                sha256 = copy_hashed(source, target, file.num_bytes)  # type: ignore[arg-type]
            if file.sha256 not in ("", sha256):
                raise UnfitError(f"{file.tail} in {archive.name} is not the published file")
            arrived.append(Arrived(file, target, sha256))
    return arrived


@contextmanager
def zip_faults(name: str) -> Iterator[None]:
    """What a damaged zip raises as UnfitError."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise UnfitError(f"{name} is not a whole zip ({error})") from error


def check_entries(entries: list[zipfile.ZipInfo], name: str, most: int = MAX_ENTRIES) -> None:
    """Refuse an archive that tries anything, even in files that are not wanted."""
    if len(entries) > most:
        raise UnfitError(f"{name} holds {len(entries)} files, which no published archive does")
    for entry in entries:
        inner = entry.orig_filename
        parts = PurePosixPath(inner).parts
        is_rooted = inner.startswith("/") or inner[1:2] == ":"
        if is_rooted or ".." in parts or set(inner) & set("\\\0"):
            raise UnfitError(f"{name} wants to write outside its folder ('{inner[:80]}')")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise UnfitError(f"{name} holds a link ('{inner[:80]}')")


def _entry_of(file: File, entries: list[zipfile.ZipInfo], name: str) -> zipfile.ZipInfo | None:
    """The entry whose name ends as the file's does."""
    found = [each for each in entries if ends_with(PurePosixPath(each.filename), file.tail)]
    if not found:
        return None
    entry = found[0]
    if len(found) > 1:
        raise UnfitError(f"{name} holds {file.tail} more than once")
    if not file.can_have(entry.file_size):
        raise UnfitError(
            f"{file.tail} in {name} has {entry.file_size} bytes instead of {file.num_bytes}"
        )
    check_packing(entry, name)
    return entry


def check_packing(entry: zipfile.ZipInfo, name: str) -> None:
    if entry.compress_type not in METHODS or entry.flag_bits & ENCRYPTED:
        raise UnfitError(f"{entry.filename} in {name} is encrypted or packed in an unusual way")


def ends_with(path: PurePosixPath, tail: str) -> bool:
    parts = PurePosixPath(tail).parts
    return path.parts[-len(parts) :] == parts
