"""Where PyTorch for CUDA lies that a user has installed for this software: one folder per Python.

`ROOT/cp311/runtime.json` says what is there; it is written last, so a folder without it is not
whole, or not ours. `ROOT/cp311/site/` is what a child process imports from.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .weights_root import data_folder

VARIABLE = "MOMASK_RUNTIME"
SENTINEL = "runtime.json"
SITE = "site"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """What a sentinel says."""

    folder: Path
    torch: str  # version
    cuda: str  # that it was built for; empty: a build without CUDA
    wheels: dict[str, str] = field(default_factory=dict)  # file name -> SHA-256

    @property
    def site(self) -> Path:
        return self.folder / SITE

    def in_words(self) -> str:
        return f"PyTorch {self.torch}" + (
            f" for CUDA {self.cuda}" if self.cuda else " without CUDA"
        )


def runtime_root() -> Path:
    """The folder that MOMASK_RUNTIME names, or the one in the user's data folder."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).absolute()
    return data_folder() / "momask" / "runtime"


def python_tag() -> str:
    """Of this interpreter, as wheels call it; the child processes run in the same one."""
    return f"cp{sys.version_info.major}{sys.version_info.minor}"


def find_installed(folder: Path | None = None) -> Installed | None:
    """What is whole in `folder`, or in this Python's own."""
    folder = folder or runtime_root() / python_tag()
    try:
        fields = json.loads((folder / SENTINEL).read_text(encoding="utf-8"))
        return Installed(folder=folder, **fields)
    except (OSError, ValueError, TypeError):
        return None


def sentinel_of(installed: Installed) -> str:
    fields = asdict(installed)
    del fields["folder"]
    return json.dumps(fields, indent=1, sort_keys=True) + "\n"
