"""Planted feet: the ball is locked while it stands, the leg follows, the pelvis gives. No bpy."""

from collections.abc import Generator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from ..contract.pose import Pose
from .contacts import UP, Contacts, Flags, find_contacts, headings, runs_of, track_pose
from .ik import Leg, reach, solve_legs
from .legs import Legs, legs_of
from .offsets import envelope, fade_offsets, fade_weights
from .target import BoneMotion, Target, bone_heads

Array = NDArray[np.floating]

TOLERANCE = 0.0025  # metres that a foot may be under the floor
MAX_DROP, MAX_DROP_STRICT = 0.12, 0.3  # of the pelvis, as shares of the leg's length
WIDEST_STEP = 0.9  # share of the free reach: beyond it lowering the pelvis does not help
TOE_LENGTH = 0.5  # of the way from ankle to ball


def plant_feet(
    target: Target, motion: BoneMotion, pose: Pose, fps: float, strict: bool, ground: float = 0.0
) -> BoneMotion:
    """The same motion, its feet locked where the pose's feet stand, and none under the floor.

    `pose` is the motion on the model's skeleton, in Blender axes at the rate `fps` of the motion;
    the floor lies `ground` metres above that of the rig's rest pose.
    """
    contacts = find_contacts(track_pose(pose), fps, strict)
    return _result_of(planting(target, motion, contacts, fps, strict, ground))


def _result_of(steps: Generator[None, None, BoneMotion]) -> BoneMotion:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def planting(
    target: Target,
    motion: BoneMotion,
    contacts: Contacts,
    fps: float,
    strict: bool,
    ground: float = 0.0,
) -> Generator[None, None, BoneMotion]:
    """As `plant_feet`, for given contacts and in short steps; the generator returns the motion."""
    legs = legs_of(target)
    if not legs.sides:
        return motion
    stands, flat = contacts.balls[:, legs.sides], contacts.flat[:, legs.sides]
    heads = bone_heads(target, motion)
    hips, ankles = heads[:, legs.thighs], heads[:, legs.feet]
    yield
    feet = _laid_flat(motion.turns[:, legs.feet], flat, fps)
    balls = ankles + rotation.rotate(motion.turns[:, legs.feet], legs.soles)
    balls = _locked(balls, stands, _floors(legs, ground), fps)
    yield
    feet, balls = _above_floor(legs, feet, balls, ground)
    near = fade_weights(stands, fps)
    toes = _level_toes(legs, motion, feet, balls, near, ground)
    goals = balls - rotation.rotate(feet, legs.soles)
    yield
    most = (MAX_DROP_STRICT if strict else MAX_DROP) * legs.length
    needs = (near * _out_of_reach(legs.leg, hips, ankles, goals)).max(axis=1)
    drop = envelope(np.clip(needs, 0.0, most), fps)[:, None] * UP
    yield
    upper, lower = motion.turns[:, legs.thighs], motion.turns[:, legs.shins]
    upper, lower = solve_legs(legs.leg, upper, lower, goals - hips + drop[:, None])
    turns = motion.turns.copy()
    turns[:, legs.thighs], turns[:, legs.shins], turns[:, legs.feet] = upper, lower, feet
    for side, toe in enumerate(legs.toes):
        if toe >= 0:
            turns[:, toe] = toes[:, side]
    return replace(motion, turns=rotation.continuous(turns), location=motion.location - drop)


def _floors(legs: Legs, ground: float) -> Array:
    """(S,) height of each ball where it stands."""
    return (legs.ankles + legs.soles)[:, 2] + ground


def _laid_flat(turns: Array, flat: Flags, fps: float) -> Array:
    """Turns (T, S, 4) of the feet, level and with one heading while they are flat on the floor."""
    heading = np.unwrap(headings(turns), axis=0)[..., None]
    level = rotation.about_axis(UP, _medians(heading, flat)[..., 0])
    away = rotation.multiply(level, rotation.inverse(turns))
    halves = fade_offsets(np.where(away[..., :1] < 0.0, -1.0, 1.0) * away[..., 1:], flat, fps)
    cosines = np.sqrt(np.maximum(1.0 - np.sum(halves**2, axis=-1, keepdims=True), 0.0))
    return rotation.multiply(np.concatenate([cosines, halves], axis=-1), turns)


def _locked(balls: Array, stands: Flags, floors: Array, fps: float) -> Array:
    """Balls (T, S, 3) that stay on one spot of the floor while they stand."""
    spots = _medians(balls, stands)
    spots[..., 2] = floors
    return balls + fade_offsets(spots - balls, stands, fps)


def _medians(values: Array, held: Flags) -> Array:
    """(T, S, C): over each run that is held, its median."""
    medians = values.copy()
    for side in range(held.shape[1]):
        for start, end in runs_of(held[:, side]):
            medians[start:end, side] = np.median(values[start:end, side], axis=0)
    return medians


def _above_floor(legs: Legs, feet: Array, balls: Array, ground: float) -> tuple[Array, Array]:
    """Feet (T, S, 4) and balls (T, S, 3) out of the floor: balls are raised, heels turned up."""
    floors = _floors(legs, ground)
    balls = balls.copy()
    balls[..., 2] = _not_below(balls[..., 2], floors)
    heels = rotation.rotate(feet, legs.heels - legs.soles)
    return _turned_up(feet, heels, balls, floors), balls


def _level_toes(
    legs: Legs, motion: BoneMotion, feet: Array, balls: Array, near: Array, ground: float
) -> Array:
    """Turns (T, S, 4) of toes that lie on the floor where the ball stands, under a raised heel."""
    before = motion.turns[:, legs.feet]
    bones = [toe if toe >= 0 else foot for toe, foot in zip(legs.toes, legs.feet, strict=True)]
    carried = rotation.multiply(
        rotation.multiply(feet, rotation.inverse(before)), motion.turns[:, bones]
    )
    level = rotation.about_axis(UP, headings(feet))
    toes = rotation.slerp(carried, level, near)
    tips = rotation.rotate(toes, TOE_LENGTH * legs.soles * (1.0, 1.0, 0.0))
    return _turned_up(toes, tips, balls, _floors(legs, ground))


def _turned_up(turns: Array, ends: Array, balls: Array, floors: Array) -> Array:
    """Turned about the balls until `ends` (T, S, 3), seen from there, are out of the floor."""
    raised = ends.copy()
    raised[..., 2] = _not_below(balls[..., 2] + ends[..., 2], floors) - balls[..., 2]
    length = np.linalg.norm(ends, axis=-1)
    along = np.sqrt(np.maximum(length**2 - raised[..., 2] ** 2, 0.0))
    raised[..., :2] = rotation.normalized(ends[..., :2]) * along[..., None]
    return rotation.multiply(rotation.between(ends, raised), turns)


def _not_below(heights: Array, floors: Array) -> Array:
    """Unchanged above the floor, bent smoothly into what is tolerated below it. (T, S)."""
    above = heights - floors + TOLERANCE
    bent = (above + TOLERANCE) ** 2 / (4.0 * TOLERANCE)
    bent = np.where(above > -TOLERANCE, bent, 0.0)
    return floors - TOLERANCE + np.where(above < TOLERANCE, bent, above)


def _out_of_reach(leg: Leg, hips: Array, ankles: Array, goals: Array) -> Array:
    """(T, S) metres by which the hips are too high for the goals of the ankles."""
    free = reach(leg, np.linalg.norm(ankles - hips, axis=-1))
    to_goal = hips - goals
    aside = np.minimum(np.linalg.norm(to_goal[..., :2], axis=-1), WIDEST_STEP * free)
    return to_goal[..., 2] - np.sqrt(free**2 - aside**2)
