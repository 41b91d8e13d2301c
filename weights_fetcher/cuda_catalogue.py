"""The PyTorch for CUDA that is offered: its wheels, their sizes, hashes, sources and terms.

`runtime.toml` beside this file is the one that ships; tests and studios give their own by path.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weights_fetcher.catalogue import File, Licence, Package
from weights_fetcher.errors import FetchError
from weights_fetcher.wheel_name import WheelName

SHIPPED = Path(__file__).with_name("runtime.toml")
CATALOGUE_VARIABLE = "MOMASK_RUNTIME_CATALOGUE"


@dataclass(frozen=True)
class Release:
    """One version of PyTorch with all that it needs, for all systems and Pythons."""

    torch: str
    cuda: str
    licence: Licence
    wheels: tuple[Package, ...]

    def wheels_for(self, platform: str, python: str) -> tuple[Package, ...]:
        """What one Python ("cp311") on a system needs; nothing where there is no PyTorch for it."""
        fitting = {
            wheel: WheelName.of(wheel.name)
            for wheel in self.wheels
            if WheelName.of(wheel.name).fits(platform, [python])
        }
        has_torch = any(name.distribution == "torch" for name in fitting.values())
        return tuple(fitting) if has_torch else ()

    @property
    def title(self) -> str:
        return f"PyTorch {self.torch} for CUDA {self.cuda}"


def read_release(file: Path = SHIPPED) -> Release:
    """Raises FetchError when the file is no catalogue."""
    try:
        fields = tomllib.loads(file.read_text(encoding="utf-8"))
        release, terms = fields["release"], fields["licence"]
        return Release(
            torch=release["torch"],
            cuda=release["cuda"],
            licence=Licence(terms["name"], terms["text"].strip(), terms["means"], terms["accept"]),
            wheels=tuple(_wheel(each) for each in fields.get("wheels", ())),
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FetchError(f"Cannot read the catalogue {file}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FetchError(f"{file} is no catalogue of PyTorch: {error!r}") from error


def _wheel(fields: dict[str, Any]) -> Package:
    """Raises ValueError for one that could not be checked when it comes."""
    name, sha256, sources = fields["name"], fields["sha256"], tuple(fields["sources"])
    WheelName.of(name)
    if name != Path(name).name or "\\" in name or len(sha256) != 64 or not sources:
        raise ValueError(f"{name} has no plain name, no SHA-256 or no source")
    file = File(path=name, tail=name, num_bytes=int(fields["bytes"]), sha256=sha256)
    return Package(name, is_archive=False, sources=sources, by_hand=sources[0], files=(file,))
