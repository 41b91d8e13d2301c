"""How well a motion has landed on a rig: what Blender shows, measured against the motion itself.

Judged by the places of bones in the world, whatever the solver believed. Blender axes, metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose
from momask_blender.contract.skeleton import PARENTS
from momask_blender.retarget.rest_turns import REST
from momask_blender.retarget.roles import JOINT_OF

Array = np.ndarray
Heads = dict[str, Array]  # role -> (T, 3)

UP = np.array([0.0, 0.0, 1.0])
LIMBS = tuple(
    (f"{side}_{part}", f"{side}_{below}")
    for side in "lr"
    for part, below in (
        *(("upperarm", "forearm"), ("forearm", "hand")),
        *(("thigh", "shin"), ("shin", "foot")),
    )
)
CONTACT_SPEED, CONTACT_HEIGHT = 0.25, 0.05  # m/s and metres above the 2nd percentile
CONTACT_SECONDS = 0.15


@dataclass(frozen=True, eq=False)
class Shown:
    """A rig that plays, in the world, key by key; bones by the roles that they play."""

    heads: Heads
    axes: dict[str, Array]  # role -> (T, 4)
    rest: dict[str, Array]  # role -> (3,) where the head rests
    rest_axes: dict[str, Array]  # role -> (4,)
    fps: float


def watch(
    bpy: Any, armature: Any, bones: dict[str, str], frames: Sequence[float], fps: float
) -> Shown:
    """What Blender shows of the bones (role -> name) at these frames, without any mesh."""
    scene = bpy.data.scenes.new("watch")
    scene.collection.objects.link(armature)
    shown = np.empty((len(frames), len(bones), 4, 4))
    for row, frame in zip(shown, frames, strict=True):
        scene.frame_set(int(frame), subframe=frame - int(frame))
        evaluated = armature.evaluated_get(scene.view_layers[0].depsgraph)
        posed = evaluated.pose.bones
        row[:] = [evaluated.matrix_world @ posed[name].matrix for name in bones.values()]
    bpy.data.scenes.remove(scene)
    sizes = np.linalg.norm(shown[..., :3, :3], axis=-2, keepdims=True)
    axes = rotation.from_matrix(shown[..., :3, :3] / sizes)
    at_rest = [armature.data.bones[name].matrix_local for name in bones.values()]
    rest = np.array([armature.matrix_world @ matrix for matrix in at_rest])
    rest_axes = rotation.from_matrix(
        rest[:, :3, :3] / np.linalg.norm(rest[:, :3, :3], axis=-2, keepdims=True)
    )
    return Shown(
        heads={role: shown[:, column, :3, 3] for column, role in enumerate(bones)},
        axes={role: axes[:, column] for column, role in enumerate(bones)},
        rest=dict(zip(bones, rest[:, :3, 3], strict=True)),
        rest_axes=dict(zip(bones, rest_axes, strict=True)),
        fps=fps,
    )


def joints_of(pose: Pose) -> Array:
    """Joints (T, 22, 3) of a pose in Blender axes."""
    joints = np.empty((len(pose.root), len(PARENTS), 3))
    joints[:, 0] = pose.root
    for joint, parent in enumerate(PARENTS[1:], start=1):
        offset = REST[joint] - REST[parent]
        joints[:, joint] = joints[:, parent] + rotation.rotate(pose.rotations[:, parent], offset)
    return joints


def as_heads(joints: Array) -> Heads:
    return {role: joints[:, joint] for role, joint in JOINT_OF.items()}


# -- directions


def limb_error(shown: Shown, joints: Array) -> Array:
    """(L, T) degrees between limbs as shown and as the motion has them, which may be turned about
    the vertical as a whole."""
    seen, wanted = _limb_directions(shown, joints)
    yaw = _best_yaw(wanted.reshape(-1, 3), seen.reshape(-1, 3))
    return _degrees_between(rotation.rotate(yaw, wanted), seen)


def _limb_directions(shown: Shown, joints: Array) -> tuple[Array, Array]:
    """As shown and as the motion has them, (L, T, 3) each."""
    source = as_heads(joints)
    pairs = [pair for pair in LIMBS if all(role in shown.heads for role in pair)]
    return (
        np.array([_directions(shown.heads, pair) for pair in pairs]),
        np.array([_directions(source, pair) for pair in pairs]),
    )


def leg_error(shown: Shown, joints: Array) -> Array:
    """As `limb_error`, of the legs alone."""
    legs = {role: heads for role, heads in shown.heads.items() if role[2:] in LEG}
    return limb_error(Shown(legs, {}, {}, {}, shown.fps), joints)


LEG = ("thigh", "shin", "foot")


def heading_error(shown: Shown, joints: Array, facing: Array) -> float:
    """Degrees by which the motion on a rig that stood at rest is turned otherwise than that rest
    pose, which faces `facing`."""
    seen, wanted = _limb_directions(shown, joints)
    yaw = _best_yaw(wanted.reshape(-1, 3), seen.reshape(-1, 3))
    return float(_degrees_between(rotation.rotate(yaw, np.array([0.0, -1.0, 0.0])), facing))


def _across(heads: dict[str, Array]) -> Array:
    return sum(heads[f"l_{part}"] - heads[f"r_{part}"] for part in ("thigh", "upperarm"))


def _directions(heads: Heads, pair: tuple[str, str]) -> Array:
    return rotation.normalized(heads[pair[1]] - heads[pair[0]])


def _best_yaw(source: Array, seen: Array) -> Array:
    """(4,) the turn about the vertical that brings source (N, 3) nearest to seen."""
    cross = np.sum(source[:, 0] * seen[:, 1] - source[:, 1] * seen[:, 0])
    dot = np.sum(source[:, :2] * seen[:, :2])
    return rotation.about_axis(UP, np.arctan2(cross, dot))


def _degrees_between(a: Array, b: Array) -> Array:
    sine = np.linalg.norm(np.cross(a, b), axis=-1)
    return np.degrees(np.arctan2(sine, np.sum(a * b, axis=-1)))


# -- feet


def contacts(toes: Array, fps: float) -> Array:
    """(T, 2) whether a toe (T, 2, 3) stands: it is slow and low, and stays so for a while."""
    step = np.linalg.norm(np.diff(toes, axis=0), axis=-1) * fps
    speed = np.maximum(np.vstack([step[:1], step]), np.vstack([step, step[-1:]]))
    height = toes[..., 2] - np.percentile(toes[..., 2], 2)
    stands = (speed < CONTACT_SPEED) & (height < CONTACT_HEIGHT)
    for side in stands.T:
        edges = np.flatnonzero(np.diff(np.concatenate([[False], side, [False]])))
        for begin, end in edges.reshape(-1, 2):
            side[begin:end] &= end - begin >= CONTACT_SECONDS * fps
    return stands


def standing_toes(shown: Shown, joints: Array) -> tuple[Array, Array, Array]:
    """Balls of the feet as shown (T, 2, 3), whether they stand in the motion (T, 2), and their
    heights at rest (2,)."""
    balls = [ball_of(shown, side) for side in "lr"]
    source = np.stack([joints[:, JOINT_OF[f"{side}_toe"]] for side in "lr"], axis=1)
    stands = contacts(source, shown.fps)
    return np.stack([ball for ball, _ in balls], axis=1), stands, np.array([z for _, z in balls])


def ball_of(shown: Shown, side: str) -> tuple[Array, float]:
    """(T, 3) and its height at rest. Without a toe it is the point of the foot where ours is."""
    foot, toe = f"{side}_foot", f"{side}_toe"
    if toe in shown.heads:
        return shown.heads[toe], float(shown.rest[toe][2])
    front = rotation.normalized(np.cross(_across(shown.rest) * (1.0, 1.0, 0.0), UP))
    ours = REST[JOINT_OF[toe]] - REST[JOINT_OF[foot]]
    sole = size_of(shown) * (-ours[1] * front + ours[2] * UP)
    turn = rotation.multiply(shown.axes[foot], rotation.inverse(shown.rest_axes[foot]))
    return shown.heads[foot] + rotation.rotate(turn, sole), float((shown.rest[foot] + sole)[2])


def skate(shown: Shown, joints: Array) -> float:
    """cm/s, mean speed over the floor of standing toes, as large as we are."""
    toes, stands, _ = standing_toes(shown, joints)
    speed = np.linalg.norm(np.diff(toes[..., :2], axis=0), axis=-1) * shown.fps / size_of(shown)
    both = stands[1:] & stands[:-1]
    return 100.0 * float(speed[both].mean()) if both.any() else 0.0


def toe_heights(shown: Shown, joints: Array) -> tuple[float, float]:
    """mm, lowest and median height over the floor of standing toes, as large as we are."""
    toes, stands, rest = standing_toes(shown, joints)
    height = 1000.0 * (toes[..., 2] - rest) / size_of(shown)
    if not stands.any():
        return 0.0, 0.0
    return float(height.min()), float(np.median(height[stands]))


def size_of(shown: Shown) -> float:
    """Length of thighs and shins next to ours."""
    ours = {role: REST[joint] for role, joint in JOINT_OF.items()}

    def legs(rest: dict[str, Array]) -> float:
        return sum(
            float(np.linalg.norm(rest[f"{side}_{below}"] - rest[f"{side}_{part}"]))
            for side in "lr"
            for part, below in (("thigh", "shin"), ("shin", "foot"))
        )

    return legs(shown.rest) / legs(ours)


# -- smoothness


def excess_twist(shown: Shown) -> float:
    """Degrees per frame by which a limb turns more than its direction does."""
    most = 0.0
    for pair in LIMBS:
        if all(role in shown.heads for role in pair):
            axes, way = shown.axes[pair[0]], _directions(shown.heads, pair)
            turned = degrees_apart(axes[1:], axes[:-1])
            most = max(most, float((turned - _degrees_between(way[1:], way[:-1])).max()))
    return most


def jerk_ratio(shown: Shown, joints: Array) -> float:
    """The third difference of knees and the middle of the hips, next to the motion's own."""
    source = as_heads(joints)

    def jerk(heads: Heads) -> list[float]:
        paths = [heads["l_shin"], heads["r_shin"], (heads["l_thigh"] + heads["r_thigh"]) / 2]
        return [float(np.linalg.norm(np.diff(path, n=3, axis=0), axis=-1).mean()) for path in paths]

    ratios = np.array(jerk(shown.heads)) / (size_of(shown) * np.array(jerk(source)))
    return float(ratios.max())


def stretch(shown: Shown) -> float:
    """Largest relative change of a limb's length from its rest."""
    most = 0.0
    for start, end in LIMBS:
        if start in shown.heads and end in shown.heads:
            length = np.linalg.norm(shown.heads[end] - shown.heads[start], axis=-1)
            rest = np.linalg.norm(shown.rest[end] - shown.rest[start])
            most = max(most, float(np.abs(length / rest - 1.0).max()))
    return most


def detour(at_keys: Shown, between: Shown) -> float:
    """Degrees that a bone turns too far on its way from key to key, half way seen in `between`."""
    most = 0.0
    for role, axes in at_keys.axes.items():
        middle = between.axes[role]
        there = degrees_apart(axes[:-1], middle) + degrees_apart(middle, axes[1:])
        most = max(most, float((there - degrees_apart(axes[:-1], axes[1:])).max()))
    return most


def degrees_apart(a: Array, b: Array) -> Array:
    """Angle between rotations (..., 4)."""
    apart = rotation.multiply(rotation.inverse(a), b)
    return np.degrees(2.0 * np.arctan2(np.linalg.norm(apart[..., 1:], axis=-1), abs(apart[..., 0])))


# -- there and back


def joint_error(found: Array, joints: Array) -> float:
    """mm, mean over joints and frames, after one shift along the floor and one turn about the
    vertical. (T, 22, 3) both."""
    ours, theirs = (each - each[:, :1].mean(axis=0) * (1.0, 1.0, 0.0) for each in (joints, found))
    turned = rotation.rotate(_best_yaw(ours.reshape(-1, 3), theirs.reshape(-1, 3)), ours)
    return 1000.0 * float(np.linalg.norm(turned - theirs, axis=-1).mean())


@dataclass(frozen=True, kw_only=True)
class Measures:
    """Of one motion on one rig. Lengths as if the rig were as large as our own character."""

    limbs: float  # degrees, most, without planted feet
    heading: float  # degrees
    legs_mean: float  # degrees that planting turns the legs away
    legs_most: float
    joints_back: float  # mm, motion -> rig -> motion
    bones_back: float  # degrees, rig -> motion -> rig, without hands, feet and head
    hips_back: float  # mm, the same
    contact: float  # share of the time that a foot stands, as the motion has it
    skate: float  # cm/s
    lowest: float  # mm over the floor
    median: float  # mm over the floor, in contact
    twist: float  # degrees per frame
    jerk: float  # ratio, without planted feet
    jerk_planted: float  # ratio
    stretch: float  # ratio
    detour: float  # degrees between keys


def limits(is_whole: bool) -> dict[str, tuple[float, float]]:
    """The least and the most that each measure may be; `is_whole`: the rig has all roles."""
    return {
        "limbs": (0.0, 0.05),
        "heading": (0.0, 0.1),
        "legs_mean": (0.0, 5.0),
        "legs_most": (0.0, 20.0),
        "joints_back": (0.0, 0.1 if is_whole else 5.0),
        "bones_back": (0.0, 0.1),
        "hips_back": (0.0, 0.1),
        "contact": (0.2, 1.0),  # with less the next three would say little
        "skate": (0.0, 1.5),  # resampled; 0.5 at 20 fps
        "lowest": (-3.0, 1000.0),
        "median": (-3.0, 5.0),
        "twist": (-360.0, 25.0),
        "jerk": (0.0, 1.25),
        "jerk_planted": (0.0, 1.6),  # a foot that stops dead is felt in the knee
        "stretch": (0.0, 1e-4),
        "detour": (-1.0, 1.0),
    }


WIDER: dict[str, dict[str, float]] = {
    "long legs, small feet": {"legs_mean": 6.5},
    "short legs, large feet": {"jerk_planted": 1.9},
    "Rigify human": {"legs_mean": 5.5, "joints_back": 17.0, "bones_back": 3.5},
    "kaykit_knight.glb": {"legs_mean": 11.5, "legs_most": 32.0, "jerk": 1.4, "jerk_planted": 2.4},
}
"""Legs and feet of other proportions bend other knees when a heel rises or the hips give; a foot
nearly as long as the shin (KayKit) much more so. Rigify's lower trunk
turns about other places than its bones do."""


def shortfalls(
    measures: Measures, is_whole: bool = True, wider: dict[str, float] | None = None
) -> list[str]:
    """What misses its limit, in words. `wider`: the most that some measures may be instead."""
    allowed = limits(is_whole)
    for name, most in (wider or {}).items():
        allowed[name] = allowed[name][0], most
    return [
        f"{name} is {getattr(measures, name):.4g}, not {low:g} to {high:g}"
        for name, (low, high) in allowed.items()
        if not low <= getattr(measures, name) <= high
    ]
