"""The joint maps of the armatures in this Blender: made by the animator, saved, or found.

Looked up once per armature and kept while Blender runs, so that drawing a panel costs nothing.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import bpy
from bpy.types import Armature, Object

from ..errors import UserError
from .joint_map import JointMap, find_joint_map
from .map_file import SavedMaps, map_to_text, text_to_map
from .rest import read_rest
from .rest_bones import RestBones

STORED_AS = "momask_map"  # custom property of the armature's data: JSON, so it is only ever data
STORED, SAVED = "your map in this file", "your map for this skeleton"


@dataclass(frozen=True)
class Known:
    """The map of one armature, or why there is none."""

    joint_map: JointMap | None = None
    is_own: bool = False  # the animator's own, not found
    error: str = ""
    fix: str = ""  # the operator that helps


BROKEN = Known(error="Looking for the bones went wrong. Set them by hand, or press Detect Again.")


class KnownMaps:
    def __init__(self) -> None:
        self.saved = SavedMaps()
        self._known: dict[int, tuple[object, Known]] = {}  # by session UID of the armature's data
        self._saved_with: dict[int, _SavedWith] = {}

    def open(self, folder: Path | None) -> None:
        """`folder` is the user's own; None: maps are remembered in files of Blender only."""
        self.saved = SavedMaps(folder)
        self.forget_all()

    def peek(self, armature: Object) -> Known | None:
        """None where it has not been looked up, or has other bones or another stored map since."""
        signature, known = self._known.get(armature.data.session_uid, (None, None))
        return known if signature == _signature(armature.data) else None

    def look_up(self, armature: Object) -> Known:
        """As `peek`, but looks where nobody did yet: not for drawing."""
        known = self.peek(armature)
        if known is None:
            key, signature = armature.data.session_uid, _signature(armature.data)
            self._known[key] = (signature, BROKEN)  # a mistake of ours is heard once, not per frame
            known = self._look(armature)
            self._known[key] = (signature, known)
        return known

    def map_of(self, armature: Object) -> JointMap:
        """Raises UserError where it has none."""
        known = self.look_up(armature)
        if known.joint_map is None:
            raise UserError(known.error, fix=known.fix)
        return known.joint_map

    def look_again(self, armature: Object) -> Known:
        self._known.pop(armature.data.session_uid, None)
        return self.look_up(armature)

    def forget_all(self) -> None:
        """Another file was opened: look again at everything."""
        self._known.clear()
        self._saved_with.clear()

    def keep(self, armature: Object, joint_map: JointMap) -> bool:
        """Make it the armature's map, and that of its skeleton in other files.

        -> whether it is stored: with the armature, or else in the user's folder.
        """
        fingerprint = read_rest(armature).fingerprint
        text = map_to_text(joint_map, fingerprint)
        is_saved = self._store(armature.data, fingerprint, text)
        return is_saved or is_editable(armature.data)

    def forget(self, armature: Object) -> None:
        """Drop what the animator set; bones are found by themselves again."""
        self._store(armature.data, read_rest(armature).fingerprint, None)

    def follow_undo(self) -> None:
        """After an undo or redo: what is saved for a skeleton goes the way of what is stored."""
        for data in bpy.data.armatures:
            past = self._saved_with.get(data.session_uid)
            stored = data.get(STORED_AS)
            if past is not None and past.stored != stored and stored in past.saved:
                past.stored = stored
                self.saved.save(past.fingerprint, past.saved[stored])
                self._known.clear()

    def _store(self, data: Armature, fingerprint: str, text: str | None) -> bool:
        if is_editable(data):
            stored = data.get(STORED_AS)
            past = self._saved_with.setdefault(data.session_uid, _SavedWith(fingerprint, {}))
            past.saved.setdefault(stored, self.saved.find(fingerprint))
            past.saved[text] = past.stored = text
            if text is not None:
                data[STORED_AS] = text
            elif STORED_AS in data:
                del data[STORED_AS]
        self._known.clear()  # other armatures may have the same skeleton
        return self.saved.save(fingerprint, text)

    def _look(self, armature: Object) -> Known:
        rest = read_rest(armature)
        texts = {
            (STORED, "the map in this file"): armature.data.get(STORED_AS),
            (SAVED, "the saved map"): self.saved.find(rest.fingerprint),
        }
        damaged = []
        for (source, where), text in texts.items():
            if isinstance(text, str):
                try:
                    return Known(text_to_map(text, rest.index, where, source), is_own=True)
                except UserError as error:
                    damaged.append(f"Not used, as {error}")
        return _find(rest, damaged)


@dataclass
class _SavedWith:
    """What was saved for a skeleton while the armature's data stored this or that."""

    fingerprint: str
    saved: dict[str | None, str | None]
    stored: str | None = None


def _find(rest: RestBones, warnings: list[str]) -> Known:
    try:
        found = find_joint_map(rest)
    except UserError as error:
        return Known(error=str(error), fix=error.fix)
    return Known(replace(found, warnings=(*warnings, *found.warnings)))


def is_editable(data: Armature) -> bool:
    """Whether what is stored on it is saved with the file."""
    return data.library is None and data.override_library is None


def _signature(data: Armature) -> object:
    return data.get(STORED_AS), tuple(data.bones.keys())


known_maps = KnownMaps()
