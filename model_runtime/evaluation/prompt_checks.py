"""Does a motion do what its prompt asks? Checks on joints that need no learned judge.

Every check takes joints (T, 22, 3) of a placed clip (metres, +Y up, facing +Z at frame 0, left +X)
and says yes or no. Thresholds are set from the training clips of the kind that is asked for.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from model_runtime.features import place_at_origin
from momask_blender.contract.skeleton import FPS, INDEX

Array = NDArray[np.floating]

ANKLES = [INDEX["left_ankle"], INDEX["right_ankle"]]
LEFT_FOOT = [INDEX["left_ankle"], INDEX["left_foot"]]
RIGHT_FOOT = [INDEX["right_ankle"], INDEX["right_foot"]]
WRISTS = [INDEX["left_wrist"], INDEX["right_wrist"]]
FEET = LEFT_FOOT + RIGHT_FOOT

STANDING_PELVIS = 0.92  # metres, of the training body; on a high stool it is at 0.85
SEATED_PELVIS = 0.87
AIRBORNE, LONGEST_FLIGHT = 0.12, 0.9  # metres, seconds; the longest jump of the data takes 0.55 s


def _root(joints: Array) -> Array:
    """Path of the pelvis on the floor, (T, 2) as left and forward, from frame 0."""
    path = joints[:, 0, [0, 2]]
    return path - path[0]


def _reach(joints: Array) -> float:
    return float(np.linalg.norm(_root(joints), axis=-1).max())


def _speed(joints: Array) -> float:
    """Metres per second along the path, smoothed over half a second."""
    smooth = _root(joints)[:: FPS // 2]
    return float(np.linalg.norm(np.diff(smooth, axis=0), axis=-1).sum() * FPS / len(joints))


def _liveliness(joints: Array) -> float:
    """Mean joint speed relative to the pelvis, metres per second."""
    local = joints - joints[:, :1]
    return float(np.linalg.norm(np.diff(local, axis=0), axis=-1).mean() * FPS)


def _turn(joints: Array) -> Array:
    """Heading (T,) in degrees, left positive, from frame 0, continuous."""
    across = joints[:, INDEX["left_hip"]] - joints[:, INDEX["right_hip"]]
    across = across + joints[:, INDEX["left_shoulder"]] - joints[:, INDEX["right_shoulder"]]
    heading = np.unwrap(np.arctan2(-across[:, 2], across[:, 0]))
    return np.degrees(heading - heading[0])


def _lift(joints: Array, feet: list[int]) -> Array:
    """Height of the lowest of `feet` above its usual one, (T,)."""
    lowest = joints[:, feet, 1].min(axis=1)
    return lowest - np.percentile(lowest, 10)


def _jumps(joints: Array) -> bool:
    """Both feet leave the floor, and never for longer than a person can fly: no hovering."""
    lift = _lift(joints, FEET)
    grounded = np.flatnonzero(np.concatenate([[True], lift < AIRBORNE, [True]]))
    longest = int(np.diff(grounded).max()) - 1
    return float(lift.max()) > 0.1 and longest < LONGEST_FLIGHT * FPS


def _strikes(joints: Array, wrist: int) -> bool:
    """The hand moves faster than 2 m/s relative to the chest."""
    local = joints[:, wrist] - joints[:, INDEX["spine3"]]
    return bool(np.linalg.norm(np.diff(local, axis=0), axis=-1).max() * FPS > 2.0)


def _to_face(joints: Array, wrist: int) -> bool:
    gap = np.linalg.norm(joints[:, wrist] - joints[:, INDEX["head"]], axis=-1)
    return bool(gap.min() < 0.3)


def _pelvis(joints: Array) -> Array:
    return joints[:, 0, 1]


def _hands_above(joints: Array, joint: str) -> bool:
    return bool((joints[:, WRISTS, 1].max(axis=1) > joints[:, INDEX[joint], 1]).any())


CHECKS: dict[str, Callable[[Array], bool]] = {
    "walks": lambda j: _reach(j) > 1.0 and 0.3 < _speed(j) < 2.2,
    "runs": lambda j: _speed(j) > 1.9,
    "walks_or_runs": lambda j: _reach(j) > 1.0 and _speed(j) > 0.3,
    "is_slow": lambda j: _speed(j) < 0.95,
    "is_brisk": lambda j: _speed(j) > 1.1,
    "goes_straight": lambda j: abs(float(_turn(j)[-1])) < 35.0,
    "goes_forward": lambda j: float(_root(j)[:, 1].max()) > 0.7,
    "goes_backward": lambda j: float(_root(j)[:, 1].min()) < -0.4,
    "goes_left": lambda j: float(_root(j)[:, 0].max()) > 0.4,
    "goes_right": lambda j: float(_root(j)[:, 0].min()) < -0.4,
    "turns_left": lambda j: float(_turn(j)[-1]) > 45.0,
    "turns_right": lambda j: float(_turn(j)[-1]) < -45.0,
    "turns": lambda j: float(np.abs(_turn(j)).max()) > 90.0,
    "stays": lambda j: _reach(j) < 0.7,
    "stays_around": lambda j: _reach(j) < 3.5,
    "is_still": lambda j: _reach(j) < 0.3 and _liveliness(j) < 0.12,
    "is_lively": lambda j: _liveliness(j) > 0.2,
    "jumps": _jumps,
    "lifts_a_foot": lambda j: (
        float(max(_lift(j, LEFT_FOOT).max(), _lift(j, RIGHT_FOOT).max())) > 0.1
    ),
    "kicks": lambda j: float((j[:, ANKLES, 1].max(axis=1)).max()) > 0.42,
    "crouches": lambda j: float(_pelvis(j).min()) < STANDING_PELVIS - 0.13,
    "is_low": lambda j: float(np.median(_pelvis(j))) < SEATED_PELVIS,
    "ends_low": lambda j: float(_pelvis(j)[-1]) < SEATED_PELVIS,
    "rises": lambda j: float(_pelvis(j)[:10].min()) < SEATED_PELVIS <= float(_pelvis(j)[-1]),
    "bends_over": lambda j: float(j[:, INDEX["head"], 1].min()) < 1.15,
    "hands_above_head": lambda j: _hands_above(j, "head"),
    "hands_above_shoulder": lambda j: _hands_above(j, "left_shoulder"),
    "right_hand_to_face": lambda j: _to_face(j, WRISTS[1]),
    "a_hand_to_face": lambda j: _to_face(j, WRISTS[0]) or _to_face(j, WRISTS[1]),
    "right_hand_strikes": lambda j: _strikes(j, WRISTS[1]),
    "hands_strike": lambda j: _strikes(j, WRISTS[0]) or _strikes(j, WRISTS[1]),
    "climbs": lambda j: float(_pelvis(j)[-10:].mean() - _pelvis(j)[:10].mean()) > 0.2,
    "descends": lambda j: float(_pelvis(j)[-10:].mean() - _pelvis(j)[:10].mean()) < -0.2,
}

HALVES = {"first": (0.0, 0.55), "second": (0.45, 1.0)}  # shares of a clip


def check_names(names: Sequence[str]) -> None:
    """Raises KeyError for a name that `holds` does not know."""
    for name in names:
        half, check = _of_half(name)
        if check not in CHECKS or half not in ("", *HALVES):
            raise KeyError(name)


def holds(name: str, joints: Array) -> bool:
    """Whether a check holds: "jumps" for the whole clip, "first jumps" for its first half, a bit
    more. Raises KeyError for an unknown name."""
    half, check = _of_half(name)
    if not half:
        return CHECKS[check](joints)
    start, stop = (round(share * len(joints)) for share in HALVES[half])
    part = joints[start:stop]
    floor = part[..., 1].min()
    return CHECKS[check](place_at_origin(part) + (0.0, floor, 0.0))


def _of_half(name: str) -> tuple[str, str]:
    half, _, check = name.rpartition(" ")
    return half, check
