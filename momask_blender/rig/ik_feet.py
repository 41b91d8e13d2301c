"""The same legs by their IK controls: feet that stay where they are put, for who animates in IK."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np
from bpy.types import Object
from numpy.typing import NDArray

from ..contract import rotation
from ..retarget.target import BoneMotion, Target, bone_heads
from .controls import Controls, is_control, turns_of
from .probe import CARRIED, RIGID, STILL, Probe
from .wiring import Switch, Wiring

Array = NDArray[np.floating]

POLE_SWITCH = "pole_vector"  # Rigify's: the knee control rules, not the turn of the thigh's
LIFT = 0.15  # of the leg's length: how far a foot is lifted to see where its knee goes
HELD = 1e-5  # metres, and share of a turn: what changes less than this does not move
FORWARD = np.array([0.0, -1.0, 0.0])  # body axes


@dataclass(frozen=True, eq=False)
class IkControl:
    """One control, in body axes."""

    bone: str
    head: Array  # (3,)
    axes: Array  # (4,)
    along: Array  # (4,) axes that its location is measured in
    parent: int  # bone of the target that it follows, -1 for the anchor


@dataclass(frozen=True, eq=False)
class IkFoot:
    """The controls of one leg; a rig without one of the last two has None."""

    side: str
    foot: IkControl
    knee: IkControl | None
    toe: IkControl | None
    knee_turn: float = 0.0  # radians about the leg that its knee stands off its control


@dataclass(frozen=True, eq=False)
class IkFeet:
    feet: tuple[IkFoot, ...]
    switches: tuple[Switch, ...]  # all that the take keys, in place of those of the controls
    replaced: frozenset[str]  # controls of the target that are not keyed
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class IkKeys:
    """What one IK control is keyed with, frame by frame."""

    bone: str
    rotations: Array | None  # (T, 4) from rest
    location: Array  # (T, 3) in the armature's units


def find_ik_feet(
    armature: Object, plain: Target, controls: Controls
) -> Generator[None, None, IkFeet | None]:
    """The IK controls of both legs, or None where the rig has none. `plain` and `controls` as in
    `find_controls`; works on a copy, in steps as that."""
    wiring = Wiring(armature)
    with Probe(armature) as probe:
        yield
        search = _Search(probe, wiring, plain, controls)
        yield
        feet = []
        for side in "lr":
            foot = yield from search.foot(side)
            if foot is None:
                return None
            feet.append(foot)
        return search.result(tuple(feet))


class _Search:
    def __init__(self, probe: Probe, wiring: Wiring, plain: Target, controls: Controls) -> None:
        self._probe, self._wiring, self._plain, self._controls = probe, wiring, plain, controls
        self._switches = [self._for_ik(switch) for switch in controls.switches]
        for side in "lr":
            for bone in wiring.upstream(self._bone(side, "shin")):
                for owner, name in wiring.read_by(bone):
                    pole = Switch(owner, name, 1.0)
                    if name == POLE_SWITCH and pole not in self._switches:
                        self._switches.append(pole)
        for switch in self._switches:
            probe.set(switch)
        self._rest = probe.matrices()
        self._warnings: list[str] = []
        self._replaced: set[str] = set()

    def _bone(self, side: str, part: str) -> str:
        return self._plain.bones[self._plain.roles[f"{side}_{part}"]]

    def _for_ik(self, switch: Switch) -> Switch:
        """A switch of a leg the other way round, for FK had it off."""
        for side in "lr":
            for bone in self._wiring.upstream(self._bone(side, "shin")):
                is_of_leg = (switch.bone, switch.property) in self._wiring.read_by(bone)
                if is_of_leg and switch.value in (0.0, 1.0):
                    return replace(switch, value=1.0 - switch.value)
        return switch

    def foot(self, side: str) -> Generator[None, None, IkFoot | None]:
        ankle = self._bone(side, "foot")
        for goal, pole in self._wiring.ik_goals(self._bone(side, "shin")):
            found = yield from self._nearest(goal, ankle, (RIGID,))
            knee = (yield from self._nearest(pole, pole, (RIGID, CARRIED))) if pole else ""
            if found and (knee or not pole):
                toe = yield from self._toe(side)
                foot = IkFoot(side, *(self._control(name) for name in (found, knee, toe)))
                self._replaced |= self._keyed(side, toe)
                return self._with_knee_turn(foot)
        return None

    def _nearest(self, goal: str, moved: str, kinds: tuple[int, ...]) -> Generator[None, None, str]:
        """Of the controls that move a bone, the one whose pivot is nearest to it."""
        place = self._rest[self._probe.index[moved], :3, 3]
        best, least = "", np.inf
        for name in self._wiring.upstream(goal):
            row = self._probe.index[name]
            distance = float(np.linalg.norm(self._rest[row, :3, 3] - place))
            free = not all(self._probe.bone(name).lock_location)
            if distance < least and free and (is_control(self._probe, name) or name == goal):
                follows = self._probe.followers(name, self._rest)[self._probe.index[moved]]
                if follows in kinds:
                    best, least = name, distance
                yield
        return best

    def _toe(self, side: str) -> Generator[None, None, str]:
        """The control that turns the toe while the foot stays, unless the one in FK still does."""
        if f"{side}_toe" not in self._plain.roles:
            return ""
        toe, foot = (self._probe.index[self._bone(side, part)] for part in ("toe", "foot"))
        heads = self._rest[:, :3, 3]
        near = 0.02 * np.ptp(heads, axis=0).max()
        own = self._controls.target.bones[self._controls.target.roles[f"{side}_toe"]]
        rows = np.flatnonzero(np.linalg.norm(heads - heads[toe], axis=-1) < near)
        names = [name for name in map(self._probe.names.__getitem__, rows) if name != own]
        for name in (own, *names):
            if name == own or is_control(self._probe, name):
                kinds = self._probe.followers(name, self._rest)
                yield
                if kinds[toe] == RIGID and kinds[foot] == STILL:
                    return "" if name == own else name
        return ""

    def _keyed(self, side: str, toe: str) -> set[str]:
        target = self._controls.target
        parts = ("thigh", "shin", "foot", *(("toe",) if toe else ()))
        return {target.bones[target.roles[f"{side}_{part}"]] for part in parts}

    def _control(self, name: str) -> IkControl | None:
        if not name:
            return None
        to_body = rotation.inverse(self._plain.to_rig)
        matrix, bone = self._rest[self._probe.index[name]], self._probe.bone(name)
        axes = rotation.multiply(to_body, turns_of(matrix))
        along = axes
        if not bone.bone.use_local_location:
            above = self._rest[self._probe.index[bone.parent.name]] if bone.parent else np.eye(4)
            along = rotation.multiply(to_body, turns_of(above))
        head = rotation.rotate(to_body, matrix[:3, 3] * self._plain.scale)
        return IkControl(name, head, axes, along, self._parent(name))

    def _parent(self, name: str) -> int:
        """The bone of the target that moves the control: of the trunk, for the legs' do not."""
        target = self._controls.target
        trunk = [target.root, target.carrier, *target.spine, target.roles["hips"]]
        counts = {}
        for bone in dict.fromkeys(row for row in trunk if row >= 0):
            kinds = self._probe.followers(target.bones[bone], self._rest)
            if kinds[self._probe.index[name]] == RIGID:
                counts[bone] = int(np.sum(kinds != STILL))
        return min(counts, key=lambda bone: counts[bone], default=-1)

    def _with_knee_turn(self, foot: IkFoot) -> IkFoot:
        """Lift the foot of the copy and see how far the knee stands off its control."""
        if foot.knee is None:
            self._warnings.append(f"'{foot.foot.bone}' has no control for its knee.")
            return foot
        plain = self._plain
        rows = [plain.roles[f"{foot.side}_{part}"] for part in ("thigh", "shin", "foot")]
        hip, _, ankle = plain.heads[rows]
        lift = np.array([0.0, -0.5, 1.0]) * LIFT * np.linalg.norm(hip - ankle)
        self._move(foot.foot, lift)
        posed = self._probe.matrices()[[self._probe.index[plain.bones[row]] for row in rows]]
        to_body = rotation.inverse(plain.to_rig)
        hip, knee, ankle = rotation.rotate(to_body, posed[:, :3, 3] * plain.scale)
        self._move(foot.foot, np.zeros(3))
        along = rotation.normalized(ankle - hip)
        seen, wanted = (_across(point - hip, along) for point in (knee, foot.knee.head))
        turn = np.arctan2(np.dot(np.cross(wanted, seen), along), np.dot(wanted, seen))
        return replace(foot, knee_turn=float(turn))

    def _move(self, control: IkControl, shift: Array) -> None:
        offset = rotation.rotate(rotation.inverse(control.along), shift) / self._plain.scale
        self._probe.bone(control.bone).location = offset

    def result(self, feet: tuple[IkFoot, ...]) -> IkFeet:
        return IkFeet(feet, tuple(self._switches), frozenset(self._replaced), tuple(self._warnings))


def ik_keys(ik: IkFeet, target: Target, motion: BoneMotion) -> list[IkKeys]:
    """Keys that put the legs where `motion` has them. What stands still has one value."""
    heads = bone_heads(target, motion)
    return [keys for foot in ik.feet for keys in _leg_keys(foot, target, motion, heads)]


def _leg_keys(foot: IkFoot, target: Target, motion: BoneMotion, heads: Array) -> Iterator[IkKeys]:
    rows = {part: target.roles[f"{foot.side}_{part}"] for part in ("thigh", "shin", "foot")}
    ankle, turn = heads[:, rows["foot"]], motion.turns[:, rows["foot"]]
    place = ankle + rotation.rotate(turn, foot.foot.head - target.heads[rows["foot"]])
    yield _keys(foot.foot, target, motion, heads, place, turn)
    if foot.knee is not None:
        place = _knee_place(foot, target, motion, heads)
        yield _keys(foot.knee, target, motion, heads, place, None)
    if foot.toe is not None:
        toe = target.roles[f"{foot.side}_toe"]
        bent = rotation.multiply(rotation.inverse(turn), motion.turns[:, toe])
        axes = foot.toe.axes
        basis = rotation.multiply(rotation.inverse(axes), rotation.multiply(bent, axes))
        still = np.zeros((len(turn), 3))
        yield IkKeys(foot.toe.bone, _held(rotation.continuous(basis)), still)


def _knee_place(foot: IkFoot, target: Target, motion: BoneMotion, heads: Array) -> Array:
    """In the plane in which the leg bends, as far in front of it as at rest. (T, 3)."""
    assert foot.knee is not None
    thigh, shin, ankle = (target.roles[f"{foot.side}_{part}"] for part in ("thigh", "shin", "foot"))
    hip, end = heads[:, thigh], heads[:, ankle]
    along = rotation.normalized(end - hip)
    rest_thigh = target.heads[shin] - target.heads[thigh]
    hinge = rotation.normalized(np.cross(rest_thigh, -FORWARD))
    hinge = rotation.rotate(motion.turns[:, thigh], np.broadcast_to(hinge, along.shape))
    forward = rotation.normalized(np.cross(along, hinge))
    rest_along = rotation.normalized(target.heads[ankle] - target.heads[thigh])
    reach = foot.knee.head - target.heads[thigh]
    distance = np.linalg.norm(reach - np.dot(reach, rest_along) * rest_along)
    half = -0.5 * foot.knee_turn  # turned back, about an axis that changes from frame to frame
    back = np.concatenate([np.full((len(along), 1), np.cos(half)), np.sin(half) * along], axis=-1)
    height = np.sum((heads[:, shin] - hip) * along, axis=-1, keepdims=True)
    return hip + height * along + rotation.rotate(back, forward) * distance


def _keys(
    control: IkControl,
    target: Target,
    motion: BoneMotion,
    heads: Array,
    place: Array,
    turn: Array | None,
) -> IkKeys:
    """A control put to a place (T, 3) and turned by `turn` (T, 4), from where its parent has it."""
    carried, shift = target.anchor
    start = rotation.rotate(carried, control.head) + shift
    if control.parent >= 0:
        carried = motion.turns[:, control.parent]
        offset = control.head - target.heads[control.parent]
        start = heads[:, control.parent] + rotation.rotate(carried, offset)
    along = rotation.multiply(carried, control.along)
    location = rotation.rotate(rotation.inverse(along), place - start) / target.scale
    basis = None
    if turn is not None:
        own = rotation.multiply(rotation.inverse(carried), turn)
        basis = rotation.multiply(
            rotation.inverse(control.axes), rotation.multiply(own, control.axes)
        )
        basis = _held(rotation.continuous(basis))
    return IkKeys(control.bone, basis, _held(location))


def _held(values: Array) -> Array:
    """(T, C) -> the same, but exactly constant wherever it hardly changes."""
    moves = np.abs(np.diff(values, axis=0)).max(axis=-1) > HELD
    starts = np.concatenate([[True], moves])
    return values[np.maximum.accumulate(np.where(starts, np.arange(len(values)), 0))]


def _across(vector: Array, along: Array) -> Array:
    return vector - np.dot(vector, along) * along
