"""Wheels that a user or a studio has in a folder already, to install without a connection."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from momask_blender.contract.messages import FILES
from weights_fetcher.errors import FetchError
from weights_fetcher.reports import Reporter
from weights_fetcher.store import sha256_of
from weights_fetcher.wheel_name import WheelName

NOT_TAKEN = ("numpy", "onnxruntime", "safetensors")  # Blender has them, or the add-on brings them


@dataclass(frozen=True)
class Wheel:
    """A file to install, and the SHA-256 that it must have when it is opened."""

    file: Path
    sha256: str

    @property
    def name(self) -> str:
        return self.file.name


def find_wheels(folder: Path, platform: str, python: str, report: Reporter) -> list[Wheel]:
    """Those that this Python ("cp311") can import, each hashed; PyTorch is among them.

    Raises FetchError.
    """
    if not folder.is_dir():
        raise FetchError(f"There is no folder {folder}.")
    try:
        files = [each for each in sorted(folder.glob("*.whl")) if _fits(each, platform, python)]
        _check_one_of_each(files)
        wheels = []
        for file in files:
            report.progress(f"Hashing {file.name}", 0, 1)
            wheels.append(Wheel(file, sha256_of(file)))
    except OSError as error:
        raise FetchError(f"Cannot read {folder}: {error.strerror}.", FILES) from error
    if not any(WheelName.of(file.name).distribution == "torch" for file in files):
        raise FetchError(
            f"{folder} holds no torch wheel for Python {python} on {platform}. Fetch one there by "
            "`pip download --only-binary=:all: torch`, see docs/cuda.md."
        )
    return wheels


def confirmation(wheels: Sequence[Wheel]) -> str:
    """A short word for exactly these wheels, to agree to them with."""
    lines = "".join(f"{wheel.sha256}  {wheel.name}\n" for wheel in wheels)
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def _fits(file: Path, platform: str, python: str) -> bool:
    try:
        name = WheelName.of(file.name)
    except ValueError:
        return False
    return name.fits(platform, [python]) and name.distribution not in NOT_TAKEN


def _check_one_of_each(files: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for file in files:
        twin = seen.setdefault(WheelName.of(file.name).distribution, file)
        if twin is not file:
            raise FetchError(f"{twin.name} and {file.name} are two versions. Keep one of them.")
