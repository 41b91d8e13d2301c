"""A joint map as text that people can read, and the folder of those that the animator made. No bpy.

Text from a file is a stranger's: it only ever names bones, and is believed no further.
"""

import contextlib
import json
from collections.abc import Container
from pathlib import Path
from typing import Any

from ..animation.whole_files import write_whole
from ..errors import UserError
from ..retarget.roles import ROLES, spoken
from .joint_map import JointMap

FORMAT, VERSION = "momask joint map", 1
ENDING = ".json"
FOLDER = "joint maps"
MAX_BYTES = 64 * 1024  # 22 bone names, each at most 63 bytes, are 3 kB
CHOOSE = "Choose a file that Export Map wrote."


def map_to_text(joint_map: JointMap, fingerprint: str) -> str:
    """JSON in a stable order. Which roles are left out is said by their absence."""
    roles = {role: joint_map.bones[role] for role in ROLES if role in joint_map.bones}
    card = {"format": FORMAT, "version": VERSION, "fingerprint": fingerprint, "roles": roles}
    return json.dumps(card, indent=2, ensure_ascii=False) + "\n"


def text_to_map(text: str, bones: Container[str], where: str, source: str) -> JointMap:
    """The map of an armature that has these bones; `where` names the text in errors.

    Raises UserError.
    """
    card = _card(text, where)
    if card.get("format") != FORMAT or not isinstance(card.get("roles"), dict):
        raise UserError(f"{where} is no joint map. {CHOOSE}")
    if card.get("version") != VERSION:
        raise UserError(f"{where} is of another version, {card.get('version')}. Export it anew.")
    roles = card["roles"]
    for role, bone in roles.items():
        _check_entry(role, bone, bones, where)
    _check_once(roles, where)
    found = {role: roles[role] for role in ROLES if role in roles}
    if not found:
        raise UserError(f"{where} names no bones. {CHOOSE}")
    return JointMap(found, dict.fromkeys(found, 1.0), source)


def read_map_file(file: Path, bones: Container[str], source: str = "imported map") -> JointMap:
    """Raises UserError."""
    try:
        return text_to_map(_read(file), bones, f"'{file.name}'", source)
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror}.") from error


def write_map_file(file: Path, text: str) -> None:
    """The whole file or none. Raises UserError."""
    write_whole(file, lambda part: part.write_text(text, encoding="utf-8", newline="\n"))


def _read(file: Path) -> str:
    """Raises OSError, UserError."""
    with file.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UserError(f"'{file.name}' is too large for a joint map. {CHOOSE}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"'{file.name}' is not text. {CHOOSE}") from error


def _card(text: str, where: str) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise UserError(f"{where} is too large for a joint map. {CHOOSE}")
    try:
        card = json.loads(text, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        reason = "" if isinstance(error, RecursionError) else f" ({error})"
        raise UserError(f"{where} is not JSON{reason}. {CHOOSE}") from error
    if not isinstance(card, dict):
        raise UserError(f"{where} is no joint map. {CHOOSE}")
    return card


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{double}' is there twice")
    return found


def _check_entry(role: str, bone: Any, bones: Container[str], where: str) -> None:
    if role not in ROLES:
        raise UserError(f"{where} has an unknown role, '{role}'. Known: {', '.join(ROLES)}.")
    if not isinstance(bone, str):
        raise UserError(f"{where} has no bone name for the {spoken(role)}. Correct it there.")
    if bone not in bones:
        raise UserError(
            f"{where} wants '{bone}' as the {spoken(role)}, and this armature has no such bone. "
            "Is it the map of another character?"
        )


def _check_once(roles: dict[str, str], where: str) -> None:
    role_of: dict[str, str] = {}
    for role, bone in roles.items():
        if bone in role_of:
            raise UserError(
                f"{where} gives '{bone}' to both the {spoken(role_of[bone])} and the "
                f"{spoken(role)}. Correct one of them there."
            )
        role_of[bone] = role


class SavedMaps:
    """One file per skeleton, named by its fingerprint, in the user's own folder.

    A folder that cannot be read or written costs the remembering, nothing else.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder / FOLDER if folder else None

    def find(self, fingerprint: str) -> str | None:
        """The text as it was saved."""
        if self._folder is not None:
            with contextlib.suppress(OSError, UserError):
                return _read(self._folder / f"{fingerprint}{ENDING}")
        return None

    def save(self, fingerprint: str, text: str | None) -> bool:
        """None forgets it. -> whether the folder now holds just that."""
        if self._folder is None:
            return False
        file = self._folder / f"{fingerprint}{ENDING}"
        try:
            if text is None:
                file.unlink(missing_ok=True)
            else:
                self._folder.mkdir(parents=True, exist_ok=True)
                write_map_file(file, text)
        except (OSError, UserError):
            return False
        return True
