"""PyTorch for CUDA: wheels brought or found in a folder, checked, unpacked, tried, put in place.

No installer and nothing that a wheel brings is run, until the whole is tried in a process of its
own: what does not even import is not put in place.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from model_runtime.cuda_trial import Trial, remember_trial, run_trial
from model_runtime.nvidia_driver import read_driver
from momask_blender.contract.cuda_folder import SITE, VARIABLE, Installed, python_tag
from momask_blender.contract.messages import FILES
from weights_fetcher.catalogue import Package
from weights_fetcher.cuda_catalogue import Release
from weights_fetcher.cuda_store import CudaStore
from weights_fetcher.download import Patience, download
from weights_fetcher.errors import FetchError, UnfitError
from weights_fetcher.reports import Reporter, megabytes
from weights_fetcher.store import free_bytes, sha256_of, sha256_of_stream
from weights_fetcher.wheel import unpack_wheel, unpacked_bytes
from weights_fetcher.wheel_folder import Wheel, find_wheels
from weights_fetcher.wheel_name import this_platform

UNPACKED = 2.0  # times the wheels' size at most; Linux has 1.6, counted once they are there


@dataclass
class Installer:
    """Every method raises FetchError."""

    release: Release
    root: Path
    report: Reporter
    patience: Patience = field(default_factory=Patience)
    python: str = field(default_factory=python_tag)
    platform: str = field(default_factory=this_platform)

    def __post_init__(self) -> None:
        self.store = CudaStore(self.root, self.python)
        self.wheels = self.release.wheels_for(self.platform, self.python)

    @property
    def num_bytes(self) -> int:
        """Of all wheels that are offered; 0 where there are none for this Python and system."""
        return sum(wheel.num_bytes for wheel in self.wheels)

    def missing_bytes(self) -> int:
        """What of them has not come yet; looks at names and sizes."""
        names = [name for wheel in self.wheels for name in (wheel.name, f"{wheel.name}.part")]
        files = [self.store.downloads / name for name in names]
        return max(0, self.num_bytes - sum(each.stat().st_size for each in files if each.exists()))

    def install(self, is_licence_accepted: bool) -> Installed:
        """Bring what is offered; goes on where an earlier try stopped."""
        if not self.wheels:
            raise FetchError(self.not_offered())
        licence = self.release.licence
        if licence.must_be_accepted and not is_licence_accepted:
            raise FetchError(
                f"{self.release.title} has terms: {licence.means} Read them with `runtime show`, "
                "then add --accept-licence."
            )
        with self.store.alone():
            self.store.check_ours()
            self._check_space(int(self.missing_bytes() + UNPACKED * self.num_bytes))
            wheels = [self._bring(package) for package in self.wheels]
            installed = self._build(wheels)
            shutil.rmtree(self.store.downloads)
        return installed

    def find_wheels(self, folder: Path) -> list[Wheel]:
        """What a folder of wheels would install; see `import_wheels`."""
        return find_wheels(folder, self.platform, self.python, self.report)

    def import_wheels(self, wheels: Sequence[Wheel]) -> Installed:
        """Install from files that the user has agreed to."""
        with self.store.alone():
            self.store.check_ours()
            return self._build(wheels)

    def not_offered(self) -> str:
        return (
            f"{self.release.title} is not offered for Python {self.python} on {self.platform}. "
            "Import a folder of wheels that pip has fetched instead, see docs/cuda.md."
        )

    def _bring(self, package: Package) -> Wheel:
        """The whole wheel among the downloads."""
        target, sha256 = self.store.downloads / package.name, package.files[0].sha256
        target.parent.mkdir(parents=True, exist_ok=True)

        def land(part: Path) -> None:
            self.report.progress(f"Checking {package.name}", 0, 1)
            if sha256_of(part) != sha256:
                raise UnfitError(f"{package.name} is not the published file")
            os.replace(part, target)

        if not target.exists() or sha256_of(target) != sha256:
            part = target.with_name(f"{package.name}.part")
            download(package, part, land, self.report, self.patience)
        return Wheel(target, sha256)

    def _check_space(self, needed: int) -> None:
        if (free := free_bytes(self.store.root)) < needed:
            raise FetchError(
                f"PyTorch needs {megabytes(needed)} in {self.store.root}, {megabytes(free)} are "
                f"free. Free some space, or set {VARIABLE} to another folder.",
                FILES,
            )

    def _build(self, wheels: Sequence[Wheel]) -> Installed:
        site = self.store.draft / SITE
        sums = self._unpack(wheels, site)
        trial = self._try(site)
        installed = Installed(
            folder=self.store.folder,
            torch=trial.torch,
            cuda=trial.cuda,
            wheels={wheel.name: wheel.sha256 for wheel in wheels},
        )
        self.store.put(installed, sums)
        remember_trial(installed, read_driver(), trial.trouble)
        return installed

    def _unpack(self, wheels: Sequence[Wheel], site: Path) -> dict[str, str]:
        """All are hashed, then unpacked from the same open files. -> SHA-256 of what came out."""
        sums: dict[str, str] = {}
        with ExitStack() as stack:
            opened = {wheel: stack.enter_context(wheel.file.open("rb")) for wheel in wheels}
            for wheel, stream in opened.items():
                self.report.progress(f"Checking {wheel.name}", 0, 1)
                _check(wheel, stream)
            total = sum(unpacked_bytes(stream, wheel.name) for wheel, stream in opened.items())
            self._check_space(total)
            progress = _Unpacking(self.report, total)
            for wheel, stream in opened.items():
                sums |= unpack_wheel(stream, wheel.name, site, progress.has_come)
        return sums

    def _try(self, site: Path) -> Trial:
        """Whether this Python can import it; a machine without a GPU may have it all the same."""
        self.report.progress("Trying PyTorch", 0, 1)
        trial = run_trial([site, *sys.path])
        if trial.error:
            raise FetchError(f"PyTorch does not start here: {trial.error}. Nothing was installed.")
        if trial.trouble:
            self.report.notice(f"CUDA cannot be used now: {trial.trouble}.")
        return trial


def _check(wheel: Wheel, stream: BinaryIO) -> None:
    if sha256_of_stream(stream) != wheel.sha256:
        raise UnfitError(f"{wheel.file} has changed")


class _Unpacking:
    """Adds up what has been unpacked, for the report."""

    def __init__(self, report: Reporter, total: int) -> None:
        self._report, self._total, self._done = report, total, 0

    def has_come(self, num_bytes: int) -> None:
        self._done += num_bytes
        self._report.progress("Unpacking PyTorch", self._done, self._total)
