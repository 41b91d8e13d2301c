"""Prompts used before, newest first, kept in the user's folder."""

import contextlib
import json
import os
from pathlib import Path

MOST = 30
FILE = "prompts.json"


class History:
    """Works from memory alone where the folder cannot be written."""

    def __init__(self, folder: Path | None = None) -> None:
        self._file = folder / FILE if folder else None
        self.prompts: list[str] = self._read()

    def add(self, prompt: str) -> None:
        self.prompts = [prompt, *(each for each in self.prompts if each != prompt)][:MOST]
        if self._file is None:
            return
        with contextlib.suppress(OSError):  # a full disk or a read-only folder costs the list only
            part = self._file.with_suffix(".part")
            part.write_text(json.dumps(self.prompts), encoding="utf-8")
            os.replace(part, self._file)

    def _read(self) -> list[str]:
        if self._file is None:
            return []
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return []
        listed = found if isinstance(found, list) else []
        return [each for each in listed if isinstance(each, str)][:MOST]
