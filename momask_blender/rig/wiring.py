"""What a bone of a control rig hangs from: constraints, drivers and the properties they read."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bpy.types import Object

_CONSTRAINT = re.compile(r'pose\.bones\["((?:[^"\\]|\\.)*)"\]\.constraints\["')
_PROPERTY = re.compile(r'pose\.bones\["((?:[^"\\]|\\.)*)"\]\["((?:[^"\\]|\\.)*)"\]$')
_CHANNEL = re.compile(r'pose\.bones\["((?:[^"\\]|\\.)*)"\]\.(location|rotation|scale)')

# Properties that control rigs in wide use have, and what lets their FK controls rule.
KNOWN = {
    "IK_FK": 1.0,  # Rigify's limbs
    "neck_follow": 1.0,  # Rigify's torso
    "head_follow": 1.0,
    "FK_limb_follow": 0.0,
    "ik_fk_switch": 1.0,  # Auto-Rig Pro
}


@dataclass(frozen=True)
class Switch:
    """A custom property of a bone, and what it must be while the take plays."""

    bone: str
    property: str
    value: float

    @property
    def path(self) -> str:
        """Data path of its F-curve, below the armature object."""
        return f'pose.bones["{_escaped(self.bone)}"]["{_escaped(self.property)}"]'


class Wiring:
    """Who pulls at whom in one armature, as its constraints and drivers say."""

    def __init__(self, armature: Object) -> None:
        self._armature = armature

    @property
    def is_bare(self) -> bool:
        """Nothing pulls at any bone."""
        return not self._drivers and not any(b.constraints for b in self._armature.pose.bones)

    def upstream(self, bone: str) -> list[str]:
        """What may move a bone, nearest first: parents and the targets of constraints."""
        found = {bone: None}
        queue = [bone]
        while queue:
            name = queue.pop(0)
            for other in self._pulls(name):
                if other not in found:
                    found[other] = None
                    queue.append(other)
        return list(found)

    def switches(self, bone: str) -> list[Switch]:
        """Properties that change how a bone is pulled, with the values that are worth a try."""
        read = dict.fromkeys(s for name in self.upstream(bone) for s in self._read_by[name])
        found = []
        for owner, name in read:
            value = self.value(owner, name)
            if value is None:
                continue
            known = KNOWN.get(name)
            for other in (1.0, 0.0) if known is None else (known,):
                if other != value:
                    found.append(Switch(owner, name, other))
        return found

    def read_by(self, bone: str) -> list[tuple[str, str]]:
        """(owner, property) of all that drivers of its constraints read."""
        return self._read_by.get(bone, [])

    def ik_goals(self, bone: str) -> list[tuple[str, str]]:
        """(target, pole) of IK constraints that move a bone, those with a pole first."""
        found = []
        for name in self.upstream(bone):
            for constraint in self._armature.pose.bones[name].constraints:
                if constraint.type == "IK" and constraint.target == self._armature:
                    pole = constraint.pole_subtarget if constraint.pole_target else ""
                    found.append((constraint.subtarget, pole))
        return sorted(dict.fromkeys(found), key=lambda goal: not goal[1])

    def value(self, owner: str, name: str) -> float | None:
        """A custom property as it is now; None if it is no number."""
        bone = self._armature.pose.bones.get(owner)
        value = bone.get(name) if bone else None
        return float(value) if isinstance(value, int | float) else None

    def culprit(self, bone: str) -> str:
        """Why a bone does not do what its keys say, and what to press, in one line."""
        for holder in (bone, *self._ik_chains[bone]):
            for constraint in self.active_constraints(holder):
                if holder == bone or constraint.type == "IK":
                    of = f" of '{holder}'" if holder != bone else ""
                    return (
                        f"'{bone}' follows the constraint '{constraint.name}'{of}: mute it or set "
                        "its influence to 0 to animate it."
                    )
        if bone in self.with_drivers:
            return f"'{bone}' is moved by a driver: remove or mute it to animate it."
        return f"'{bone}' follows other bones, and no control turns it: it is not animated."

    def _pulls(self, bone: str) -> Iterator[str]:
        bones = self._armature.pose.bones
        if bones[bone].parent:
            yield bones[bone].parent.name
        for constraint in bones[bone].constraints:
            for target in (constraint, *getattr(constraint, "targets", ())):
                name = getattr(target, "subtarget", "")
                if name in bones and getattr(target, "target", None) == self._armature:
                    yield name
        yield from self._ik_chains[bone]

    def active_constraints(self, bone: str) -> list[Any]:
        constraints = self._armature.pose.bones[bone].constraints
        return [c for c in constraints if not c.mute and c.influence > 0.0]

    @cached_property
    def _ik_chains(self) -> dict[str, list[str]]:
        """Bone -> the bones below it whose IK constraint moves it."""
        found: dict[str, list[str]] = defaultdict(list)
        for holder in self._armature.pose.bones:
            for constraint in (c for c in holder.constraints if c.type == "IK"):
                chain = [holder, *holder.parent_recursive][: constraint.chain_count or None]
                for link in chain[1:]:
                    found[link.name].append(holder.name)
        return found

    @cached_property
    def _drivers(self) -> list[Any]:
        data = self._armature.animation_data
        return [curve for curve in data.drivers if not curve.mute] if data else []

    @cached_property
    def with_drivers(self) -> set[str]:
        """Bones that drivers move, whatever their keys say."""
        matches = (_CHANNEL.match(curve.data_path) for curve in self._drivers)
        return {_unescaped(match[1]) for match in matches if match}

    @cached_property
    def _read_by(self) -> dict[str, list[tuple[str, str]]]:
        """Bone -> (owner, property) that drivers of its constraints read."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for curve in self._drivers:
            driven = _CONSTRAINT.match(curve.data_path)
            for variable in curve.driver.variables if driven else ():
                for target in variable.targets:
                    read = _PROPERTY.match(target.data_path)
                    if read and target.id == self._armature:
                        found[_unescaped(driven[1])].append(
                            (_unescaped(read[1]), _unescaped(read[2]))
                        )
        return found


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)
