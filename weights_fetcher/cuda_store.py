"""Where PyTorch for CUDA is put, whole or not at all, and how it is taken away again.

Below the root, `cp311/` is what is installed for Python 3.11 (see `contract/cuda_folder.py`),
`downloads/cp311/` holds wheels on their way, `.cp311.new/` is being made, and `.cp311.old/` is on
its way out.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from momask_blender.contract.cuda_folder import (
    SENTINEL,
    SITE,
    VARIABLE,
    Installed,
    find_installed,
    sentinel_of,
)
from weights_fetcher.errors import FetchError, UnfitError
from weights_fetcher.store import (
    ABSENT,
    BEGUN,
    READY,
    SUMS,
    in_words,
    only_one,
    sha256_of,
    write_text,
)


class CudaStore:
    """What is installed for one Python, named as wheels do: "cp311"."""

    def __init__(self, root: Path, python: str) -> None:
        self.root = root.absolute()
        self._python = python
        self.folder = self.root / python
        self.downloads = self.root / "downloads" / python
        self.draft = self.root / f".{python}.new"
        self._old = self.root / f".{python}.old"

    def installed(self) -> Installed | None:
        return find_installed(self.folder)

    def state(self) -> str:
        if self.installed() is not None:
            return READY
        return BEGUN if self.downloads.exists() else ABSENT

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Only here anything is changed, by one process at a time. Raises FetchError."""
        busy = "Another process is installing or removing PyTorch. Wait for it."
        try:
            with only_one(self.root / f".{self._python}.lock", busy):
                self._tidy()
                try:
                    yield
                finally:
                    shutil.rmtree(self.draft, ignore_errors=True)
        except UnfitError as error:
            raise FetchError(f"{error}. Nothing of it was used.") from error
        except OSError as error:
            raise in_words(error, self.root, VARIABLE) from error

    def _tidy(self) -> None:
        """What a killed process left half-made goes; the downloads stay, they can go on."""
        if self.draft.exists():
            shutil.rmtree(self.draft)
        if not self.folder.exists() and find_installed(self._old) is not None:
            os.replace(self._old, self.folder)  # killed between taking away and putting there
        if self._old.exists():
            shutil.rmtree(self._old)

    def put(self, installed: Installed, sums: dict[str, str]) -> None:
        """Make the draft, whose files have these SHA-256, what is installed."""
        lines = "".join(f"{value}  {path}\n" for path, value in sorted(sums.items()))
        write_text(self.draft / SUMS, lines)
        write_text(self.draft / SENTINEL, sentinel_of(installed))
        self._take_away()
        os.replace(self.draft, self.folder)
        shutil.rmtree(self._old, ignore_errors=True)

    def remove(self) -> list[Path]:
        """Delete what is installed and what was downloaded for it. -> what was there."""
        there = [folder for folder in (self.folder, self.downloads) if folder.exists()]
        if not there:
            raise self._nothing()
        with self.alone():
            self._take_away()
            for folder in (self._old, self.downloads):
                if folder.exists():
                    shutil.rmtree(folder)
        return there

    def _take_away(self) -> None:
        """In one step, so that half a folder is never used; raises FetchError if not ours."""
        if self.folder.exists():
            self.check_ours()
            os.replace(self.folder, self._old)

    def check_ours(self) -> None:
        """Raises FetchError when the folder is there and was not made by installing."""
        if self.folder.exists() and not (self.folder / SENTINEL).is_file():
            raise FetchError(
                f"{self.folder} was not made by installing and is left alone. Rename it, then try "
                "again."
            )

    def faults(self) -> list[str]:
        """What is wrong with the installed files, one line each; all of them are hashed."""
        if self.installed() is None:
            raise self._nothing()
        try:
            lines = (self.folder / SUMS).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return [f"{self.folder / SUMS} cannot be read"]
        expected = {path: value for value, _, path in (line.partition("  ") for line in lines)}
        return [
            f"{self.folder / SITE / path} {fault}"
            for path, sha256 in expected.items()
            if (fault := _fault(self.folder / SITE / path, sha256))
        ]

    def _nothing(self) -> FetchError:
        return FetchError(f"PyTorch for CUDA is not installed in {self.folder}.")


def _fault(file: Path, sha256: str) -> str:
    if not file.is_file():
        return "is missing"
    return "" if sha256_of(file) == sha256 else "is damaged"
