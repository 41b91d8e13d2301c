"""The armature's object moves while its bones do: to what is seen, and back. No bpy.

Keys, parents and constraints of the object carry the character as its hips do. Motions are made and
feet planted over a floor that stays; bones are keyed inside the object as it is at each frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from .contacts import FLOOR_ERROR, LEG_LENGTH, SHORTEST_RUN, UP, FootTrack, find_contacts
from .legs import legs_of, track_motion
from .target import BoneMotion, Target

Array = NDArray[np.floating]
Rows = NDArray[np.integer]

STAYS = 1e-5  # metres, or entries of a rotation matrix, below which nothing has moved
LEVEL = 1e-3  # metres, or the sine of a tilt, within which a floor is one


@dataclass(frozen=True, eq=False)
class ObjectTravel:
    """The object over a floor that stays, frame by frame: x in body axes, as its bones have it, is
    seen at rotate(turn, x) + shift."""

    turns: Array  # (T, 4)
    shifts: Array  # (T, 3)
    is_ridden: bool = False  # the character stands on what moves, which is its floor

    def onto_floor(self, motion: BoneMotion) -> BoneMotion:
        """As seen, what the bones show inside the object."""
        turns = rotation.multiply(self.turns[:, None], motion.turns)
        return _moved(motion, turns, lambda x: rotation.rotate(self.turns, x) + self.shifts)

    def into_object(self, motion: BoneMotion) -> BoneMotion:
        """The inverse of `onto_floor`: what bones have to show so that it is seen."""
        back = rotation.inverse(self.turns)
        turns = rotation.multiply(back[:, None], motion.turns)
        return _moved(motion, turns, lambda x: rotation.rotate(back, x - self.shifts))

    def at(self, rows: Sequence[int] | Rows) -> "ObjectTravel":
        return replace(self, turns=self.turns[rows], shifts=self.shifts[rows])


def _moved(motion: BoneMotion, turns: Array, place: Callable[[Array], Array]) -> BoneMotion:
    root = None if motion.root is None else place(motion.root)
    return BoneMotion(rotation.continuous(turns), place(motion.location), root)


def read_travel(
    target: Target, worlds: Array, motion: BoneMotion, runs: Sequence[Rows], fps: float
) -> ObjectTravel:
    """From matrices (T, 4, 4) of the object, of one size, and what its bones show meanwhile.

    `runs` are rows at an even `fps` that say how feet stand. Where they stand inside the object
    more than in the scene, it is a vehicle, and nothing travels. The floor is that of the rest pose
    at the first row; level in the world if the object tilts, under the feet if it rises.
    """
    stays = ObjectTravel(np.tile(rotation.IDENTITY, (len(worlds), 1)), np.zeros((len(worlds), 3)))
    if np.abs(worlds - worlds[:1]).max() < STAYS:
        return stays
    rows = np.concatenate(runs) if len(runs) else np.arange(len(worlds))
    travel = _over_floor(target, worlds, motion, rows)
    inside, seen = (
        _standing(target, each, runs, fps) for each in (motion, travel.onto_floor(motion))
    )
    return replace(stays, is_ridden=True) if inside > seen else travel


def _over_floor(target: Target, worlds: Array, motion: BoneMotion, rows: Rows) -> ObjectTravel:
    axes = rotation.from_matrix(
        worlds[:, :3, :3] / np.linalg.norm(worlds[:, :3, :3], axis=1, keepdims=True)
    )
    places = worlds[:, :3, 3]
    to_world = rotation.multiply(axes, target.to_rig)
    up = _up(rotation.rotate(to_world, UP))
    level = rotation.multiply(rotation.between(rotation.rotate(to_world[0], UP), up), to_world[0])
    to_floor = rotation.inverse(level)
    shifts = rotation.rotate(to_floor, places - places[0])
    travel = ObjectTravel(rotation.multiply(to_floor, to_world), shifts)
    if np.ptp(shifts[:, 2]) < LEVEL or not legs_of(target).sides:
        return travel
    track = track_motion(target, travel.onto_floor(motion))
    raised = _raised(track, rows, float(np.dot(places[0], up)))
    return replace(travel, shifts=shifts + raised * UP)


def _up(ups: Array) -> Array:
    """(3,) across the floor, from the body's own upward direction (T, 3) in the world."""
    if np.abs(ups - ups[0]).max() < LEVEL:
        return ups[0]
    mean = ups.mean(axis=0)
    largest = np.argmax(np.abs(mean))
    return np.sign(mean[largest]) * np.eye(3)[largest]


def _raised(track: FootTrack, rows: Rows, height: float) -> float:
    """How far a rising object has to be raised so that its feet stand on the floor at rest: as high
    as the world's own floor has them, `height`, where they stand on that."""
    lowest = float(np.percentile(track.balls[rows, :, 2].min(axis=1), 2.0))
    is_on_ground = abs(lowest + height) < FLOOR_ERROR * track.leg_length / LEG_LENGTH
    return height if is_on_ground else -lowest


def _standing(target: Target, motion: BoneMotion, runs: Sequence[Rows], fps: float) -> int:
    """Frames at which a foot stands, in runs that are long enough to tell."""
    track = track_motion(target, motion)
    long = [rows for rows in runs if len(rows) > SHORTEST_RUN * fps]
    stands = [find_contacts(_cut(track, rows), fps).balls.any(axis=1) for rows in long]
    return sum(int(run.sum()) for run in stands)


def _cut(track: FootTrack, rows: Rows) -> FootTrack:
    ankles, balls, turns = (each[rows] for each in (track.ankles, track.balls, track.turns))
    return replace(track, ankles=ankles, balls=balls, turns=turns)
