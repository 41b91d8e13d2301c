"""Which files of a batch are made, and from what, so that a second run goes on. No bpy.

The note is written after the file and holds its hash: a file that is damaged, changed, or from
another row has no note that fits. Machines that share a folder need no lock.
"""

import contextlib
import hashlib
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from .animation.whole_files import write_whole

FOLDER = ".momask"  # in the output folder; no file of a row begins with a dot
SAYS_HOW = (  # what of a row decides what is in its file
    *(
        "prompt",
        "seconds",
        "frames",
        "seed",
        "weights",
        "guidance",
        "residual_guidance",
        "steps",
        "draft",
    ),
    *("armature", "feet", "travel", "fps", "preset"),
)


class Ledger:
    def __init__(self, out: Path) -> None:
        self.folder = out / FOLDER
        self._hashes: dict[Path, str] = {}  # of characters and maps, which many rows share

    def has(self, row: Namespace) -> bool:
        """Whether the row's file is there, complete, and made from this very row."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self._note(row).read_text("utf-8")) == self._entry(row)
        return False

    def enter(self, row: Namespace) -> None:
        """The row's file is complete. Raises UserError, OSError."""
        self.folder.mkdir(exist_ok=True)
        text = json.dumps(self._entry(row), indent=1, ensure_ascii=False) + "\n"
        write_whole(self._note(row), lambda part: part.write_text(text, "utf-8"))

    def _note(self, row: Namespace) -> Path:
        return self.folder / f"{row.out.name}.json"

    def _entry(self, row: Namespace) -> dict[str, Any]:
        entry: dict[str, Any] = {name: getattr(row, name) for name in SAYS_HOW}
        for name in ("character", "map"):
            entry[name] = self._hash_once(getattr(row, name))
        return entry | {"file": _sha256(row.out)}

    def _hash_once(self, file: Path | None) -> str | None:
        """Of its content: on another machine it may lie elsewhere."""
        if file is not None and file not in self._hashes:
            self._hashes[file] = _sha256(file)
        return self._hashes[file] if file is not None else None


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
