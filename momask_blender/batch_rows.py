"""The table of a batch: each row is a `generate` command, and a name for its file. No bpy."""

import csv
import math
import re
import unicodedata
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .contract.command_line import generate_request
from .errors import UserError
from .generate_arguments import check_character, words
from .retarget.fit import FEET, TRAVEL

MAX_NAME = 50  # characters, of up to four bytes: file systems have 255 for a name with its endings
MAX_ROWS = 1_000_000
NOTE = "#"  # how columns begin that are the user's own
DELIMITERS = ",;\t"
FORBIDDEN = '<>:"/\\|?*'  # in file names, on one system or another
DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)


def read_table(file: Path) -> list[dict[str, str]]:
    """The filled cells of each row by column. Raises UserError for a file that is no such table."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            delimiter = _delimiter(lines.readline())
            lines.seek(0)
            return list(_records(csv.reader(lines, delimiter=delimiter, strict=True), file))
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text. Save it as 'CSV UTF-8'.") from error
    except csv.Error as error:
        raise UserError(
            f"{file} is no table: {error}. Look for a quote that is not closed."
        ) from error
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror}.") from error


def _delimiter(header: str) -> str:
    """Spreadsheets of some countries write semicolons."""
    return max(DELIMITERS, key=header.count)


def _records(reader: Iterator[list[str]], file: Path) -> Iterator[dict[str, str]]:
    columns = [_column(cell) for cell in next(reader, [])]
    _check_columns(columns, file)
    for cells in reader:
        if not cells:  # an empty line
            continue
        if any(cell.strip() for cell in cells[len(columns) :]):
            yield {"": "more cells than columns; put text with commas in quotes"}
            continue
        pairs = zip(columns, (cell.strip() for cell in cells), strict=False)
        yield {column: cell for column, cell in pairs if cell and not column.startswith(NOTE)}


def _column(cell: str) -> str:
    return re.sub(r"[ -]+", "_", cell.strip().lower()) or NOTE


def _check_columns(columns: list[str], file: Path) -> None:
    named = [column for column in columns if not column.startswith(NOTE)]
    known = ", ".join(CELLS)
    if "prompt" not in named:
        raise UserError(f"{file} has no column 'prompt' in its first line. There can be: {known}.")
    for column in named:
        if column not in CELLS:
            raise UserError(
                f"{file} has a column '{column}', which means nothing here. There can be: {known}; "
                f"begin the names of your own columns with {NOTE}."
            )
        if named.count(column) > 1:
            raise UserError(f"{file} has the column '{column}' twice.")


def rows_of(
    table: list[dict[str, str]], chosen: Namespace
) -> Iterator[tuple[int, Namespace | UserError]]:
    """Each row with its number, from 1, as arguments of `generate`; or what is wrong with it.

    `chosen` is the command line of `batch`: what a cell leaves open. A row's name depends on the
    whole table, never on which rows are made.
    """
    names = file_names(table)
    for number, (cells, name) in enumerate(zip(table, names, strict=True), 1):
        if not cells:  # a spreadsheet's empty row
            continue
        try:
            yield number, _row(cells, name, chosen)
        except (UserError, ValueError) as error:
            yield number, UserError(str(error))


def _row(cells: dict[str, str], name: str | UserError, chosen: Namespace) -> Namespace:
    if "" in cells:
        raise UserError(cells[""])
    values = {column: CELLS[column](column, cell) for column, cell in cells.items()}
    for column in PATHS & values.keys():
        values[column] = chosen.table.parent / values[column]
    if "seconds" in values and "frames" in values:
        raise UserError("both seconds and frames; one of them says the length")
    if isinstance(name, UserError):
        raise name
    unset = {"prompt": "", "seconds": None, "frames": None, "preview": None}
    row = Namespace(**unset | vars(chosen) | values | {"out": chosen.out / (name + chosen.format)})
    check_character(row, chosen.format)
    row.request = generate_request(row, "")
    return row


def _number(kind: Callable[[str], Any]) -> Callable[[str, str], Any]:
    def read(column: str, cell: str) -> Any:
        try:
            value = kind(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            whole = "whole " if kind is int else ""
            raise UserError(f"{column} must be a {whole}number, not '{cell[:40]}'")
        return value

    return read


def _choice(names: tuple[str, ...]) -> Callable[[str, str], str]:
    def read(column: str, cell: str) -> str:
        word = cell.lower().replace("_", "-")
        if word not in words(names):
            raise UserError(f"{column} must be {', '.join(words(names))}, not '{cell[:40]}'")
        return word

    return read


def _text(_column: str, cell: str) -> str:
    return cell


def _path(_column: str, cell: str) -> Path:
    return Path(cell)


CELLS: dict[str, Callable[[str, str], Any]] = {
    "prompt": _text,
    "name": _text,
    "seconds": _number(float),
    "frames": _number(int),
    "seed": _number(int),
    "weights": _text,
    "guidance": _number(float),
    "residual_guidance": _number(float),
    "steps": _number(int),
    "character": _path,
    "armature": _text,
    "map": _path,
    "feet": _choice(FEET),
    "travel": _choice(TRAVEL),
}
PATHS = {"character", "map"}  # beside the table, where they are not absolute


def file_names(table: list[dict[str, str]]) -> list[str | UserError]:
    """One for each row, without ending: a plain name that no other row has on any file system."""
    taken: dict[str, int] = {}  # by those that have a name of their own, and the first such row
    names: list[str | UserError] = []
    for number, cells in enumerate(table, 1):
        names.append(_own_name(cells["name"], number, taken) if "name" in cells else "")
    used = set(taken)
    for index, cells in enumerate(table):
        if names[index] == "":
            names[index] = _free(_name_from(cells.get("prompt", "")), used)
    return names


def _own_name(name: str, number: int, taken: dict[str, int]) -> str | UserError:
    name = unicodedata.normalize("NFC", name)
    if len(name) > MAX_NAME or name != plain(name):
        return UserError(f"'{name[:40]}' cannot be the name of a file; use letters and digits")
    first = taken.setdefault(_key(name), number)
    return name if first == number else UserError(f"row {first} has the name '{name}' already")


def plain(name: str) -> str:
    """What is left of it in a file name that every system takes: no folders, no devices."""
    kept = "".join(c for c in name if c.isprintable() and c not in FORBIDDEN)
    kept = kept.lstrip(" .-").rstrip(" .")
    return f"{kept}_" if DEVICES.fullmatch(kept.partition(".")[0].rstrip()) else kept


def _name_from(prompt: str) -> str:
    """'A person walks.' -> 'a-person-walks'"""
    spelled = unicodedata.normalize("NFC", prompt).lower()
    joined = re.sub(r"\W+", "-", spelled).strip("-_")[:MAX_NAME]
    return plain(joined.strip("-_")) or "motion"


def _free(name: str, used: set[str]) -> str:
    """`name`, or the first of `name-2`, `name-3`, ... that nobody has yet."""
    number, wanted = 1, name
    while _key(wanted) in used:
        number += 1
        wanted = f"{name}-{number}"
    used.add(_key(wanted))
    return wanted


def _key(name: str) -> str:
    """The same for names that some file system takes for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def chosen_rows(text: str) -> range:
    """'A:B' -> rows A to B; 'A:' to the last one. Raises UserError."""
    found = re.fullmatch(r"([1-9]\d{0,6}):([1-9]\d{0,6})?", text.strip())
    first, last = (int(found[1]), int(found[2] or MAX_ROWS)) if found else (1, 0)
    if last < first:
        raise UserError(f"'{text}' are no rows. Write FIRST:LAST, for example 1:40, or FIRST:.")
    return range(first, last + 1)
