"""Files that the user has already: an archive from a browser, a folder, a studio's share."""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from weights_fetcher.archive import Arrived, ends_with, unpack
from weights_fetcher.catalogue import File
from weights_fetcher.errors import FetchError, UnfitError
from weights_fetcher.store import copy_hashed


def collect(source: Path, wanted: Sequence[File], folder: Path) -> tuple[list[Arrived], list[str]]:
    """Copies in `folder` of the wanted files that `source` holds, and what was not taken and why.

    Raises FetchError when there is nothing at `source`, UnfitError for an unsound archive.
    """
    found = files_of(source)
    folder.mkdir(parents=True)
    arrived, refused = [], []
    for number, file in enumerate(wanted):
        target = folder / f"copy{number}"
        for candidate in found:
            if not _may_be(candidate, file):
                continue
            sha256 = _copy(candidate, target, file)
            if sha256 and file.sha256 in ("", sha256):
                arrived.append(Arrived(file, target, sha256))
                break
            refused.append(f"{candidate} is not the published file")
    for number, archive in enumerate(each for each in found if _is_archive(each)):
        have = {each.file for each in arrived}
        rest = [file for file in wanted if file not in have]
        arrived += unpack(archive, rest, folder / f"archive{number}")
    return arrived, refused


def files_of(source: Path) -> list[Path]:
    """The file itself, or all that lie in a folder; links to folders are not followed."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise FetchError(f"There is no file or folder {source}.")
    walk = ((folder, name) for folder, _, names in os.walk(source) for name in names)
    return sorted(path for path in (Path(folder, name) for folder, name in walk) if path.is_file())


def _may_be(candidate: Path, file: File) -> bool:
    """By its name; where the hash will tell, by its size too: browsers rename."""
    if ends_with(PurePosixPath(candidate.absolute().as_posix()), file.tail):
        return True
    is_alike = candidate.suffix == PurePosixPath(file.tail).suffix
    return bool(file.sha256) and is_alike and file.can_have(candidate.stat().st_size)


def _copy(candidate: Path, target: Path, file: File) -> str:
    """The copy's SHA-256, empty when it cannot be the file."""
    if not file.can_have(candidate.stat().st_size):
        return ""
    try:
        with candidate.open("rb") as source:
            return copy_hashed(source, target, file.num_bytes)
    except UnfitError:  # it grew meanwhile
        return ""


def _is_archive(file: Path) -> bool:
    return file.suffix.lower() == ".zip" and zipfile.is_zipfile(file)
