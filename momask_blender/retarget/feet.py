"""Planted feet: the ball is locked while it stands, the leg follows, the pelvis gives. No bpy."""

from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..contract import rotation
from .contacts import UP, Contacts, Flags, headings, runs_of
from .ik import reach, smoothstep, solve_legs, turned_to
from .legs import Legs, legs_of
from .offsets import envelope, fade_offsets, fade_weights, smoothed
from .target import BoneMotion, Target, bone_heads

Array = NDArray[np.floating]
Between = Callable[[Array, Array, Array], Array]  # first, last, shares (N,) -> (N, C)

TOLERANCE = 0.0024  # of the leg's length that a foot may be under the floor
MAX_DROP, MAX_DROP_STRICT = 0.12, 0.3  # of the pelvis, as shares of the leg's length
WIDEST_STEP = 0.9  # share of the free reach: beyond it lowering the pelvis does not help
MOST_RAISED = np.radians(30.0)  # of a heel because the leg is too short
# Of the leg's length: where the hips are as far behind a foot (standing on it) it stays flat, where
# they are as far ahead (leaving it) it rolls.
BEHIND, AHEAD = -0.05, 0.15
SMOOTHING, ROLL_SMOOTHING = 0.2, 0.1  # seconds to each side, of the pelvis and of heels
LIFT, MOST_LIFTED = 0.25, 0.07  # of a step's way, and at most of the leg's length
TOE_LENGTH = 0.5  # of the way from ankle to ball


def planting(
    target: Target,
    motion: BoneMotion,
    contacts: Contacts,
    fps: float,
    strict: bool,
    ground: float = 0.0,
) -> Generator[None, None, BoneMotion]:
    """The same motion, its feet locked where they stand, and none under the floor.

    In short steps; the generator returns the motion. The floor lies `ground` metres above that of
    the rig's rest pose. Frames that the contacts keep stay as they are, and feet that stand on from
    there stay in their place; what is done to others begins gently beside them.
    """
    legs = legs_of(target)
    if not legs.sides:
        return motion
    kept = np.zeros(len(motion.turns), bool) if contacts.kept is None else contacts.kept
    changes = smoothstep(1.0 - fade_weights(kept[:, None], fps))  # (T, 1)
    stands, flat = contacts.balls[:, legs.sides], contacts.flat[:, legs.sides]
    heads = bone_heads(target, motion)
    hips, ankles = heads[:, legs.thighs], heads[:, legs.feet]
    yield
    feet = _laid_flat(motion.turns[:, legs.feet], flat, kept, fps)
    yield
    balls = ankles + rotation.rotate(motion.turns[:, legs.feet], legs.soles)
    balls = _locked(balls, stands, kept, _floors(legs, ground), fps)
    balls = _lifted(legs, balls, stands, contacts.kept, ground)
    yield
    feet, balls = _above_floor(legs, feet, balls, changes, ground)
    yield
    near = fade_weights(stands, fps)
    yield
    carried = smoothed(_carried_down(legs, ankles, feet, balls, near), fps, SMOOTHING)
    carried = changes * carried * UP
    hips = hips - carried[:, None]
    free = reach(legs.leg, np.linalg.norm(ankles - heads[:, legs.thighs], axis=-1))
    angles, across = _heel_rise(legs, hips, feet, balls, free)
    angles = changes * near * smoothed(angles, fps, ROLL_SMOOTHING)
    feet = rotation.multiply(rotation.about_axis(across, angles), feet)
    goals = balls - rotation.rotate(feet, legs.soles)
    toes = _level_toes(legs, motion, feet, balls, near, ground)
    yield
    most = (MAX_DROP_STRICT if strict else MAX_DROP) * legs.length
    needs = (near * _out_of_reach(hips - goals, free)).max(axis=1, keepdims=True)
    needs = changes * envelope(np.clip(needs, 0.0, most), fps, SMOOTHING) * UP
    hips = hips - needs[:, None]
    yield
    upper, lower = motion.turns[:, legs.thighs], motion.turns[:, legs.shins]
    upper, lower = solve_legs(legs.leg, upper, lower, goals - hips)
    turns = motion.turns.copy()
    turns[:, legs.thighs], turns[:, legs.shins], turns[:, legs.feet] = upper, lower, feet
    for side, toe in enumerate(legs.toes):
        if toe >= 0:
            turns[:, toe] = rotation.slerp(turns[:, toe], toes[:, side], changes[:, 0])
    return replace(
        motion, turns=rotation.continuous(turns), location=motion.location - carried - needs
    )


def _floors(legs: Legs, ground: float) -> Array:
    """(S,) height of each ball where it stands."""
    return (legs.ankles + legs.soles)[:, 2] + ground


def _laid_flat(turns: Array, flat: Flags, kept: Flags, fps: float) -> Array:
    """Turns (T, S, 4) of the feet, level and with one heading while they are flat on the floor."""
    heading = np.unwrap(headings(turns), axis=0)[..., None]
    level = rotation.about_axis(UP, _medians(heading, flat & ~kept[:, None])[..., 0])
    level = _as_kept(level, turns, flat, kept, rotation.slerp)
    away = rotation.multiply(level, rotation.inverse(turns))
    halves = np.where(away[..., :1] < 0.0, -1.0, 1.0) * away[..., 1:]
    halves = _faded_between(halves, flat, kept, fps)
    cosines = np.sqrt(np.maximum(1.0 - np.sum(halves**2, axis=-1, keepdims=True), 0.0))
    return rotation.multiply(np.concatenate([cosines, halves], axis=-1), turns)


def _locked(balls: Array, stands: Flags, kept: Flags, floors: Array, fps: float) -> Array:
    """Balls (T, S, 3) that stay on one spot of the floor while they stand."""
    spots = _medians(balls, stands & ~kept[:, None])
    spots[..., 2] = floors
    spots = _as_kept(spots, balls, stands, kept, _way_between)
    return balls + _faded_between(spots - balls, stands, kept, fps)


def _lifted(legs: Legs, balls: Array, stands: Flags, kept: Flags | None, ground: float) -> Array:
    """Balls (T, S, 3) that leave the floor where they step from one spot to another in a gap: what
    was made may stand there all the time, as its spots were elsewhere."""
    if kept is None:
        return balls
    balls, floors = balls.copy(), _floors(legs, ground)
    for side in range(stands.shape[1]):
        for start, end in runs_of(~stands[:, side] & ~kept):
            ends = [row for row in (start - 1, end) if 0 <= row < len(kept)]
            if len(ends) < 2 or not stands[ends, side].all():
                continue
            way = np.linalg.norm((balls[end, side] - balls[start - 1, side])[:2])
            x = np.arange(1, end - start + 1) / (end - start + 1)
            lift = min(LIFT * way, MOST_LIFTED * legs.length) * (4.0 * x * (1.0 - x)) ** 3
            above = np.maximum(balls[start:end, side, 2] - floors[side], 0.0)
            raised = np.hypot(above, lift) - above
            balls[start:end, side, 2] += raised
    return balls


def _medians(values: Array, held: Flags) -> Array:
    """(T, S, C): over each run that is held, its median."""
    medians = values.copy()
    for side in range(held.shape[1]):
        for start, end in runs_of(held[:, side]):
            medians[start:end, side] = np.median(values[start:end, side], axis=0)
    return medians


def _as_kept(goals: Array, own: Array, held: Flags, kept: Flags, between: Between) -> Array:
    """Goals (T, S, C) of runs that are held, those of runs that go on from kept frames as in these;
    from one to the other where both ends of a run are kept."""
    goals = goals.copy()
    for side in range(held.shape[1]):
        for start, end in runs_of(held[:, side] & ~kept):
            edges = [row for row in (start - 1, end) if 0 <= row < len(kept) and kept[row]]
            if edges:
                share = smoothstep(np.arange(1, end - start + 1) / (end - start + 1))
                first, last = own[edges[0], side], own[edges[-1], side]
                goals[start:end, side] = between(first, last, share)
    return goals


def _way_between(first: Array, last: Array, share: Array) -> Array:
    return first + share[:, None] * (last - first)


def _faded_between(offsets: Array, held: Flags, kept: Flags, fps: float) -> Array:
    """Offsets (T, S, C) while feet are held, none in kept frames, and smooth curves between."""
    offsets = np.where(kept[:, None, None], 0.0, offsets)
    return fade_offsets(offsets, held | kept[:, None], fps)


def _above_floor(
    legs: Legs, feet: Array, balls: Array, changes: Array, ground: float
) -> tuple[Array, Array]:
    """Feet (T, S, 4) and balls (T, S, 3) out of the floor: balls are raised, heels turned up."""
    floors = _floors(legs, ground)
    balls = balls.copy()
    raised = _not_below(balls[..., 2], floors, TOLERANCE * legs.length)
    balls[..., 2] += changes * (raised - balls[..., 2])
    heels = rotation.rotate(feet, legs.heels - legs.soles)
    return rotation.slerp(feet, _turned_up(legs, feet, heels, balls, floors), changes), balls


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
    return _turned_up(legs, toes, tips, balls, _floors(legs, ground))


def _turned_up(legs: Legs, turns: Array, ends: Array, balls: Array, floors: Array) -> Array:
    """Turned about the balls until `ends` (T, S, 3), seen from there, are out of the floor."""
    raised = ends.copy()
    tolerance = TOLERANCE * legs.length
    raised[..., 2] = _not_below(balls[..., 2] + ends[..., 2], floors, tolerance) - balls[..., 2]
    length = np.linalg.norm(ends, axis=-1)
    along = np.sqrt(np.maximum(length**2 - raised[..., 2] ** 2, 0.0))
    raised[..., :2] = rotation.normalized(ends[..., :2]) * along[..., None]
    return rotation.multiply(rotation.between(ends, raised), turns)


def _not_below(heights: Array, floors: Array, tolerance: float) -> Array:
    """Unchanged above the floor, bent smoothly into what is tolerated below it. (T, S)."""
    above = heights - floors + tolerance
    bent = (above + tolerance) ** 2 / (4.0 * tolerance)
    bent = np.where(above > -tolerance, bent, 0.0)
    return floors - tolerance + np.where(above < tolerance, bent, above)


def _carried_down(legs: Legs, ankles: Array, feet: Array, balls: Array, near: Array) -> Array:
    """(T, 1) metres by which standing feet go down: hips that follow bend no knee."""
    goals = balls - rotation.rotate(feet, legs.soles)
    down = (near * (ankles - goals)[..., 2]).sum(axis=1, keepdims=True)
    return down / np.maximum(near.sum(axis=1, keepdims=True), 1.0)


def _heel_rise(
    legs: Legs, hips: Array, feet: Array, balls: Array, free: Array
) -> tuple[Array, Array]:
    """Angles (T, S) about axes (T, S, 3) by which feet roll over the ball where the ankle would be
    further than `free` from the hips: the more, the further those are ahead."""
    heading = headings(feet)
    flat = np.zeros_like(heading)
    across = np.stack([np.cos(heading), np.sin(heading), flat], axis=-1)
    front = np.stack([np.sin(heading), -np.cos(heading), flat], axis=-1)
    to_hips = hips - balls
    angles = turned_to(rotation.rotate(feet, -legs.soles), across, to_hips, free)
    ahead = np.sum(to_hips * front, axis=-1) / legs.length
    share = smoothstep((ahead - BEHIND) / (AHEAD - BEHIND))
    return share * np.clip(angles, 0.0, MOST_RAISED), across


def _out_of_reach(to_goals: Array, free: Array) -> Array:
    """(T, S) metres by which the hips are too high above goals (T, S, 3) below them."""
    aside = np.minimum(np.linalg.norm(to_goals[..., :2], axis=-1), WIDEST_STEP * free)
    return to_goals[..., 2] - np.sqrt(free**2 - aside**2)
