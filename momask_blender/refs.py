"""References to Blender data that outlive undo: names and session UIDs, never Python objects."""

from dataclasses import dataclass

import bpy
from bpy.types import ID

from .errors import UserError


@dataclass(frozen=True)
class Ref:
    """An object, a scene or an Action, found again after it was renamed."""

    blocks: str  # where in `bpy.data`
    name: str
    uid: int

    @classmethod
    def of(cls, block: ID) -> "Ref":
        kinds = {bpy.types.Scene: "scenes", bpy.types.Action: "actions"}
        return cls(kinds.get(type(block), "objects"), block.name, block.session_uid)

    def find(self) -> ID | None:
        blocks = getattr(bpy.data, self.blocks)
        named = blocks.get(self.name)
        if named is not None and named.session_uid == self.uid:
            return named
        return next((block for block in blocks if block.session_uid == self.uid), None)

    def resolve(self) -> ID:
        """Raises UserError when it was deleted."""
        block = self.find()
        if block is None:
            raise UserError(f"'{self.name}' was deleted meanwhile.")
        return block
