"""A wheel unpacked by ourselves: what can be imported, and nothing that would be run.

No installer, no script, no `.pth` file. Names, links, sizes and methods are looked at before
anything is unpacked; sizes are counted again while it is.
"""

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from weights_fetcher.archive import check_entries, check_packing, zip_faults
from weights_fetcher.errors import UnfitError
from weights_fetcher.store import copy_hashed

MAX_ENTRIES = 50_000  # PyTorch 2.8 has 12,000
MAX_UNPACKED = 16 << 30  # bytes; PyTorch 2.8 for Windows has 7 GB
IMPORTED = ("purelib", "platlib")  # of what a wheel's `.data` folder holds
BUILD_ONLY = (".h", ".hpp", ".cuh", ".lib", ".a", ".cmake")  # half of PyTorch's files
NOT_IN_NAMES = set('<>:"|?*') | {chr(code) for code in range(32)}  # Windows refuses them


def unpack_wheel(
    wheel: BinaryIO, name: str, site: Path, has_come: Callable[[int], None]
) -> dict[str, str]:
    """Write what a wheel has to import into the folder `site`. -> SHA-256 by path below it.

    `has_come` is told each file's size. A file that another wheel brought too is written over, as
    installers do. Raises UnfitError for a wheel that is damaged or tries anything.
    """
    sums: dict[str, str] = {}
    with zip_faults(name), zipfile.ZipFile(wheel) as opened:
        for path, entry in _wanted(opened.infolist(), name).items():
            target = site / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(entry) as source:
                sums[path] = copy_hashed(source, target, entry.file_size)  # type: ignore[arg-type]
            has_come(entry.file_size)
    return sums


def unpacked_bytes(wheel: BinaryIO, name: str) -> int:
    """What `unpack_wheel` will write, as the archive has it. Raises UnfitError."""
    with zip_faults(name), zipfile.ZipFile(wheel) as opened:
        return sum(entry.file_size for entry in _wanted(opened.infolist(), name).values())


def _wanted(entries: list[zipfile.ZipInfo], name: str) -> dict[str, zipfile.ZipInfo]:
    """Entries to unpack by their path below the site folder. Raises UnfitError."""
    check_entries(entries, name, MAX_ENTRIES)
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
        raise UnfitError(f"{name} would unpack to more than any wheel has")
    wanted: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        if path := place_of(entry.filename):
            _check_path(path, name)
            check_packing(entry, name)
            wanted[path] = entry
    if len({path.casefold() for path in wanted}) < len(wanted):
        raise UnfitError(f"{name} holds names that are one file on Windows")
    return wanted


def place_of(name: str) -> str:
    """Where an entry goes below the site folder; empty for what is left out."""
    path = PurePosixPath(name)
    if path.parts and path.parts[0].endswith(".data"):
        if path.parts[1:2] == () or path.parts[1] not in IMPORTED:
            return ""  # scripts, headers, data for elsewhere
        path = PurePosixPath(*path.parts[2:])
    is_left_out = (
        name.endswith("/")
        or not path.name
        or path.suffix in BUILD_ONLY
        or "__pycache__" in path.parts
        or (len(path.parts) == 1 and path.suffix == ".pth")
    )
    return "" if is_left_out else path.as_posix()


def _check_path(path: str, name: str) -> None:
    parts = PurePosixPath(path).parts
    if set(path) & NOT_IN_NAMES or any(part.endswith((" ", ".")) for part in parts):
        raise UnfitError(f"{name} holds a name that Windows cannot have ('{path[:80]}')")
    if parts[0].partition(".")[0] in sys.stdlib_module_names:
        raise UnfitError(f"{name} would replace a part of Python ('{path[:80]}')")
