"""Whether a map can be right, by where its bones lie and hang, whoever made it. No bpy."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..retarget.roles import REQUIRED, ROLES, spoken
from .rest_bones import RestBones
from .role_map import JointMap
from .vocabulary import LIMBS

Array = NDArray[np.floating]

UNEVEN = 0.1  # share by which the sides of a body may differ without a word
LYING = 0.5  # cosine between legs and trunk: below, the body does not stand on these legs
AHEAD = 0.3  # of a foot must lie ahead to tell where the body looks
LOW = 0.25  # of a leg: how far above the feet an arm may end, as a front leg does
DOUBTS = {"order": 0.6, "place": 0.5, "uneven": 0.7, "side": 0.5}
FEWEST_LIMBS = 2  # whole down to the second bone: less is no humanoid
ABOVE_LEGS = ("neck", "head", "l_collar", "r_collar", "spine3")


@dataclass(frozen=True)
class Checked:
    """A map with what was found against it."""

    joint_map: JointMap
    problems: tuple[str, ...] = ()  # in an animator's words, each names a bone
    fatal: str = ""  # why it can be no humanoid's map

    @property
    def has_all(self) -> bool:
        """A humanoid's, with all that a motion moves."""
        return not self.fatal and self.joint_map.bones.keys() >= set(REQUIRED)

    @property
    def worth(self) -> float:
        """To compare maps of one rig: confidence summed over roles, those required twice."""
        if self.fatal:
            return 0.0
        sure = self.joint_map.confidence
        return sum(sure.get(role, 0.0) * (1 + (role in REQUIRED)) for role in ROLES)


def check(rest: RestBones, joint_map: JointMap) -> Checked:
    """The map with lower confidence where its bones lie or hang wrong, and why."""
    gate = _Gate(rest, joint_map)
    fatal = gate.why_no_humanoid()
    if not fatal:
        gate.check_sides()
        gate.check_order()
        gate.check_legs()
        gate.check_symmetry()
        fatal = gate.why_nothing_holds()
    checked = replace(
        joint_map,
        bones={role: rest.names[bone] for role, bone in gate.bones.items()},
        confidence=gate.confidence,
    )
    return Checked(checked, tuple(gate.problems), fatal)


class _Gate:
    def __init__(self, rest: RestBones, joint_map: JointMap) -> None:
        self.rest = rest
        self.bones = {role: rest.index[name] for role, name in joint_map.bones.items()}
        self.confidence = dict.fromkeys(joint_map.bones, 1.0) | joint_map.confidence
        self.problems: list[str] = []
        self._use_no_bone_twice()

    def why_no_humanoid(self) -> str:
        """In words; empty if nothing speaks against it."""
        pairs = [
            (f"{side}_{upper}", f"{side}_{lower}")
            for side in "lr"
            for upper, lower in (("thigh", "shin"), ("upperarm", "forearm"))
        ]
        whole = [pair for pair in pairs if pair[0] in self.bones and pair[1] in self.bones]
        if "hips" not in self.bones or len(whole) < FEWEST_LIMBS:
            return "its bones are not those of a body with arms and legs"
        if self._up is None or self._trunk is None:
            return ""
        if np.dot(self._up, self._trunk) >= LYING:
            return ""
        arms = [f"{side}_{part}" for side in "lr" for part in ("hand", "forearm")]
        low = [r for r in arms if r in self.bones and self._is_low(self._head(r))]
        if low:
            return f"it stands on four legs, '{self._name(low[0])}' is one of them"
        return f"the body above '{self._name('hips')}' lies, it does not stand on its legs"

    def why_nothing_holds(self) -> str:
        """Legs alone, and even they are doubtful."""
        if not self.problems or {"l_upperarm", "r_upperarm"} & self.bones.keys():
            return ""
        return f"{self.problems[0][:-1]}, and it has no arms"

    def check_sides(self) -> None:
        """Left must be the character's own left: names are not believed against the toes."""
        forward = self._forward
        if forward is None or self._up is None:
            return
        left = np.cross(self._up, forward)
        wrong = [
            part
            for part in (*LIMBS["leg"], *LIMBS["arm"])
            if {f"l_{part}", f"r_{part}"} <= self.bones.keys()
            and np.dot(self._head(f"l_{part}") - self._head(f"r_{part}"), left) < 0.0
        ]
        both = [part for part in ("thigh", "upperarm") if f"l_{part}" in self.bones]
        if wrong and set(both) <= set(wrong):
            name = self._name("l_thigh" if "thigh" in both else "l_upperarm")
            self._swap_sides()
            self.problems.append(
                f"'{name}' lies on the character's right, as its toes point: left and right were "
                "taken from where the bones lie."
            )
        else:
            for part in wrong:
                self._doubt("side", f"l_{part}", f"r_{part}")
                self.problems.append(
                    f"'{self._name(f'l_{part}')}' lies on the character's right, but plays its "
                    f"{spoken(f'l_{part}')}."
                )

    def check_order(self) -> None:
        """Each bone of a limb hangs below the one before."""
        for chain in self._chains():
            for upper, lower in pairwise(chain):
                if self.bones[upper] not in self.rest.ancestors(self.bones[lower]):
                    self._doubt("order", lower)
                    self.problems.append(
                        f"'{self._name(lower)}' ({spoken(lower)}) does not hang below "
                        f"'{self._name(upper)}' ({spoken(upper)})."
                    )

    def check_legs(self) -> None:
        """From hip to foot a leg goes down."""
        up = self._trunk if self._trunk is not None else self._up
        if up is None:
            return
        for side in "lr":
            leg = [role for role in (f"{side}_{p}" for p in LIMBS["leg"][:3]) if role in self.bones]
            for upper, lower in pairwise(leg):
                if np.dot(self._head(lower) - self._head(upper), up) >= 0.0:
                    self._doubt("place", upper, lower)
                    self.problems.append(
                        f"'{self._name(lower)}' ({spoken(lower)}) is not below "
                        f"'{self._name(upper)}' ({spoken(upper)})."
                    )

    def check_symmetry(self) -> None:
        """Both sides are alike in length."""
        for chain in LIMBS.values():
            for upper, lower in pairwise(chain):
                lengths = [self._length(f"{side}_{upper}", f"{side}_{lower}") for side in "lr"]
                if None in lengths or max(lengths) <= (1.0 + UNEVEN) * min(lengths):
                    continue
                self._doubt("uneven", *(f"{s}_{p}" for s in "lr" for p in (upper, lower)))
                names = " and ".join(f"'{self._name(f'{side}_{upper}')}'" for side in "lr")
                self.problems.append(f"{names} are of different length.")

    def _use_no_bone_twice(self) -> None:
        taken: dict[int, str] = {}
        for role, bone in sorted(self.bones.items(), key=lambda e: -self.confidence[e[0]]):
            if bone in taken:
                name = self.rest.names[bone]
                self.problems.append(
                    f"'{name}' would play {spoken(taken[bone])} and {spoken(role)}: only the first."
                )
                del self.bones[role], self.confidence[role]
            else:
                taken[bone] = role

    def _swap_sides(self) -> None:
        def other(role: str) -> str:
            side, _, part = role.partition("_")
            return f"{'r' if side == 'l' else 'l'}_{part}" if part else role

        swapped = {other(role): bone for role, bone in self.bones.items()}
        self.bones = {role: swapped[role] for role in ROLES if role in swapped}
        self.confidence = {other(role): sure for role, sure in self.confidence.items()}

    def _doubt(self, why: str, *roles: str) -> None:
        for role in roles:
            self.confidence[role] *= DOUBTS[why]

    def _chains(self) -> list[list[str]]:
        chains = [[f"{side}_{part}" for part in parts] for side in "lr" for parts in LIMBS.values()]
        return [[role for role in chain if role in self.bones] for chain in chains]

    def _name(self, role: str) -> str:
        return self.rest.names[self.bones[role]]

    def _head(self, role: str) -> Array:
        return self.rest.heads[self.bones[role]]

    def _length(self, upper: str, lower: str) -> float | None:
        if upper not in self.bones or lower not in self.bones:
            return None
        return float(np.linalg.norm(self._head(lower) - self._head(upper)))

    def _is_low(self, point: Array) -> bool:
        """Whether it is about as low as the feet."""
        legs = [role for role in self.bones if role.partition("_")[2] in LIMBS["leg"]]
        ground = min((self._head(role) for role in legs), key=lambda head: np.dot(head, self._up))
        leg = np.dot(self._head("hips") - ground, self._up)
        return bool(np.dot(point - ground, self._up) < LOW * leg)

    @property
    def _up(self) -> Array | None:
        """From the lowest bones of the legs to the highest, a unit vector."""
        legs = [[f"{s}_{p}" for p in LIMBS["leg"] if f"{s}_{p}" in self.bones] for s in "lr"]
        ups = [self._head(leg[0]) - self._head(leg[-1]) for leg in legs if len(leg) > 1]
        return _unit(np.mean(ups, axis=0)) if ups else None

    @property
    def _trunk(self) -> Array | None:
        """From the legs to where the arms or the neck begin, a unit vector."""
        lower = [self._head(f"{s}_thigh") for s in "lr" if f"{s}_thigh" in self.bones]
        arms = [self._head(f"{s}_upperarm") for s in "lr" if f"{s}_upperarm" in self.bones]
        upper = arms or [self._head(role) for role in ABOVE_LEGS if role in self.bones][:1]
        return _unit(np.mean(upper, axis=0) - np.mean(lower, axis=0)) if lower and upper else None

    @property
    def _forward(self) -> Array | None:
        """Where the toes point, a unit vector square to up; None where they do not tell."""
        feet = [
            self._head(f"{s}_toe") - self._head(f"{s}_foot")
            for s in "lr"
            if {f"{s}_toe", f"{s}_foot"} <= self.bones.keys()
        ]
        if not feet or self._up is None:
            return None
        foot = np.mean(feet, axis=0)
        ahead = foot - np.dot(foot, self._up) * self._up
        return _unit(ahead) if np.linalg.norm(ahead) > AHEAD * np.linalg.norm(foot) else None


def _unit(vector: Array) -> Array | None:
    length = np.linalg.norm(vector)
    return vector / length if length > 1e-9 else None
