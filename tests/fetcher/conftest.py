"""A server that goes wrong on request, and catalogues of files that it gives."""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fetcher.faulty_server import Server
from tests.fetcher.small_catalogue import entry, write_catalogue
from tests.fetcher.small_wheels import NVIDIA, NVIDIA_FILES, TORCH, TORCH_FILES, write_wheel
from weights_fetcher.catalogue import read_catalogue
from weights_fetcher.download import Patience
from weights_fetcher.fetcher import Fetcher
from weights_fetcher.store import Store

REPOSITORY = Path(__file__).resolve().parents[2]
QUICK = Patience(attempts=3, first_pause=0.01, silence=0.5, longest_wait=1.5)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def content() -> bytes:
    """Of a file worth fetching: 600 kB, more than a socket's buffers hold at once."""
    return random.Random(5).randbytes(600_000)


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """A folder with wheels, a small PyTorch among them."""
    write_wheel(tmp_path / "share" / TORCH, TORCH_FILES)
    write_wheel(tmp_path / "share" / NVIDIA, NVIDIA_FILES)
    return tmp_path / "share"


@pytest.fixture
def torch_wheel(share: Path) -> bytes:
    return (share / TORCH).read_bytes()


class Notes:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int, int]] = []
        self.notices: list[str] = []

    def progress(self, phase: str, done: int, total: int) -> None:
        self.phases.append((phase, done, total))

    def notice(self, text: str) -> None:
        self.notices.append(text)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def plain(tmp_path: Path, server: Server, content: bytes) -> Callable[..., Path]:
    """A catalogue with one model, 'net', of one file; its sources are paths on the server."""

    def catalogue(*paths: str, **fields: Any) -> Path:
        sources = [path if "://" in path else f"{server.address}{path}" for path in paths]
        package = {"sources": sources, "files": [entry("net.bin", content)]}
        return write_catalogue(tmp_path / "list.toml", {"net": {"packages": [package]} | fields})

    return catalogue


@pytest.fixture
def fetcher(tmp_path: Path, notes: Notes) -> Callable[..., Fetcher]:
    def no_conversion(*_: Any) -> None:
        raise AssertionError("nothing here is a model")

    def make(catalogue: Path, patience: Patience = QUICK) -> Fetcher:
        store = Store(tmp_path / "weights")
        return Fetcher(read_catalogue(catalogue), store, notes, no_conversion, patience)

    return make


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.Popen]:
    """`python -m weights_fetcher ...` as a process; weights go into a folder of the test."""

    def start(*arguments: object, **options: Any) -> subprocess.Popen:
        environment = dict(os.environ) | {"MOMASK_WEIGHTS": str(tmp_path / "weights")}
        environment |= {"MOMASK_RUNTIME": str(tmp_path / "runtime")}
        environment |= options.pop("env", {})
        return subprocess.Popen(
            [sys.executable, "-m", "weights_fetcher", *map(str, arguments)],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return start
