"""Which bones of a control rig to key: found by turning candidates and seeing what follows.

Works on a copy of the armature (`Probe`), in steps for a timer to take one at a time.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from bpy.types import Object
from numpy.typing import NDArray

from ..contract import rotation
from ..retarget.target import Target
from .probe import CARRIED, HALF, PARTLY, RIGID, STILL, Probe
from .wiring import KNOWN, Switch, Wiring

Array = NDArray[np.floating]
Steps = Generator[None, None, None]

NEAR = 0.06  # of the rig's size: a control turns about a place this near to its bone's head
INNER = ("ORG-", "DEF-", "MCH-")  # bones that animators do not see


@dataclass(frozen=True, eq=False)
class Controls:
    """What to key on a control rig."""

    target: Target
    switches: tuple[Switch, ...] = ()  # keyed in the take: their values outside it stay
    unkeyed: frozenset[str] = frozenset()  # bones of the target that do not do what keys say
    leaders: tuple[str, ...] = ()  # further controls that move those of the target: kept at rest
    warnings: tuple[str, ...] = ()


class Pull(NamedTuple):
    """The control that a driven bone follows, -1 for none."""

    parent: int
    turns: bool


def find_controls(
    armature: Object, plain: Target, root_bone: bool = False
) -> Generator[None, None, Controls | None]:
    """The controls that turn the bones of `plain`, or None where all of these obey themselves.

    `plain` comes from `driven_bones`. Yields between steps of a few evaluations of the rig, which
    is not touched.
    """
    wiring = Wiring(armature)
    if wiring.is_bare:
        return None
    with Probe(armature) as probe:
        yield
        probe.matrices()  # Blender builds its graph: a step of its own
        yield
        search = _Search(probe, wiring, plain)
        if not search.wanting:
            return None
        yield
        search.set_known_switches()
        yield from search.find()
        yield from search.find_carrier(root_bone)
        yield from search.settle_followers()
        yield from search.find_leaders()
        return search.result()


class _Search:
    """What has been found so far. Bones and controls are rows of the probe's matrices."""

    def __init__(self, probe: Probe, wiring: Wiring, plain: Target) -> None:
        self._probe, self._wiring, self._plain = probe, wiring, plain
        obey = probe.obeys(list(plain.bones))
        self._bones = [probe.index[name] for name in plain.bones]
        self._parts = [bone for row, bone in enumerate(plain.bones) if _has_a_part(plain, row)]
        self.wanting = [
            bone
            for bone, obeys in zip(plain.bones, obey, strict=True)
            if bone in self._parts and (not obeys or _is_inner(probe, bone))
        ]
        self._switches: list[Switch] = []
        self._follow: dict[str, NDArray[np.int_]] = {}
        self._controls = {bone: bone for bone in self._parts if bone not in self.wanting}
        self._carrier = self._root = ""
        self._disobedient = {b for b, obeys in zip(plain.bones, obey, strict=True) if not obeys}
        self._disobedient &= set(self._parts)
        self._leaders: list[str] = []
        self._partial: list[str] = []
        self._rest = probe.matrices()

    # -- switches

    def set_known_switches(self) -> None:
        for bone in self.wanting:
            for switch in self._wiring.switches(bone):
                if switch.property in KNOWN and switch not in self._switches:
                    self._switches.append(switch)
                    self._probe.set(switch)
        self._look_again()

    def _untried(self, bone: str) -> list[Switch]:
        """Properties that its constraints depend on, but for those already settled."""
        settled = {(switch.bone, switch.property) for switch in self._switches}
        return [s for s in self._wiring.switches(bone) if (s.bone, s.property) not in settled]

    def _set(self, switch: Switch) -> float:
        """Put a property of the copy to a value; returns the one before."""
        before = self._probe.set(switch)
        self._look_again()
        return before

    def _look_again(self) -> None:
        self._follow.clear()
        self._rest = self._probe.matrices()

    # -- controls

    def find(self) -> Generator[None, None, None]:
        """By their names where those tell, else by what follows whom, limbs before the trunk."""
        for bone in self.wanting:
            for name in _hints(bone, self._role(bone)):
                if name in self._probe.index and self._moves(name, bone):
                    self._controls[bone] = name
                    yield
                    break
        left = [bone for bone in self.wanting if bone not in self._controls]
        for bone in sorted(left, key=self._turn_to_be_found):
            if shared := self._control_above(bone):
                self._controls[bone] = shared
                continue
            yield from self._find_nearby(bone)
            if bone not in self._controls:
                yield from self._find_switched(bone)

    def _turn_to_be_found(self, bone: str) -> tuple[int, int]:
        """Limbs from their roots on, so that IK is off before hands and feet are looked for; then
        the hips and the trunk, from above: what these carry is settled by then."""
        role, row = self._role(bone), self._plain.bones.index(bone)
        is_limb = role[:2] in ("l_", "r_") and not role.endswith("collar")
        return (0, row) if is_limb else (1 if role == "hips" else 2, -row)

    def _find_nearby(self, bone: str) -> Steps:
        """The one that carries what hangs from the bone, and least besides."""
        best, least = "", np.inf
        for name in self._candidates(bone):
            if self._turns(name, bone) and self._carries_limb(name, bone):
                count = int(np.sum(self._followers(name)[self._bones] != STILL))
                best, least = (name, count) if count < least else (best, least)
            yield
        if best:
            self._controls[bone] = best

    def _control_above(self, bone: str) -> str:
        """A bone between two roles, like a second neck, turns with the control above it."""
        above = self._plain.parents[self._plain.bones.index(bone)]
        control = self._controls.get(self._plain.bones[above], "") if above >= 0 else ""
        is_extra = not self._role(bone)
        return control if is_extra and control and self._turns(control, bone) else ""

    def _find_switched(self, bone: str) -> Steps:
        """Try the properties that its constraints depend on, one at a time."""
        for switch in self._untried(bone):
            before = self._set(switch)
            yield from self._find_nearby(bone)
            if bone in self._controls:
                self._switches.append(switch)
                return
            self._set(replace(switch, value=before))

    def _candidates(self, bone: str) -> list[str]:
        """Bones that an animator turns and whose pivot is the bone's own."""
        heads = self._rest[:, :3, 3]
        size = np.ptp(heads, axis=0).max()
        distance = np.linalg.norm(heads - heads[self._probe.index[bone]], axis=-1)
        near = [self._probe.names[row] for row in np.flatnonzero(distance < NEAR * size)]
        taken = {*self._plain.bones, *self._controls.values()}
        return [name for name in near if name not in taken and is_control(self._probe, name)]

    def _moves(self, control: str, bone: str) -> bool:
        return self._followers(control)[self._probe.index[bone]] != STILL

    def _turns(self, control: str, bone: str) -> bool:
        return self._followers(control)[self._probe.index[bone]] == RIGID

    def _carries_limb(self, control: str, bone: str) -> bool:
        """Whether what hangs from the bone comes along: a tweak or an IK control leaves it."""
        kinds = self._followers(control)[self._bones]
        above = self._plain.bones.index(bone)
        next_ones = [row for row, parent in enumerate(self._plain.parents) if parent == above]
        carried = np.isin(kinds[next_ones], (RIGID, CARRIED, HALF)).all()
        all_below = [row for row in range(len(kinds)) if self._is_below(row, above)]
        return bool(carried and (kinds[all_below] != STILL).all())

    def _is_below(self, row: int, above: int) -> bool:
        while (row := self._plain.parents[row]) >= 0:
            if row == above:
                return True
        return False

    def _followers(self, name: str) -> NDArray[np.int_]:
        if name not in self._follow:
            self._follow[name] = self._probe.followers(name, self._rest)
        return self._follow[name]

    def _role(self, bone: str) -> str:
        row = self._plain.bones.index(bone)
        return next((role for role, other in self._plain.roles.items() if other == row), "")

    # -- the tree of controls

    def find_carrier(self, root_bone: bool) -> Generator[None, None, None]:
        """The control that moves all others and little else; for the root, one that moves it."""
        hips = self._controls.get(self._plain.bones[self._plain.roles["hips"]])
        if hips is None:
            hips = self._plain.bones[self._plain.roles["hips"]]
        moved = [self._probe.index[name] for name in {*self._controls.values()}]
        movers: dict[str, int] = {}
        for name in self._wiring.upstream(hips):
            if is_control(self._probe, name) and not all(self._probe.bone(name).lock_location):
                kinds = self._followers(name)
                if np.isin(kinds[moved], (RIGID, CARRIED)).all():
                    movers[name] = int(np.sum(kinds != STILL))
                yield
        self._carrier = min(movers, key=lambda name: movers[name], default=hips)
        above = {n: count for n, count in movers.items() if count > movers[self._carrier]}
        if root_bone and above:
            self._root = max(above, key=lambda name: above[name])

    def settle_followers(self) -> Generator[None, None, None]:
        """No control may follow another one by halves: try the properties that say how it does."""
        lost = self._below_the_disobedient()
        for name in (name for name in self._driven() if name not in lost):
            movers = yield from self._partly_moved_by(name)
            for switch in self._untried(name) if movers else ():
                before = self._set(switch)
                if not (yield from self._partly_moved_by(name)):
                    self._switches.append(switch)
                    movers = []
                    break
                self._set(replace(switch, value=before))
            if movers:
                self._partial.append(f"'{name}' follows '{movers[0]}' only in part.")

    def find_leaders(self) -> Generator[None, None, None]:
        """What else turns some of them; what carries them all is where it has been put."""
        driven, carrier = self._driven(), self._probe.index[self._carrier]
        rows = [self._probe.index[name] for name in driven]
        above = {name for control in driven for name in self._wiring.upstream(control)}
        for name in sorted(above - set(driven)):
            if is_control(self._probe, name):
                kinds = self._followers(name)
                if (kinds[rows] != STILL).any() and kinds[carrier] not in (RIGID, CARRIED):
                    self._leaders.append(name)
                yield

    def _below_the_disobedient(self) -> set[str]:
        """What follows bones of which it is already said that they do not obey."""
        plain = self._plain
        rows = {plain.bones.index(bone) for bone in self._disobedient - set(self._controls)}
        below = [
            row for row in range(len(plain.bones)) if any(self._is_below(row, r) for r in rows)
        ]
        bones = [plain.bones[row] for row in (*rows, *below)]
        return {self._controls.get(bone, bone) for bone in bones}

    def _partly_moved_by(self, name: str) -> Generator[None, None, list[str]]:
        row = self._probe.index[name]
        found: list[tuple[str, int]] = []
        for other in self._driven():
            if other not in self._follow:
                yield
            if other != name and (kind := self._followers(other)[row]) != STILL:
                found.append((other, kind))
        turned = any(kind == RIGID for _, kind in found)
        return [n for n, kind in found if kind in (HALF, PARTLY) or (kind == CARRIED and turned)]

    def _driven(self) -> list[str]:
        """All that is keyed or solved, the farthest followers last."""
        kept = (self._controls.get(bone, bone) for bone in self._parts)
        names = dict.fromkeys([self._root, self._carrier, *kept])
        return [name for name in names if name]

    def _pull(self, name: str, among: list[str]) -> Pull:
        """The nearest of those that move it: itself moved by all others that do."""
        row = self._probe.index[name]
        movers = [n for n in among if n != name and self._followers(n)[row] in (RIGID, CARRIED)]
        if not movers:
            return Pull(-1, True)
        least = min(movers, key=lambda n: np.sum(self._followers(n) != STILL))
        return Pull(among.index(least), bool(self._followers(least)[row] == RIGID))

    def _parents_first(self, names: list[str]) -> list[str]:
        parents = {name: pull.parent for name, pull in self._pulls(names).items()}

        def depth(name: str) -> int:
            return 0 if parents[name] < 0 else 1 + depth(names[parents[name]])

        return sorted(names, key=depth)

    def _pulls(self, names: list[str]) -> dict[str, Pull]:
        return {name: self._pull(name, names) for name in names}

    # -- the answer

    def result(self) -> Controls:
        names = self._parents_first(self._driven())
        pulls = self._pulls(names).values()
        number = {name: row for row, name in enumerate(names)}

        def row_of(bone: int) -> int:
            name = self._plain.bones[bone]
            return number[self._controls.get(name, name)]

        rows = [self._probe.index[name] for name in names]
        unkeyed = self._disobedient - set(self._controls)
        plain, to_body = self._plain, rotation.inverse(self._plain.to_rig)
        target = replace(
            plain,
            bones=tuple(names),
            parents=tuple(pull.parent for pull in pulls),
            heads=rotation.rotate(to_body, self._rest[rows, :3, 3] * plain.scale),
            axes=rotation.multiply(to_body, turns_of(self._rest[rows])),
            roles={role: row_of(bone) for role, bone in plain.roles.items()},
            spine=tuple(dict.fromkeys(map(row_of, plain.spine))),
            necks=tuple(dict.fromkeys(map(row_of, plain.necks))),
            carrier=number[self._carrier],
            root=number.get(self._root, -1),
            turns_with_parent=tuple(pull.turns for pull in pulls),
            anchor=self._anchor(names),
            location_axes=self._location_axes(),
        )
        warnings = [self._wiring.culprit(bone) for bone in plain.bones if bone in unkeyed]
        return Controls(
            target,
            tuple(self._switches),
            frozenset(unkeyed),
            tuple(self._leaders),
            (*warnings, *self._partial),
        )

    def _location_axes(self) -> Array | None:
        """Where Local Location is off a bone moves along its parent's axes."""
        bone = self._probe.bone(self._carrier)
        if bone.bone.use_local_location:
            return None
        to_body = rotation.inverse(self._plain.to_rig)
        if bone.parent is None:
            return to_body
        parent = self._rest[self._probe.index[bone.parent.name]]
        return rotation.multiply(to_body, turns_of(parent))

    def _anchor(self, names: list[str]) -> tuple[Array, Array]:
        """How the bones that no key moves stand now: the carrier's place, as they leave it."""
        row = self._probe.index[self._root or self._carrier]
        self._probe.pose_as_found(without=names)
        change = self._probe.matrices()[row] @ np.linalg.inv(self._rest[row])
        to_rig = self._plain.to_rig
        to_body = rotation.inverse(to_rig)
        turn = rotation.multiply(to_body, rotation.multiply(turns_of(change), to_rig))
        return turn, rotation.rotate(to_body, change[:3, 3] * self._plain.scale)


def _has_a_part(plain: Target, row: int) -> bool:
    """Not only the carrier of a plain skeleton, which a control rig has a control for."""
    return row in plain.roles.values() or row in plain.spine or row in plain.necks


def is_control(probe: Probe, name: str) -> bool:
    """Whether an animator may turn it: it neither deforms nor is a part of the machinery."""
    bone = probe.bone(name)
    return not (bone.bone.use_deform or all(bone.lock_rotation) or name.startswith(INNER))


def turns_of(matrices: Array) -> Array:
    """The turn in (..., 4, 4) without its scale. (..., 4)."""
    axes = matrices[..., :3, :3]
    return rotation.from_matrix(axes / np.linalg.norm(axes, axis=-2, keepdims=True))


def _is_inner(probe: Probe, name: str) -> bool:
    """Nothing that an animator keys: locked altogether, or named as a part of the machinery."""
    bone = probe.bone(name)
    locked = all(bone.lock_rotation) and all(bone.lock_location)
    return locked or name.startswith(("ORG-", "MCH-"))


def _hints(bone: str, role: str) -> list[str]:
    """Names that FK controls have in Rigify's rigs: ORG-thigh.L is turned by thigh_fk.L."""
    stem = bone
    for prefix in INNER:
        stem = stem.removeprefix(prefix)
    if stem == bone:
        return []
    part, dot, rest = stem.partition(".")
    named = [role] if role in ("neck", "head") else []
    return [*named, f"{part}_fk{dot}{rest}", stem]
