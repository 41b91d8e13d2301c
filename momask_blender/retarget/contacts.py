"""When a foot stands on the floor: strict, with hysteresis, at any frame rate. No bpy.

HumanML3D's own labels are loose (0.89 m/s, at any height); feet locked on them would be torn along.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from ..contract.pose import Pose
from ..contract.skeleton import INDEX, REST_JOINTS, REST_OFFSETS
from .border import to_blender

Array = NDArray[np.floating]
Flags = NDArray[np.bool_]

SIDES = ("left", "right")
UP = np.array([0.0, 0.0, 1.0])

LEG_LENGTH = float(-REST_OFFSETS[[INDEX["left_knee"], INDEX["left_ankle"]], 1].sum())
"""Thigh and shin of the skeleton in metres; limits below are for a leg of that length."""

SPEED_WINDOW = 0.05  # seconds to each side: one frame of the model's
HEIGHT = 0.05  # metres above where the point is at rest
LONGEST_GAP, SHORTEST_RUN = 0.13, 0.15  # seconds
STAYS_WHILE = {"speed": 1.6, "height": 1.4}  # times the limit for beginning a contact
FLOOR_ERROR = 0.03  # metres that a motion as a whole may float or sink

# Cosine of the foot's tilt: beyond the first the sole does not face the floor (kneeling, lying),
# within the second it may lie flat on it.
FACES_FLOOR, LIES_FLAT = np.cos(np.radians([75.0, 35.0]))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How sure a contact has to be."""

    speed: float = 0.25  # m/s
    slide: float = 0.2  # metres within one contact; then the foot is put down anew
    pivot: float = np.radians(30.0)  # the same for the heading of a flat foot
    pause: float = 0.25  # seconds that putting it down anew takes


SURE = Limits()
STRICT = Limits(speed=0.45, slide=0.3, pivot=np.radians(40.0))


@dataclass(frozen=True, eq=False)
class FootTrack:
    """Both feet over time. Up is +Z; heights count from where the points are at rest."""

    ankles: Array  # (T, S, 3)
    balls: Array  # (T, S, 3)
    turns: Array  # (T, S, 4) of the feet away from rest
    leg_length: float = LEG_LENGTH


@dataclass(frozen=True, eq=False)
class Contacts:
    """(T, S) booleans for each foot."""

    balls: Flags
    flat: Flags  # the heel too; only where the ball is
    kept: Flags | None = None  # (T,) frames that stay as they are, whatever stands; None: no frame


def track_pose(pose: Pose) -> FootTrack:
    """The feet of a pose in Blender axes on the model's skeleton."""
    chains = [[f"{side}_{name}" for name in ("hip", "knee", "ankle", "foot")] for side in SIDES]
    points = {"ankle": [], "foot": []}
    for chain in chains:
        place = pose.root
        for parent, joint in zip(["pelvis", *chain[:-1]], chain, strict=True):
            offset = to_blender(REST_OFFSETS[INDEX[joint]])
            place = place + rotation.rotate(pose.rotations[:, INDEX[parent]], offset)
            points.get(joint.split("_")[1], []).append(place)
    ankles, balls = (np.stack(points[name], axis=1) for name in ("ankle", "foot"))
    rest_height = to_blender(REST_JOINTS[INDEX["left_ankle"]])[2] * UP
    turns = pose.rotations[:, [INDEX[chain[2]] for chain in chains]]
    return FootTrack(ankles - rest_height, balls, turns)


def find_contacts(track: FootTrack, fps: float, strict: bool = False) -> Contacts:
    """Where the balls of the feet stand on the floor, and where the soles lie flat on it."""
    limits, size = STRICT if strict else SURE, track.leg_length / LEG_LENGTH
    floor = _floor(track, size)
    upright = rotation.rotate(track.turns, UP)[..., 2]
    balls = _low_and_slow(track.balls - floor, fps, limits.speed * size, size)
    balls &= upright > FACES_FLOOR
    balls = cut_where_moved(balls, track.balls[..., :2], limits.slide * size, limits.pause, fps)
    ankles = _low_and_slow(track.ankles - floor, fps, limits.speed * size, size)
    flat = tidied(balls & ankles & (upright > LIES_FLAT), fps) & balls
    heading = np.unwrap(headings(track.turns), axis=0)[..., None]
    return Contacts(balls, cut_where_moved(flat, heading, limits.pivot, limits.pause, fps))


def headings(turns: Array) -> Array:
    """Yaw about +Z of turns away from rest, (..., 4) -> (...,): of the left side, which stays level
    when a foot is raised steeply."""
    left = rotation.rotate(turns, np.array([1.0, 0.0, 0.0]))
    return np.arctan2(left[..., 1], left[..., 0])


def runs_of(flags: Flags) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each run of True in (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _floor(track: FootTrack, size: float) -> Array:
    """(3,) how far the whole motion floats or sinks: the height of its lowest balls."""
    lowest = np.percentile(track.balls[..., 2].min(axis=1), 2.0)
    return np.clip(lowest, -FLOOR_ERROR * size, FLOOR_ERROR * size) * UP


def _low_and_slow(points: Array, fps: float, limit: float, size: float) -> Flags:
    """(T, S, 3) -> (T, S): begins strictly, stays a little longer."""
    speed, height = _speeds(points, fps), points[..., 2]
    begins = (speed < limit) & (height < HEIGHT * size)
    stays = (speed < STAYS_WHILE["speed"] * limit) & (
        height < STAYS_WHILE["height"] * HEIGHT * size
    )
    for side in range(stays.shape[1]):
        for start, end in runs_of(stays[:, side]):
            stays[start:end, side] = begins[start:end, side].any()
    return tidied(stays, fps)


def _speeds(points: Array, fps: float) -> Array:
    """Metres per second over a window of time, one-sided at the ends. (T, S, 3) -> (T, S)."""
    frames = np.arange(len(points))
    reach = max(1, round(SPEED_WINDOW * fps))
    before, after = np.maximum(frames - reach, 0), np.minimum(frames + reach, len(points) - 1)
    seconds = np.maximum(after - before, 1)[:, None] / fps
    return np.linalg.norm(points[after] - points[before], axis=-1) / seconds


def tidied(flags: Flags, fps: float) -> Flags:
    """Short gaps closed, then short runs dropped; a run cut by the clip's end may be short."""
    flags, last = flags.copy(), len(flags)
    for side in range(flags.shape[1]):
        for start, end in runs_of(~flags[:, side]):
            if start > 0 and end < last and (end - start) <= LONGEST_GAP * fps + 1e-6:
                flags[start:end, side] = True
        for start, end in runs_of(flags[:, side]):
            if start > 0 and end < last and (end - start) < SHORTEST_RUN * fps - 1e-6:
                flags[start:end, side] = False
    return flags


def cut_where_moved(flags: Flags, values: Array, limit: float, pause: float, fps: float) -> Flags:
    """Runs cut where `values` (T, S, C) have moved away by more than `limit`, with a pause."""
    flags = flags.copy()
    for side in range(flags.shape[1]):
        for start, end in runs_of(flags[:, side]):
            first = start
            while len(far := _beyond(values[first:end, side], limit)):
                resumes = min(first + far[0] + max(1, round(pause * fps)), end)
                flags[first + far[0] : resumes, side] = False
                first = resumes
    return flags


def _beyond(values: Array, limit: float) -> NDArray[np.intp]:
    """Frames at which (T, C) are further than `limit` from the first."""
    return np.flatnonzero(np.linalg.norm(values - values[:1], axis=-1) > limit)
