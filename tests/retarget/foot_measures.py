"""How well feet are planted: what the tests and a person at the command line measure."""

from dataclasses import dataclass

import numpy as np

from momask_blender.contract import rotation
from momask_blender.retarget.contacts import Contacts
from momask_blender.retarget.legs import legs_of
from momask_blender.retarget.target import BoneMotion, Target, bone_heads


@dataclass(frozen=True)
class Legs:
    """Points of both legs, (T, S, 3); heights of balls and heels count from the floor."""

    hips: np.ndarray
    knees: np.ndarray
    ankles: np.ndarray
    balls: np.ndarray
    heels: np.ndarray
    pelvis: np.ndarray  # (T, 1, 3)


def legs_at(target: Target, motion: BoneMotion, ground: float = 0.0) -> Legs:
    legs, heads = legs_of(target), bone_heads(target, motion)
    ankles, feet = heads[:, legs.feet], motion.turns[:, legs.feet]
    floor = np.zeros((len(legs.sides), 3))
    floor[:, 2] = (legs.ankles + legs.soles)[:, 2] + ground
    return Legs(
        heads[:, legs.thighs],
        heads[:, legs.shins],
        ankles,
        ankles + rotation.rotate(feet, legs.soles) - floor,
        ankles + rotation.rotate(feet, legs.heels) - floor,
        heads[:, [target.roles["hips"]]],
    )


def skate(legs: Legs, contacts: Contacts, fps: float) -> float:
    """Mean speed of standing balls, cm/s."""
    both = contacts.balls[1:] & contacts.balls[:-1]
    speed = np.linalg.norm(np.diff(legs.balls, axis=0), axis=-1) * fps * 100.0
    return float(speed[both].mean()) if both.any() else 0.0


def lowest(legs: Legs) -> float:
    """Millimetres of the lowest ball or heel above the floor."""
    return 1000.0 * float(min(legs.balls[..., 2].min(), legs.heels[..., 2].min()))


def floating(legs: Legs, contacts: Contacts) -> float:
    """Median height of standing balls, mm."""
    return 1000.0 * float(np.median(np.abs(legs.balls[..., 2])[contacts.balls]))


def turned(before: Legs, after: Legs) -> np.ndarray:
    """Degrees by which thighs and shins point elsewhere. (2, T, S)."""
    pairs = [
        (before.knees - before.hips, after.knees - after.hips),
        (before.ankles - before.knees, after.ankles - after.knees),
    ]
    return np.stack([_angle(*pair) for pair in pairs])


def jerk(points: np.ndarray) -> float:
    """Mean third difference of (T, S, 3)."""
    return float(np.linalg.norm(np.diff(points, n=3, axis=0), axis=-1).mean())


def most_twist(target: Target, motion: BoneMotion, fps: float) -> float:
    """Degrees in a twentieth of a second by which a thigh or shin turns more than its direction."""
    legs, points = legs_of(target), legs_at(target, motion)
    most = 0.0
    for bones, start, end in (
        (legs.thighs, points.hips, points.knees),
        (legs.shins, points.knees, points.ankles),
    ):
        turns = motion.turns[:, bones]
        step = rotation.multiply(turns[1:], rotation.inverse(turns[:-1]))
        whole = np.degrees(2.0 * np.arccos(np.clip(np.abs(step[..., 0]), 0.0, 1.0)))
        along = end - start
        most = max(most, float((whole - _angle(along[1:], along[:-1])).max()))
    return most * fps / 20.0


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    cosines = np.sum(rotation.normalized(a) * rotation.normalized(b), axis=-1)
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
