"""Humanoids as others might have made them, by chance: proportions, pose, extra bones, axes.

Body axes while building: +Z up, facing -Y, left +X; the hips of a human of 1.7 m lie at 0.95.
"""

from dataclasses import dataclass, field

import numpy as np

from momask_blender.contract import rotation
from momask_blender.retarget.roles import ROLES
from momask_blender.rig.rest_bones import RestBones
from momask_blender.rig.trunk import spine_roles

FORWARD, UP = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])


@dataclass
class RandomBody:
    """Bones are numbers while it grows; -1 carries the first ones."""

    rng: np.random.Generator
    parents: list[int] = field(default_factory=list)
    heads: list[np.ndarray] = field(default_factory=list)
    deforms: list[bool] = field(default_factory=list)
    has_ends: bool = False
    roles: dict[str, int] = field(default_factory=dict)

    def add(self, parent: int, head: object, role: str = "", deforms: bool = True) -> int:
        self.parents.append(parent)
        self.heads.append(np.asarray(head, float))
        self.deforms.append(deforms)
        if role:
            self.roles[role] = len(self.heads) - 1
        return len(self.heads) - 1

    def add_chain(self, parent: int, points: object, deforms: bool = True) -> int:
        for point in points:
            parent = self.add(parent, point, deforms=deforms)
        return parent

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def between(self, least: float, most: float) -> float:
        return float(self.rng.uniform(least, most))


def random_body(
    seed: int, stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> tuple[RestBones, dict[str, str]]:
    """-> a rest pose with meaningless names, and its right map. `stretch`: along body axes."""
    body = RandomBody(np.random.default_rng(seed))
    body.has_ends = body.chance(0.4)
    _grow(body)
    body.heads = [head * stretch for head in body.heads]
    return _finish(body)


def _grow(body: RandomBody) -> None:
    size = {
        "leg": body.between(0.55, 1.0),
        "trunk": body.between(0.4, 0.62),
        "arm": body.between(0.42, 0.65),
        "hip": body.between(0.06, 0.12),
        "shoulder": body.between(0.13, 0.22),
    }
    hips_at = np.array([0.0, 0.0, size["leg"] + 0.12])
    above = body.add(-1, (0.0, 0.0, 0.0)) if body.chance(0.5) else -1
    hips = body.add(above, hips_at, "hips")
    carrier = body.add(hips, hips_at - 0.02 * UP) if body.chance(0.25) else hips
    _legs(body, carrier, hips_at, size)
    chest = _spine(body, hips, hips_at, size)
    _neck_and_head(body, chest, hips_at + size["trunk"] * UP)
    _arms(body, chest, hips_at + (size["trunk"] - 0.02) * UP, size)
    _extras(body, above, hips, chest, hips_at, size)


def _spine(body: RandomBody, hips: int, hips_at: np.ndarray, size: dict[str, float]) -> int:
    count = int(body.rng.integers(1, 6))
    starts = np.linspace(body.between(0.0, 0.2), body.between(0.6, 0.75), count)
    bones = []
    parent = hips
    for start in starts if count > 1 else [0.3]:
        bend = 0.03 * np.sin(np.pi * start) * FORWARD
        parent = body.add(parent, hips_at + start * size["trunk"] * UP - bend)
        bones.append(parent)
    body.roles |= spine_roles(bones)
    return parent


def _neck_and_head(body: RandomBody, chest: int, base: np.ndarray) -> None:
    num_necks = int(body.rng.integers(0, 4))
    length = body.between(0.07, 0.12)
    parent = chest
    for at in range(num_necks):
        parent = body.add(parent, base + at / num_necks * length * UP, "" if at else "neck")
    lean = body.between(0.0, 0.03) * FORWARD
    at = base + (length if num_necks else 0.04) * UP + lean
    head = body.add(parent, at, "head")
    if body.chance(0.4):
        for side in (1.0, -1.0):
            body.add(head, at + (0.03 * side, -0.08, 0.08))
        body.add(head, at + (0.0, -0.02, 0.02))  # jaw
    if body.has_ends:
        body.add(head, at + body.between(0.18, 0.25) * UP)  # an end bone
    if body.chance(0.3):
        for x in np.linspace(-0.08, 0.08, int(body.rng.integers(2, 6))):
            hair = [at + (x, 0.1, 0.2 - down) for down in (0.0, 0.1, 0.2, 0.3)]
            body.add_chain(head, hair[: int(body.rng.integers(2, 5))])


def _limb(body: RandomBody, parents: list[int], points: list, num_twists: int) -> list[int]:
    """Adds a bone of both sides for the start of a segment, and its in-line twist bones."""
    start, end = points
    for share in np.arange(num_twists + 1) / (num_twists + 1):
        at = start + share * (end - start)
        parents = [
            body.add(parent, at * (side, 1.0, 1.0))
            for parent, side in zip(parents, (1.0, -1.0), strict=True)
        ]
    return parents


def _name(body: RandomBody, bones: list[int], part: str) -> None:
    body.roles |= {f"{side}_{part}": bone for side, bone in zip("lr", bones, strict=True)}


def _segments(
    body: RandomBody, carriers: list[int], points: list[np.ndarray], parts: tuple[str, ...]
) -> list[int]:
    """Bones from point to point, with or without twist bones in line or beside. -> the last."""
    in_line = int(body.rng.integers(1, 3)) if body.chance(0.25) else 0
    beside = body.chance(0.3)
    for part, start, end in zip(parts, points, points[1:], strict=False):
        first = len(body.heads)
        ends = _limb(body, carriers, [start, end], in_line)
        _name(body, [first, first + 1], part)
        if beside and not in_line:
            for bone, side in zip(ends, (1.0, -1.0), strict=True):
                for share in (0.33, 0.66):
                    body.add(bone, (start + share * (end - start)) * (side, 1.0, 1.0))
        carriers = ends
    return carriers


def _legs(body: RandomBody, carrier: int, hips_at: np.ndarray, size: dict[str, float]) -> None:
    spread = body.between(0.0, 0.3)
    share = body.between(0.46, 0.56)
    bend = body.between(0.0, 0.12)
    hip = hips_at + (size["hip"], 0.0, -body.between(0.02, 0.08))
    length = hip[2] - 0.08
    down = np.array([np.sin(spread), 0.0, -np.cos(spread)])
    ankle = hip + down * length
    knee = hip + down * length * share + bend * 0.2 * FORWARD
    carriers = [carrier, carrier]
    if body.chance(0.25):
        carriers = _limb(body, carriers, [hips_at + (0.01, 0.0, -0.01), hip], 0)
    carriers = _segments(body, carriers, [hip, knee, ankle], ("thigh", "shin"))
    feet = _limb(body, carriers, [ankle, ankle], 0)
    _name(body, feet, "foot")
    ball = ankle + body.between(0.1, 0.16) * FORWARD + (0.0, 0.0, -0.06)
    if body.chance(0.75):
        toes = _limb(body, feet, [ball, ball], 0)
        _name(body, toes, "toe")
        if body.has_ends:
            _limb(body, toes, [ball + 0.07 * FORWARD] * 2, 0)
        if body.chance(0.2):
            _limb(body, feet, [ankle + (0.0, 0.06, -0.07)] * 2, 0)  # heels


def _arms(body: RandomBody, chest: int, base: np.ndarray, size: dict[str, float]) -> None:
    angle = float(body.rng.choice([0.0, 0.7, 1.45])) + body.between(-0.1, 0.1)
    out = np.array([np.cos(angle), 0.0, -np.sin(angle)])
    shoulder = base + (size["shoulder"], 0.01, 0.0)
    share = body.between(0.46, 0.56)
    wrist = shoulder + size["arm"] * out
    elbow = shoulder + share * size["arm"] * out - body.between(0.0, 0.03) * FORWARD
    carriers = [chest, chest]
    if body.chance(0.75):
        inner = base + (body.between(0.01, 0.04), 0.0, -0.02)
        carriers = _limb(body, carriers, [inner, shoulder], 0)
        _name(body, carriers, "collar")
    carriers = _segments(body, carriers, [shoulder, elbow, wrist], ("upperarm", "forearm"))
    hands = _limb(body, carriers, [wrist, wrist], 0)
    _name(body, hands, "hand")
    kind = body.rng.choice(["none", "mitten", "five", "palms"])
    if kind == "none":
        if body.has_ends:
            _limb(body, hands, [wrist + 0.09 * out] * 2, 0)
        return
    across = {"mitten": [0.0], "five": [0.03, 0.01, -0.01, -0.03]}
    for ahead in across.get(str(kind), [0.025, 0.01, -0.01, -0.025]):
        fingers = hands
        if kind == "palms":
            fingers = _limb(body, hands, [wrist + 0.02 * out + 0.4 * ahead * FORWARD] * 2, 0)
        for far in (0.09, 0.125, 0.15):
            at = wrist + (far + body.between(0.0, 0.004)) * out + ahead * FORWARD
            fingers = _limb(body, fingers, [at, at], 0)
    thumb = hands
    for far in (0.025, 0.055, 0.08):
        at = wrist + far * out + (0.02 + 0.5 * far) * FORWARD
        thumb = _limb(body, thumb, [at, at], 0)


def _extras(
    body: RandomBody,
    above: int,
    hips: int,
    chest: int,
    hips_at: np.ndarray,
    size: dict[str, float],
) -> None:
    leg = size["leg"]
    if body.chance(0.3):  # skirt
        far = body.between(0.1, 0.28)
        num_chains = 2 * int(body.rng.integers(2, 9))
        for turn in np.linspace(0.0, 2.0 * np.pi, num_chains, endpoint=False):
            out = np.array([np.sin(turn), -np.cos(turn), 0.0])
            points = [hips_at + (0.12 + 0.06 * k) * out - far * k * leg * UP for k in range(4)]
            body.add_chain(hips, points)
    if body.chance(0.2):  # tail
        body.add_chain(hips, [hips_at + (0.0, 0.1 + 0.12 * k, -0.1 * k) for k in range(6)])
    if body.chance(0.15):  # wings
        base = hips_at + 0.8 * size["trunk"] * UP
        for side in (1.0, -1.0):
            wing = [(0.05, 0.1, 0.0), (0.3, 0.25, 0.25), (0.8, 0.35, 0.1), (1.2, 0.4, -0.2)]
            body.add_chain(chest, [base + np.array(p) * (side, 1.0, 1.0) for p in wing])
    if body.chance(0.3):  # breasts
        for side in (1.0, -1.0):
            body.add(chest, hips_at + (0.07 * side, -0.1, 0.7 * size["trunk"]))
    _props(body, above)


def _props(body: RandomBody, above: int) -> None:
    if body.chance(0.3):  # a sword in the right hand
        hand = body.roles["r_hand"]
        at = body.heads[hand] + (-0.05, 0.0, 0.0)
        body.add_chain(hand, [at, at + 0.3 * FORWARD, at + 0.9 * FORWARD])
    if body.chance(0.3):  # targets of IK
        deforms = body.chance(0.3)
        for role in ("l_foot", "r_foot", "l_hand", "r_hand"):
            target = body.add(above, body.heads[body.roles[role]], deforms=deforms)
            body.add(target, body.heads[body.roles[role]] + 0.1 * FORWARD, deforms=deforms)


def _finish(body: RandomBody) -> tuple[RestBones, dict[str, str]]:
    """In any order that has parents first, uneven by up to a hundredth, turned and scaled."""
    rng = body.rng
    count = len(body.heads)
    order: list[int] = []
    ready = [bone for bone, parent in enumerate(body.parents) if parent < 0]
    while ready:
        bone = ready.pop(int(rng.integers(len(ready))))
        order.append(bone)
        ready += [child for child, parent in enumerate(body.parents) if parent == bone]
    place = {bone: at for at, bone in enumerate(order)}
    turn = rotation.normalized(rng.normal(size=4))
    heads = np.array(body.heads) + rng.uniform(-1.0, 1.0, (count, 3)) * rng.uniform(0.0, 0.004)
    heads = rotation.rotate(turn, heads[order]) * 10.0 ** rng.uniform(-2.0, 2.0)
    toes = rotation.rotate(turn, FORWARD + 0.3 * rng.normal(size=(count, 3)))
    names = tuple(f"b{number}" for number in rng.permutation(count))
    rest = RestBones(
        names=names,
        parents=tuple(place.get(body.parents[bone], -1) for bone in order),
        heads=heads,
        tails=heads + 0.05 * np.ptp(heads, axis=0).max() * rotation.normalized(toes),
        rotations=rotation.normalized(rng.normal(size=(count, 4))),
        deforms=tuple(body.deforms[bone] for bone in order),
    )
    answer = {role: names[place[body.roles[role]]] for role in ROLES if role in body.roles}
    return rest, answer
