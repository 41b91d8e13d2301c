"""One package from the first of its sources that gives it, going on where an earlier try stopped.

What has come lies in `FILE.part`; `FILE.part.json` says from which source and which version of it.
Nobody reads a part before the whole is there and was checked.
"""

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.client import HTTPResponse
from pathlib import Path

from momask_blender.contract.messages import FILES, NETWORK
from weights_fetcher.catalogue import Package
from weights_fetcher.errors import FetchError, UnfitError
from weights_fetcher.reports import Reporter, megabytes
from weights_fetcher.store import write_text
from weights_fetcher.web import (
    LastingError,
    PassingError,
    SourceError,
    StartOverError,
    Web,
    host_of,
    in_words,
)

CHUNK = 1 << 18
MAX_ARCHIVE = 4 << 30  # bytes; no published one is near it
UNKNOWN = -1


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to bear with a host, in seconds."""

    attempts: int = 5  # in a row that bring nothing
    first_pause: float = 1.0  # doubles with every such attempt
    longest_pause: float = 30.0
    longest_wait: float = 120.0  # that a host may ask for
    silence: float = 30.0
    least_rate: float = 1024.0  # bytes per second, on average over such a time


class TooSlowError(PassingError):
    """Bytes come, but it would take days."""


@dataclass(frozen=True)
class Origin:
    """What a part is a part of."""

    source: str = ""
    validator: str = ""  # strong ETag or date: the host goes on only with the same version
    total: int = UNKNOWN


def download(
    package: Package,
    part: Path,
    check: Callable[[Path], None],
    report: Reporter,
    patience: Patience | None = None,
) -> None:
    """Bring the whole package into `part` and have it checked, source after source.

    `check` raises UnfitError when what came is not the published file. Raises FetchError when no
    source gives it, OSError when it cannot be written.
    """
    patience = patience or Patience()
    web, reasons = Web(patience.silence), []
    begun = read_origin(part).source
    for address in sorted(package.sources, key=lambda each: each != begun):
        try:
            return Transfer(address, package, part, web, report, patience).run(check)
        except SourceError as error:
            reasons.append(str(error))
    raise FetchError(
        f"Cannot fetch {package.name}: {'; '.join(dict.fromkeys(reasons))}. Try again later, or "
        f"save {package.by_hand} with a browser and import the file.",
        NETWORK,
    )


@dataclass
class Transfer:
    """A package on its way from one source."""

    address: str
    package: Package
    part: Path
    web: Web
    report: Reporter
    patience: Patience

    def run(self, check: Callable[[Path], None]) -> None:
        """Try until all is there and found right. Raises SourceError."""
        failures, best = 0, self._size()
        while True:
            offset = self._offset()
            try:
                self._receive(offset)
                check(self.part)
                return discard(self.part)
            except UnfitError as error:
                is_pieced = offset > 0 or read_origin(self.part).total == UNKNOWN
                discard(self.part)
                trouble = self._not_it(error, is_pieced)
            except StartOverError as error:
                discard(self.part)
                trouble = PassingError(str(error))
            except PassingError as error:
                trouble = error
            has_grown = self._size() > best and not isinstance(trouble, TooSlowError)
            failures = 0 if has_grown else failures + 1
            best = max(best, self._size())
            self._pause(failures, trouble)

    def _not_it(self, error: UnfitError, is_pieced: bool) -> PassingError:
        """Pieces may not belong together; what came in one go will not be better next time."""
        host = host_of(self.address)
        if not is_pieced:
            raise LastingError(f"{host} gives another file: {error}") from error
        return PassingError(f"What came from {host} does not fit together: {error}")

    def _pause(self, failures: int, trouble: PassingError) -> None:
        patience = self.patience
        if trouble.wait > patience.longest_wait:
            raise LastingError(f"{trouble} and asks to wait for {trouble.wait / 60:.0f} minutes")
        if failures >= patience.attempts:
            raise LastingError(str(trouble))
        pause = min(patience.first_pause * 2 ** max(0, failures - 1), patience.longest_pause)
        pause = max(pause, trouble.wait)
        self.report.notice(f"{trouble}. Trying again in {pause:.2g} s.")
        time.sleep(pause)

    def _size(self) -> int:
        with suppress(OSError):
            return self.part.stat().st_size
        return 0

    def _offset(self) -> int:
        """Bytes that need not come again: the source's own, or of a file that is known by hash."""
        is_known = not self.package.is_archive and bool(self.package.files[0].sha256)
        if is_known or read_origin(self.part).source == self.address:
            return self._size()
        return 0

    def _receive(self, offset: int) -> None:
        """Complete the part. Raises SourceError when less came."""
        origin = read_origin(self.part)
        if offset and offset == origin.total:
            return  # ended before it could be checked
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if origin.validator and origin.source == self.address:
                headers["If-Range"] = origin.validator
        with self.web.open(self.address, headers) as answer:
            start, total = self._where(answer, offset)
            self._check_size(start, total)
            write_text(origin_file(self.part), json.dumps(asdict(self._origin(answer, total))))
            self._write(answer, start, total)

    def _where(self, answer: HTTPResponse, offset: int) -> tuple[int, int]:
        """First byte and size of the whole file, as the host answers."""
        if answer.status == HTTPStatus.OK:
            length = answer.headers.get("Content-Length", "")
            return 0, int(length) if length.isdigit() else UNKNOWN
        host = host_of(self.address)
        if answer.status != HTTPStatus.PARTIAL_CONTENT:
            raise PassingError(f"{host} answers {answer.status}")
        origin = read_origin(self.part)
        first, total = content_range(answer.headers.get("Content-Range", ""))
        validator = validator_of(answer)
        is_same = origin.source != self.address or validator in ("", origin.validator)
        if first != offset or not is_same or total not in (origin.total, UNKNOWN):
            raise StartOverError(f"{host} does not go on with the same file")
        return first, origin.total

    def _check_size(self, start: int, total: int) -> None:
        host, file = host_of(self.address), self.package.files[0]
        if total == UNKNOWN:
            return
        if not self.package.is_archive and not file.can_have(total):
            raise LastingError(f"{host} offers {total} bytes instead of {file.num_bytes}")
        if total > MAX_ARCHIVE:
            raise LastingError(f"{host} offers {megabytes(total)}, far more than was published")
        if (free := shutil.disk_usage(self.part.parent).free) < total - start:
            raise FetchError(
                f"{self.package.name} needs {megabytes(total - start)} in {self.part.parent}, "
                f"{megabytes(free)} are free. Free some space and fetch again.",
                FILES,
            )

    def _origin(self, answer: HTTPResponse, total: int) -> Origin:
        return Origin(self.address, validator_of(answer), total)

    def _write(self, answer: HTTPResponse, start: int, total: int) -> None:
        done, pace = start, Pace(self.patience)
        expected = total if total != UNKNOWN else self._most()
        phase = f"Downloading {self.package.name}"
        with self.part.open("ab" if start else "wb") as sink:
            while True:
                with in_words(self.address):
                    chunk = answer.read1(CHUNK)
                if not chunk:
                    break
                done += len(chunk)
                if done > expected:
                    raise UnfitError(f"{self.package.name} has more than {expected} bytes")
                sink.write(chunk)
                sink.flush()  # a killed process loses nothing that came
                self.report.progress(phase, done, max(expected, done))
                pace.check(done - start, host_of(self.address))
        if done < expected and (total != UNKNOWN or not self.package.is_archive):
            raise PassingError(f"{host_of(self.address)} broke off after {megabytes(done)}")

    def _most(self) -> int:
        return MAX_ARCHIVE if self.package.is_archive else self.package.files[0].num_bytes


class Pace:
    """Notices a host that trickles."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._since, self._had = time.monotonic(), 0

    def check(self, num_bytes: int, host: str) -> None:
        passed = time.monotonic() - self._since
        if passed < self._patience.silence:
            return
        if num_bytes - self._had < self._patience.least_rate * passed:
            raise TooSlowError(f"{host} sends too slowly")
        self._since, self._had = time.monotonic(), num_bytes


def content_range(header: str) -> tuple[int, int]:
    """`bytes 5-9/10` -> (5, 10); UNKNOWN for what is not said."""
    span, _, total = header.removeprefix("bytes ").partition("/")
    first = span.partition("-")[0].strip()
    return (
        int(first) if first.isdigit() else UNKNOWN,
        int(total) if total.strip().isdigit() else UNKNOWN,
    )


def validator_of(answer: HTTPResponse) -> str:
    tag = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def origin_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def read_origin(part: Path) -> Origin:
    """Of nothing, where there is none or it cannot be read."""
    with suppress(OSError, ValueError, TypeError):
        return Origin(**json.loads(origin_file(part).read_text(encoding="utf-8")))
    return Origin()


def discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    origin_file(part).unlink(missing_ok=True)
