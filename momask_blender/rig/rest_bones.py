"""The bones of an armature at rest, as arrays. No bpy."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class RestBones:
    """All bones, parents before children.

    Rig space: the armature's own axes, in metres as the object is scaled in the world. It does not
    change when the object is moved or turned.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for none
    heads: Array  # (N, 3)
    tails: Array  # (N, 3)
    rotations: Array  # (N, 4) the bone's axes -> rig space
    deforms: tuple[bool, ...]
    scale: float = 1.0  # metres per unit of the armature
    inherits_rotation: tuple[bool, ...] = ()  # empty: all do
    local_location: tuple[bool, ...] = ()  # empty: all are moved along their own axes
    connected: tuple[bool, ...] = ()  # empty: none; these stay at their parent's tail
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)  # source -> role -> bone

    @cached_property
    def index(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        lists: list[list[int]] = [[] for _ in self.names]
        for bone, parent in enumerate(self.parents):
            if parent >= 0:
                lists[parent].append(bone)
        return tuple(map(tuple, lists))

    def ancestors(self, bone: int) -> list[int]:
        """From the parent up to the root."""
        found = []
        while (bone := self.parents[bone]) >= 0:
            found.append(bone)
        return found

    @cached_property
    def fingerprint(self) -> str:
        """The same for the same names in the same hierarchy, in any file and at any scale."""
        lines = sorted(
            f"{name}<{self.names[parent] if parent >= 0 else ''}"
            for name, parent in zip(self.names, self.parents, strict=True)
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
