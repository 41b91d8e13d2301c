"""The shape of our character, an artist's mannequin, as plain arrays. No bpy.

Every part belongs wholly to one bone, as the wooden parts of a real mannequin do: nothing is
stretched or pinched at a joint, and any engine skins it the same way.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..contract.rotation import normalized
from ..contract.skeleton import INDEX, REST_JOINTS

Array = NDArray[np.floating]

BODY, JOINT = 0, 1  # material slots
SIDES = 20  # vertices around a part
RINGS = 11  # and along it, poles not counted

UP, FORWARD = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Part:
    """A rounded bar from `start` to `end` (model axes, metres) that moves with one bone."""

    bone: str
    start: Array
    end: Array
    widths: tuple[float, float, float]  # half widths at start, middle, end
    depths: tuple[float, float, float]  # the same along `front`
    front: tuple[float, float, float] = (0.0, 0.0, 1.0)
    roundness: float = 2.5  # 2 is an ellipsoid, more is fuller at the ends
    material: int = BODY


@dataclass(frozen=True)
class Shape:
    """A mesh: vertices (V, 3) in model axes, faces as index tuples, per-vertex bone names."""

    vertices: Array
    faces: list[tuple[int, ...]]
    materials: list[int]  # per face
    bones: list[str]  # per vertex


@cache
def mannequin() -> Shape:
    """The whole character in its T-pose, about 1.75 m tall."""
    vertices, faces, materials, bones = [], [], [], []
    for part in _parts():
        first = sum(len(block) for block in vertices)
        points, polygons = _bar(part)
        vertices.append(points)
        faces += [tuple(first + index for index in polygon) for polygon in polygons]
        materials += [part.material] * len(polygons)
        bones += [part.bone] * len(points)
    return Shape(np.concatenate(vertices), faces, materials, bones)


def _bar(part: Part) -> tuple[Array, list[tuple[int, ...]]]:
    """Rings around the axis, closed by a pole at each end."""
    along = normalized(part.end - part.start)
    front = normalized(np.array(part.front) - np.dot(part.front, along) * along)
    side = np.cross(front, along)
    share = 0.5 - 0.5 * np.cos(np.pi * np.arange(1, RINGS + 1) / (RINGS + 1))  # dense at the ends
    swell = (1.0 - np.abs(2.0 * share - 1.0) ** part.roundness) ** (1.0 / part.roundness)
    width = np.interp(share, (0.0, 0.5, 1.0), part.widths) * swell
    depth = np.interp(share, (0.0, 0.5, 1.0), part.depths) * swell
    turn = 2.0 * np.pi * np.arange(SIDES) / SIDES
    rings = (
        part.start
        + share[:, None, None] * (part.end - part.start)
        + (width[:, None] * np.cos(turn))[..., None] * side
        + (depth[:, None] * np.sin(turn))[..., None] * front
    )
    points = np.concatenate([[part.start], rings.reshape(-1, 3), [part.end]])
    return points, _bar_faces()


def _bar_faces() -> list[tuple[int, ...]]:
    following = [(index + 1) % SIDES for index in range(SIDES)]
    last = 1 + RINGS * SIDES
    faces: list[tuple[int, ...]] = [(0, 1 + following[i], 1 + i) for i in range(SIDES)]
    for ring in range(RINGS - 1):
        a, b = 1 + ring * SIDES, 1 + (ring + 1) * SIDES
        faces += [(a + i, a + following[i], b + following[i], b + i) for i in range(SIDES)]
    top = 1 + (RINGS - 1) * SIDES
    return faces + [(last, top + i, top + following[i]) for i in range(SIDES)]


def _at(name: str, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Array:
    return REST_JOINTS[INDEX[name]] + (x, y, z)


def _ball(bone: str, radius: float, center: Array | None = None) -> Part:
    middle = _at(bone) if center is None else center
    reach = radius * UP
    radii = (radius,) * 3
    return Part(bone, middle - reach, middle + reach, radii, radii, roundness=2.0, material=JOINT)


def _parts() -> list[Part]:
    return _trunk() + [part for side in (1.0, -1.0) for part in _arm(side) + _leg(side)]


def _trunk() -> list[Part]:
    head = _at("head", z=-0.025)
    return [
        Part(
            "pelvis",
            _at("pelvis", y=-0.15),
            _at("pelvis", y=0.085),
            (0.11, 0.155, 0.125),
            (0.08, 0.105, 0.09),
        ),
        Part(
            "spine1",
            _at("spine1", y=-0.09),
            _at("spine1", y=0.11, z=0.02),
            (0.105, 0.115, 0.105),
            (0.08, 0.082, 0.08),
            roundness=2.0,
            material=JOINT,
        ),
        Part(
            "spine2",
            _at("spine2", y=-0.075),
            _at("spine2", y=0.13),
            (0.11, 0.132, 0.14),
            (0.085, 0.095, 0.095),
        ),
        Part(
            "spine3",
            _at("spine3", y=-0.03),
            _at("neck", y=-0.02),
            (0.135, 0.168, 0.11),
            (0.1, 0.112, 0.07),
        ),
        Part(
            "neck",
            _at("neck", y=-0.05),
            _at("head", y=0.02, z=-0.035),
            (0.05, 0.05, 0.05),
            (0.05, 0.05, 0.05),
            material=JOINT,
        ),
        Part(
            "head",
            head + (0.0, -0.085, 0.015),
            head + (0.0, 0.165, -0.01),
            (0.058, 0.079, 0.075),
            (0.075, 0.098, 0.095),
            roundness=2.2,
        ),
        Part(
            "head",
            head + (0.0, -0.01, 0.06),
            head + (0.0, 0.085, 0.06),
            (0.05, 0.062, 0.05),
            (0.04, 0.046, 0.04),
            roundness=2.2,
            material=JOINT,
        ),
    ]


def _arm(side: float) -> list[Part]:
    name = "left" if side > 0 else "right"
    collar, shoulder, elbow, wrist = (
        f"{name}_{joint}" for joint in ("collar", "shoulder", "elbow", "wrist")
    )
    return [
        Part(
            collar,
            _at(collar, -0.03 * side, -0.01),
            _at(shoulder, 0.015 * side),
            (0.045, 0.055, 0.06),
            (0.05, 0.06, 0.06),
        ),
        _ball(shoulder, 0.062),
        Part(
            shoulder,
            _at(shoulder, 0.03 * side),
            _at(elbow, -0.015 * side),
            (0.05, 0.048, 0.04),
            (0.05, 0.048, 0.04),
            roundness=4.0,
        ),
        _ball(elbow, 0.041),
        Part(
            elbow,
            _at(elbow, 0.02 * side),
            _at(wrist, -0.01 * side),
            (0.041, 0.041, 0.028),
            (0.043, 0.043, 0.03),
            roundness=4.0,
        ),
        _ball(wrist, 0.029),
        Part(
            wrist,
            _at(wrist, 0.012 * side),
            _at(wrist, 0.105 * side),
            (0.022, 0.024, 0.018),
            (0.034, 0.046, 0.042),
            roundness=3.5,
        ),
        Part(
            wrist,
            _at(wrist, 0.09 * side),
            _at(wrist, 0.185 * side, -0.004),
            (0.017, 0.015, 0.01),
            (0.04, 0.038, 0.026),
            roundness=3.5,
        ),
        Part(
            wrist,
            _at(wrist, 0.03 * side, 0.0, 0.03),
            _at(wrist, 0.1 * side, -0.006, 0.078),
            (0.014, 0.014, 0.011),
            (0.015, 0.015, 0.011),
            front=(0.0, 1.0, 0.0),
            roundness=3.0,
        ),
    ]


def _leg(side: float) -> list[Part]:
    name = "left" if side > 0 else "right"
    hip, knee, ankle, foot = (f"{name}_{joint}" for joint in ("hip", "knee", "ankle", "foot"))
    return [
        _ball(hip, 0.088, _at(hip, 0.018 * side, -0.01)),
        Part(
            hip,
            _at(hip, 0.016 * side, -0.035),
            _at(knee, y=0.02),
            (0.082, 0.078, 0.056),
            (0.085, 0.082, 0.058),
            roundness=4.0,
        ),
        _ball(knee, 0.056),
        Part(
            knee,
            _at(knee, y=-0.025),
            _at(ankle, y=0.02),
            (0.052, 0.056, 0.034),
            (0.056, 0.062, 0.036),
            roundness=4.0,
        ),
        _ball(ankle, 0.039),
        Part(
            ankle,
            _at(ankle, y=-0.022, z=-0.075),
            _at(foot, y=0.027, z=0.012),
            (0.036, 0.042, 0.045),
            (0.033, 0.044, 0.028),
            front=(0.0, 1.0, 0.0),
            roundness=3.0,
        ),
        Part(
            foot,
            _at(foot, y=0.023, z=-0.02),
            _at(foot, y=0.018, z=0.085),
            (0.044, 0.046, 0.034),
            (0.022, 0.022, 0.015),
            front=(0.0, 1.0, 0.0),
            roundness=3.0,
        ),
    ]
