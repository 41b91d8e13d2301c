"""The known models: files, sizes, hashes, sources and licences, read from a TOML file.

`catalogue.toml` beside this file is the one that ships; tests and studios give their own by path.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from weights_fetcher.errors import FetchError

SHIPPED = Path(__file__).with_name("catalogue.toml")


@dataclass(frozen=True)
class Licence:
    name: str
    text: str
    means: str  # for use, in plain words
    must_be_accepted: bool


@dataclass(frozen=True)
class File:
    """One published file. Without `sha256` no hash is known and `num_bytes` is the most allowed."""

    path: str  # below the model's folder of downloads
    tail: str  # how its name in an archive, or in a folder got by hand, ends
    num_bytes: int
    sha256: str

    def can_have(self, num_bytes: int) -> bool:
        return num_bytes == self.num_bytes if self.sha256 else num_bytes <= self.num_bytes


@dataclass(frozen=True)
class Package:
    """What one download brings: an archive's files, or one file as it is."""

    name: str  # as its sources call it
    is_archive: bool
    sources: tuple[str, ...]
    by_hand: str  # a page for a browser
    files: tuple[File, ...]

    @property
    def num_bytes(self) -> int:
        """About what it takes, on the way and unpacked: weights hardly compress."""
        exact = sum(file.num_bytes for file in self.files if file.sha256)
        return exact or sum(file.num_bytes for file in self.files)


@dataclass(frozen=True)
class Model:
    name: str
    title: str
    about: str
    licence: Licence
    packages: tuple[Package, ...]
    needs: tuple[str, ...]  # names of models whose files it is converted with
    dataset: str  # of the published tree that it is converted from; empty: kept as it is

    @property
    def files(self) -> tuple[File, ...]:
        return tuple(file for package in self.packages for file in package.files)

    @property
    def num_bytes(self) -> int:
        return sum(package.num_bytes for package in self.packages)


@dataclass(frozen=True)
class Catalogue:
    models: dict[str, Model]

    def find(self, name: str) -> Model:
        """Raises FetchError that lists the known names."""
        if name not in self.models:
            raise FetchError(f"There is no model '{name}'. Known are: {', '.join(self.models)}.")
        return self.models[name]

    def with_needs(self, model: Model) -> list[Model]:
        """What has to be there before `model` can be converted, and `model` itself, last."""
        return [*(self.find(name) for name in model.needs), model]


def read_catalogue(file: Path = SHIPPED) -> Catalogue:
    """Raises FetchError when the file is no catalogue."""
    try:
        fields = tomllib.loads(file.read_text(encoding="utf-8"))
        licences = {name: _licence(each) for name, each in fields["licences"].items()}
        models = {name: _model(name, each, licences) for name, each in fields["models"].items()}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FetchError(f"Cannot read the catalogue {file}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FetchError(f"{file} is no catalogue of weights: {error!r}") from error
    return Catalogue(models)


def _licence(fields: dict[str, Any]) -> Licence:
    return Licence(fields["name"], fields["text"].strip(), fields["means"], fields["accept"])


def _model(name: str, fields: dict[str, Any], licences: dict[str, Licence]) -> Model:
    return Model(
        name=_inside(name),
        title=fields["title"],
        about=fields["about"],
        licence=licences[fields["licence"]],
        packages=tuple(_package(each) for each in fields["packages"]),
        needs=tuple(fields.get("needs", ())),
        dataset=fields.get("dataset", ""),
    )


def _package(fields: dict[str, Any]) -> Package:
    folder = PurePosixPath(fields.get("folder", ""))
    files = tuple(
        File(
            path=_inside(str(folder / each["path"])),
            tail=each["path"],
            num_bytes=int(each["bytes"]),
            sha256=each.get("sha256", ""),
        )
        for each in fields["files"]
    )
    archive = fields.get("archive", "")
    if not archive and len(files) != 1:
        raise ValueError("a package that is no archive must have one file")
    sources = tuple(fields["sources"])
    return Package(
        name=_inside(archive or PurePosixPath(files[0].path).name),
        is_archive=bool(archive),
        sources=sources,
        by_hand=fields.get("by_hand") or sources[0],
        files=files,
    )


def _inside(path: str) -> str:
    """`path` as it is. Raises ValueError when it could lead out of a folder."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or {"..", "."} & set(pure.parts) or set(path) & set("\\:\0"):
        raise ValueError(f"'{path}' is not a plain name")
    return path
