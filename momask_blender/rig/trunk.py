"""Hips, spine, neck and head: the chain between the legs and the arms. No bpy."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from .rest_bones import RestBones

Labels = dict[int, dict[str, float]]  # bone in the middle -> what its name may mean
BoneT = TypeVar("BoneT", int, str)  # its number or its name
Trunk = dict[str, tuple[int, float]]  # role -> bone, confidence

NAMED, BETWEEN = 0.9, 0.8  # found by its name, by lying between those that were
UNNAMED, GUESSED = 0.7, 0.5


def find_trunk(rest: RestBones, known: dict[str, int], labels: Labels) -> Trunk:
    """Roles of the trunk from bones of the limbs, and of the trunk where those are known."""
    legs = _first_bones(known, ("thigh", "shin", "foot"))
    arms = _first_bones(known, ("collar", "upperarm", "forearm"))
    trunk: Trunk = {}
    head = known.get("head", _head(rest, labels, legs + arms))
    if head >= 0:
        trunk["head"] = head, NAMED
    hips, sure = _hips(rest, labels, legs, arms or [bone for bone in (head,) if bone >= 0])
    hips = known.get("hips", hips)
    if hips < 0:
        return trunk
    trunk["hips"] = hips, sure
    path = between(rest, hips, head) if head >= 0 else _named_path(rest, labels, hips)
    chest = common_ancestor(rest, arms) if arms else -1
    while chest >= 0 and _means(labels, chest, "neck"):
        chest = rest.parents[chest]  # 3ds Max's Biped hangs its arms on the neck
    if chest not in path and chest in below(rest, hips):
        path = [*between(rest, hips, chest), chest]
    end = path.index(chest) + 1 if chest in path else len(path)
    necks = [bone for bone in path if _means(labels, bone, "neck")]
    neck = known.get("neck", necks[0] if necks else -1)
    if neck >= 0:
        trunk["neck"] = neck, NAMED
    elif chest in path and path[end:]:
        trunk["neck"] = path[end], UNNAMED
    first_neck = path.index(trunk["neck"][0]) if trunk.get("neck", (-1,))[0] in path else end
    spine = path[: min(end, first_neck) if chest in path else first_neck]
    return trunk | {role: (bone, BETWEEN) for role, bone in spine_roles(spine).items()}


def _named_path(rest: RestBones, labels: Labels, hips: int) -> list[int]:
    """For a body without a head: the bones up to the last that is called spine or neck."""
    named = [b for b in labels if _means(labels, b, "spine") or _means(labels, b, "neck")]
    paths = ([*between(rest, hips, b), b] for b in named if hips in rest.ancestors(b))
    return max(paths, key=len, default=[])


def spine_roles(bones: Sequence[BoneT]) -> dict[str, BoneT]:
    """From the lowest bone up to the chest. Two are the lower spine and the chest."""
    count = len(bones)
    if count < 2:
        return dict(zip(("spine1",), bones, strict=False))
    if count == 2:
        return {"spine1": bones[0], "spine3": bones[1]}
    return {"spine1": bones[0], "spine2": bones[(count - 1) // 2], "spine3": bones[-1]}


def between(rest: RestBones, top: int, bottom: int) -> list[int]:
    """The bones above `bottom` and below `top`, outwards; none if one does not carry the other."""
    above = rest.ancestors(bottom)
    return above[: above.index(top)][::-1] if top in above else []


def below(rest: RestBones, top: int) -> set[int]:
    """The bone and all that hang from it."""
    found = {top}
    for bone, parent in enumerate(rest.parents):
        if parent in found:
            found.add(bone)
    return found


def common_ancestor(rest: RestBones, bones: Iterable[int]) -> int:
    """The lowest bone that carries all, not one of them if there are several; -1 for none."""
    lines = [rest.ancestors(bone) for bone in bones]
    if not lines:
        return -1
    shared = set(lines[0]).intersection(*lines[1:])
    return next((bone for bone in lines[0] if bone in shared), -1)


def _first_bones(known: dict[str, int], parts: tuple[str, ...]) -> list[int]:
    """The innermost known bone of each side's limb."""
    sides = ([known[f"{s}_{part}"] for part in parts if f"{s}_{part}" in known] for s in "lr")
    return [bones[0] for bones in sides if bones]


def _means(labels: Labels, bone: int, part: str, least: float = 0.8) -> bool:
    return labels.get(bone, {}).get(part, 0.0) >= least


def _head(rest: RestBones, labels: Labels, limbs: list[int]) -> int:
    """The bone called head that is nearest to the root, of those on the body of the limbs."""
    heads = [bone for bone in labels if _means(labels, bone, "head")]
    if not heads:
        return -1
    roots = {_root(rest, bone) for bone in limbs}

    def order(bone: int) -> tuple[bool, bool, float, int]:
        sure = labels[bone]["head"]
        lines = rest.ancestors(bone)
        return _root(rest, bone) not in roots, not rest.deforms[bone], -sure, len(lines)

    return min(heads, key=order)


def _root(rest: RestBones, bone: int) -> int:
    return ([bone, *rest.ancestors(bone)])[-1]


def _hips(rest: RestBones, labels: Labels, legs: list[int], upper: list[int]) -> tuple[int, float]:
    """The bone that carries legs and upper body, or the one called hips above it."""
    carrier = common_ancestor(rest, legs + upper)
    if carrier < 0:
        named = [bone for bone in labels if _means(labels, bone, "hips")]
        return (min(named, key=lambda b: not rest.deforms[b]), GUESSED) if named else (-1, 0.0)
    for bone in (carrier, *rest.ancestors(carrier)):
        if _means(labels, bone, "hips"):
            return bone, NAMED
    return carrier, UNNAMED if labels.get(carrier) else GUESSED
