"""F-curves in bulk: whole channels at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .actions import ensure_group
from .key_array import KEY, Keys

Array = NDArray[np.floating]

LINEAR = 1  # of FCurve keyframe interpolation
GENERATED = 5  # of keyframe type: lets animators select what was made by a model


def write_channels(
    channels: Any,
    data_path: str,
    group: str,
    frames: NDArray,
    values: Array,
    indices: Sequence[int] | None = None,
) -> None:
    """One new F-curve per column of `values` (T, C): linear keys of type GENERATED at `frames`.

    `indices` are the columns that are written, all of them if None.
    """
    for index in range(values.shape[1]) if indices is None else indices:
        curve = channels.fcurves.new(data_path, index=index)
        curve.group = ensure_group(channels, group)
        points = curve.keyframe_points
        points.add(len(frames))
        co = np.column_stack([frames, values[:, index]]).astype(np.float32)
        points.foreach_set("co", co.ravel())
        points.foreach_set("interpolation", np.full(len(frames), LINEAR, dtype=np.int32))
        points.foreach_set("type", np.full(len(frames), GENERATED, dtype=np.int32))
        curve.update()


def write_constant(
    channels: Any,
    data_path: str,
    group: str,
    frame: int,
    value: Sequence[float],
    indices: Sequence[int] | None = None,
) -> None:
    """One key per channel: it holds on all frames."""
    write_channels(
        channels, data_path, group, np.array([frame]), np.array([value], dtype=float), indices
    )


def read_channels(channels: Any, data_path: str) -> tuple[Array, Array]:
    """Keys of all F-curves of a path: frames (T,) and values (T, C).

    Raises ValueError when the curves do not share their frames, or there are none.
    """
    curves = sorted(
        (curve for curve in channels.fcurves if curve.data_path == data_path),
        key=lambda curve: curve.array_index,
    )
    keys = [np.empty((len(curve.keyframe_points), 2), np.float32) for curve in curves]
    for curve, co in zip(curves, keys, strict=True):
        curve.keyframe_points.foreach_get("co", co.reshape(-1))
    if not keys or any(not np.array_equal(co[:, 0], keys[0][:, 0]) for co in keys):
        raise ValueError(f"The F-curves of {data_path} have no frames in common.")
    return keys[0][:, 0], np.stack([co[:, 1] for co in keys], axis=-1)


def read_keys(curve: Any) -> Keys:
    """All keys of an F-curve, (N,)."""
    keys = np.zeros(len(curve.keyframe_points), KEY)
    for name in KEY.names or ():
        column = np.ascontiguousarray(keys[name])
        curve.keyframe_points.foreach_get(name, column.reshape(-1))
        keys[name] = column
    return keys


def write_keys(curve: Any, keys: Keys) -> None:
    """Replace all keys of an F-curve. Handles come as they are: Blender computes none anew."""
    points = curve.keyframe_points
    points.clear()
    points.add(len(keys))
    for name in KEY.names or ():
        points.foreach_set(name, np.ascontiguousarray(keys[name]).reshape(-1))
