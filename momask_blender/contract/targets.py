"""Check where a result is to go before anything slow is done."""

import tempfile
from pathlib import Path


def check_target(file: Path, endings: tuple[str, ...]) -> None:
    """Raises ValueError when `file` has another ending or its folder cannot be written."""
    if file.suffix.lower() not in endings:
        raise ValueError(f"'{file.name}' must end in {' or '.join(endings)}.")
    if file.is_dir():
        raise ValueError(f"{file} is a folder. Give the name of a file.")
    if not file.parent.is_dir():
        raise ValueError(f"There is no folder {file.parent}. Create it or choose another.")
    try:
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise ValueError(f"Cannot write to the folder {file.parent}: {error.strerror}.") from error
