"""The keys of one F-curve as an array: cut and joined without a change outside the gap. No bpy.

Cutting a Bezier segment keeps its shape (de Casteljau), as Blender would draw it.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Keys = NDArray[np.void]

CONSTANT, LINEAR, BEZIER = range(3)  # of Blender's interpolation; above these are easings
FREE, AUTO, VECTOR, ALIGNED, AUTO_CLAMPED = range(5)  # of Blender's handle types
GENERATED = 5  # of Blender's keyframe types

KEY = np.dtype(
    [
        ("co", np.float32, 2),
        ("handle_left", np.float32, 2),
        ("handle_right", np.float32, 2),
        ("handle_left_type", np.int32),
        ("handle_right_type", np.int32),
        ("interpolation", np.int32),
        ("type", np.int32),
        ("easing", np.int32),
        ("back", np.float32),
        ("amplitude", np.float32),
        ("period", np.float32),
        ("select_control_point", np.bool_),
        ("select_left_handle", np.bool_),
        ("select_right_handle", np.bool_),
    ]
)
"""Named as the properties of Blender's `Keyframe`."""

MADE_BY_BLENDER = (AUTO, AUTO_CLAMPED, VECTOR)  # handles that it moves when a neighbour changes
SAME_FRAME = 1e-3  # two keys cannot be nearer


def plain_keys(frames: NDArray, values: Array, interpolation: int = LINEAR) -> Keys:
    """Keys (N,) of type GENERATED; their handles lie a third of a frame away, at rest."""
    keys = np.zeros(len(frames), KEY)
    keys["co"] = np.column_stack([frames, values])
    keys["handle_left"] = keys["co"] - (1.0 / 3.0, 0.0)
    keys["handle_right"] = keys["co"] + (1.0 / 3.0, 0.0)
    keys["handle_left_type"] = keys["handle_right_type"] = FREE
    keys["interpolation"], keys["type"] = interpolation, GENERATED
    keys["amplitude"], keys["period"], keys["back"] = 0.8, 4.1, 1.70158  # Blender's own
    return keys


def up_to(keys: Keys, frame: int, values: Array) -> Keys:
    """The part that shows frames until `frame`, ending in a key there.

    `values` are what the curve shows at `first..frame`, the whole frames after the last key that
    is kept: they are keyed one by one where no single key keeps the shape.
    """
    kept = keys[keys["co"][:, 0] < frame + SAME_FRAME].copy()
    rest = keys[len(kept) :]
    if len(kept) and abs(kept[-1]["co"][0] - frame) < SAME_FRAME:
        return _settled(kept, -1)
    if not len(kept) or not len(rest):
        return np.concatenate([kept, plain_keys([frame], values[-1:])])
    segment = kept[-1]
    if segment["interpolation"] == BEZIER:
        return _cut(kept, rest[0], frame, keeps_left=True)
    if segment["interpolation"] in (CONSTANT, LINEAR):
        return np.concatenate([kept, plain_keys([frame], values[-1:])])
    frames = np.arange(int(np.floor(segment["co"][0])) + 1, frame + 1)
    kept[-1]["interpolation"] = LINEAR
    return np.concatenate([kept, plain_keys(frames, values[-len(frames) :])])


def beginning_at(keys: Keys, frame: int, values: Array) -> Keys:
    """The part that shows frames from `frame` on, beginning with a key there.

    `values` are what the curve shows at `frame..last`, the whole frames before the first key that
    is kept.
    """
    kept = keys[keys["co"][:, 0] > frame - SAME_FRAME].copy()
    before = keys[: len(keys) - len(kept)]
    if len(kept) and abs(kept[0]["co"][0] - frame) < SAME_FRAME:
        return _settled(kept, 0)
    if not len(kept) or not len(before):
        return np.concatenate([plain_keys([frame], values[:1]), kept])
    segment = before[-1]
    if segment["interpolation"] == BEZIER:
        return _cut(np.append(segment, kept), kept[0], frame, keeps_left=False)
    if segment["interpolation"] in (CONSTANT, LINEAR):
        added = plain_keys([frame], values[:1], int(segment["interpolation"]))
        return np.concatenate([added, kept])
    frames = np.arange(frame, int(np.ceil(kept[0]["co"][0])))
    return np.concatenate([plain_keys(frames, values[: len(frames)]), kept])


def _settled(keys: Keys, edge: int) -> Keys:
    """Handles at the edge that Blender would move with their new neighbour stay where they are."""
    for side in ("handle_left_type", "handle_right_type"):
        if keys[edge][side] in MADE_BY_BLENDER:
            keys[side][edge] = FREE
    return keys


def _cut(keys: Keys, last: Keys, frame: int, keeps_left: bool) -> Keys:
    """A key at `frame` in the Bezier segment that begins with the last of `keys`, or with the first
    where the right part is kept."""
    first = keys[-1] if keeps_left else keys[0]
    p = segment_points(first, last)
    share = _share_at(p[:, 0], frame)
    q = p[:-1] + share * np.diff(p, axis=0)
    r = q[:-1] + share * np.diff(q, axis=0)
    point = r[0] + share * (r[1] - r[0])
    added = plain_keys([frame], point[1:], BEZIER)
    if keeps_left:
        keys["handle_right"][-1] = q[0]
        _settled(keys, -1)
        added["handle_left"], added["interpolation"] = r[0], LINEAR
        return np.concatenate([keys, added])
    kept = keys[1:].copy()
    kept["handle_left"][0] = q[2]
    _settled(kept, 0)
    added["handle_right"] = r[1]
    return np.concatenate([added, kept])


def segment_points(first: Keys, last: Keys) -> Array:
    """(4, 2) control points, handles shortened as Blender does where they would turn back."""
    p = np.array([first["co"], first["handle_right"], last["handle_left"], last["co"]], float)
    length = p[3, 0] - p[0, 0]
    for key, handle in ((0, 1), (3, 2)):
        reach = abs(p[handle, 0] - p[key, 0])
        if reach > length:
            p[handle] = p[key] + (p[handle] - p[key]) * length / reach
    return p


def _share_at(x: Array, frame: float) -> float:
    """Where on the cubic (4,) it reaches `frame`; it runs forward only."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        rest = 1.0 - middle
        weights = (rest**3, 3 * rest**2 * middle, 3 * rest * middle**2, middle**3)
        low, high = (middle, high) if np.dot(weights, x) < frame else (low, middle)
    return 0.5 * (low + high)


def spliced(
    keys: Keys,
    new: Keys,
    before: tuple[int, Array] | None,
    after: tuple[int, Array] | None,
) -> Keys:
    """`new` in place of whatever lies between two edges; outside them the curve shows the same.

    `before` is the last frame that is kept and what the curve shows at the whole frames up to it,
    `after` the first one and what it shows from there on (see `up_to` and `beginning_at`); None
    where nothing is kept on that side.
    """
    parts = [new]
    if before is not None:
        parts.insert(0, up_to(keys, *before))
    if after is not None:
        parts.append(beginning_at(keys, *after))
    return np.concatenate(parts)
