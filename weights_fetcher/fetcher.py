"""A model by its name: its files fetched or imported, verified, and made into a weights folder."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from momask_blender.contract.messages import FILES, Offer
from weights_fetcher.archive import Arrived, unpack
from weights_fetcher.by_hand import collect
from weights_fetcher.catalogue import Catalogue, Model, Package
from weights_fetcher.download import Patience, download
from weights_fetcher.errors import FetchError, UnfitError
from weights_fetcher.reports import Reporter, megabytes
from weights_fetcher.store import FETCHED, ORIGIN, READY, Store, in_words, sha256_of

Convert = Callable[..., object]  # published tree, new weights folder, data set, clip=its folder


@dataclass
class Fetcher:
    catalogue: Catalogue
    store: Store
    report: Reporter
    convert: Convert
    patience: Patience = field(default_factory=Patience)

    def fetch(self, name: str, is_licence_accepted: bool) -> Path:
        """Bring what is not there yet and convert it. -> the folder it is in. Raises FetchError."""
        model = self.catalogue.find(name)
        parts = self.catalogue.with_needs(model)
        for part in parts:
            if part.licence.must_be_accepted and not is_licence_accepted:
                raise FetchError(
                    f"'{part.name}' has terms: {part.licence.means} Read them with "
                    f"`show {part.name}`, then add --accept-licence."
                )
        try:
            self._check_space(parts)
            for part in parts:
                with self.store.lock(part):
                    self._bring(part)
            return self._finish(model)
        except OSError as error:
            raise in_words(error, self.store.root) from error

    def import_from(self, source: Path, name: str) -> Path:
        """Take what `source` holds and convert it when all is there. Raises FetchError."""
        model = self.catalogue.find(name)
        num_taken, refused = 0, []
        try:
            for part in self.catalogue.with_needs(model):
                with self.store.lock(part):
                    taken, wrong = self._take_from(source, part)
                num_taken, refused = num_taken + taken, refused + wrong
            self._check_all_there(model, num_taken, refused, source)
            return self._finish(model)
        except UnfitError as error:
            raise FetchError(f"{error}. Nothing of it was used.") from error
        except OSError as error:
            raise in_words(error, self.store.root) from error

    def offers(self) -> list[Offer]:
        """All models, for a list: looks at names and sizes only."""
        return [self._offer(model) for model in self.catalogue.models.values()]

    def _offer(self, model: Model) -> Offer:
        is_ready = self.store.state(model) == READY
        parts = () if is_ready else self.catalogue.with_needs(model)
        to_come = [part for part in parts if self.store.state(part) != FETCHED]
        return Offer(
            name=model.name,
            title=model.title,
            about=model.about,
            state=self.store.state(model),
            num_bytes=sum(part.num_bytes for part in to_come),
            makes_motions=bool(model.dataset),
            licence=model.licence.name,
            means=model.licence.means,
            text=model.licence.text,
            must_be_accepted=model.licence.must_be_accepted,
        )

    # Fetching

    def _check_space(self, parts: list[Model]) -> None:
        """An archive lies beside its files for a moment, and they beside the converted model."""
        needed = 0
        for part in parts:
            missing = {file.path for file in self.store.missing(part)}
            for package in part.packages:
                if missing & {file.path for file in package.files}:
                    needed += package.num_bytes * (2 if package.is_archive else 1)
            needed += part.num_bytes if part.dataset and not self._is_converted(part) else 0
        free = self.store.free_bytes()
        if free < needed:
            raise FetchError(
                f"'{parts[-1].name}' needs {megabytes(needed)} in {self.store.root}, "
                f"{megabytes(free)} are free. Free some space, or set MOMASK_WEIGHTS to another "
                "folder.",
                FILES,
            )

    def _bring(self, model: Model) -> None:
        for package in model.packages:
            if any(self.store.fault(model, file) for file in package.files):
                incoming = self.store.incoming(model)
                incoming.mkdir(parents=True, exist_ok=True)
                part = incoming / f"{package.name}.part"
                land = self._landing(model, package)
                download(package, part, land, self.report, self.patience)
        shutil.rmtree(self.store.incoming(model), ignore_errors=True)

    def _landing(self, model: Model, package: Package) -> Callable[[Path], None]:
        """What puts a whole download into its place, or raises UnfitError."""

        def land(part: Path) -> None:
            self.report.progress(f"Checking {package.name}", 0, 1)
            if package.is_archive:
                arrived = unpack(part, package.files, self._unpacking(model))
                if len(arrived) < len(package.files):
                    there = {each.file for each in arrived}
                    lacking = next(file.tail for file in package.files if file not in there)
                    raise UnfitError(f"{package.name} lacks {lacking}")
            else:
                arrived = [Arrived(package.files[0], part, sha256_of(part))]
                if package.files[0].sha256 not in ("", arrived[0].sha256):
                    raise UnfitError(f"{package.name} is not the published file")
            self._place(model, arrived)

        return land

    def _place(self, model: Model, arrived: list[Arrived]) -> None:
        for each in arrived:
            self.store.take(model, each.file, each.path, each.sha256)

    def _unpacking(self, model: Model) -> Path:
        """A folder that is not there yet, for files that nobody has checked."""
        folder = self.store.incoming(model) / "unpacking"
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    # Importing

    def _take_from(self, source: Path, model: Model) -> tuple[int, list[str]]:
        missing = self.store.missing(model)
        if not missing:
            return 0, []
        self.report.progress(f"Looking for {model.title}", 0, 1)
        folder = self._unpacking(model)
        arrived, refused = collect(source, missing, folder)
        self._place(model, arrived)
        shutil.rmtree(folder)
        return len(arrived), refused

    def _check_all_there(
        self, model: Model, num_taken: int, refused: list[str], source: Path
    ) -> None:
        lacking = {
            part.name: [file.tail for file in self.store.missing(part)]
            for part in self.catalogue.with_needs(model)
        }
        lacking = {name: tails for name, tails in lacking.items() if tails}
        if not lacking:
            return
        what = "; ".join(f"{', '.join(tails)} (of '{name}')" for name, tails in lacking.items())
        taken = f"Imported {num_taken} files" if num_taken else f"{source} holds nothing wanted"
        reasons = "".join(f" {reason}." for reason in dict.fromkeys(refused))
        raise FetchError(f"{taken}. Still missing: {what}.{reasons} Import or fetch them too.")

    # Converting

    def _is_converted(self, model: Model) -> bool:
        """Whether the weights folder was made from the files that are there now."""
        try:
            origin = (self.store.converted(model) / ORIGIN).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return False
        return self.store.state(model) == READY and origin == self._origin(model)

    def _origin(self, model: Model) -> str:
        """What is written into a weights folder: files, licence."""
        lines = [f"{model.title}, fetched as '{model.name}' and converted from:"]
        for part in self.catalogue.with_needs(model):
            lines += [f"{value}  {path}" for path, value in sorted(self.store.sums(part).items())]
        licence = model.licence
        return "\n".join([*lines, "", licence.name, licence.means, "", licence.text]) + "\n"

    def _finish(self, model: Model) -> Path:
        """The weights folder of a model that makes motions; of others the verified files."""
        if not model.dataset:
            return self.store.downloads(model)
        with self.store.lock(model):
            if not self._is_converted(model):
                self.store.check_ours(model)
                self._convert(model)
        return self.store.converted(model)

    def _convert(self, model: Model) -> None:
        self.report.progress(f"Converting {model.title}", 0, 1)
        draft = self.store.incoming(model) / "draft" / model.name
        needed = [self.store.downloads(self.catalogue.find(name)) for name in model.needs]
        clip = needed[0] if needed else None
        self.convert(self.store.downloads(model), draft, model.dataset, clip=clip)
        (draft / ORIGIN).write_text(self._origin(model), encoding="utf-8")
        target = self.store.converted(model)
        if target.exists():
            shutil.rmtree(target)
        os.replace(draft, target)
        shutil.rmtree(self.store.incoming(model), ignore_errors=True)
