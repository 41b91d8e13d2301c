"""A BVH file -> joint names, rest offsets and, per frame, positions and rotations of all joints."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_runtime.training.layouts import DataError
from momask_blender.contract import rotation

Array = NDArray[np.floating]

AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
END = "End Site"  # a joint without channels


@dataclass(frozen=True)
class Bvh:
    """Axes and unit of length are the file's own."""

    names: list[str]
    parents: list[int]  # -1 for roots; a parent comes before its children
    offsets: Array  # (J, 3) from the parent, rotations zero
    positions: Array  # (T, J, 3)
    rotations: Array  # (T, J, 4) accumulated from the root, w first
    fps: float

    def rest(self) -> Array:
        """(J, 3) joints with all rotations zero, roots at their offset."""
        joints = self.offsets.copy()
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                joints[joint] += joints[parent]
        return joints


@dataclass
class _Hierarchy:
    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[list[str]] = field(default_factory=list)


def read_bvh(file: Path) -> Bvh:
    """Raises DataError that names the file and what is wrong with it."""
    try:
        words = file.read_text(encoding="utf-8-sig", errors="replace").split()
        start = words.index("MOTION")
        hierarchy = _read_hierarchy(words[:start])
        fps, values = _read_motion(words[start:], sum(map(len, hierarchy.channels)))
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror}.") from error
    except (ValueError, IndexError) as error:
        raise DataError(f"{file} is not a complete BVH file: {error}.") from error
    if not np.isfinite(values).all():
        raise DataError(f"{file} holds numbers that are not finite.")
    offsets = np.array(hierarchy.offsets)
    positions, rotations = _pose(hierarchy, offsets, values)
    return Bvh(hierarchy.names, hierarchy.parents, offsets, positions, rotations, fps)


def _read_hierarchy(words: list[str]) -> _Hierarchy:
    found, open_joints, at = _Hierarchy(), list[int](), 0
    while at < len(words):
        word = words[at]
        if word in ("ROOT", "JOINT", "End"):
            brace = words.index("{", at)
            found.names.append(END if word == "End" else " ".join(words[at + 1 : brace]))
            found.parents.append(open_joints[-1] if open_joints else -1)
            found.offsets.append([0.0, 0.0, 0.0])
            found.channels.append([])
            open_joints.append(len(found.names) - 1)
            at = brace + 1
        elif word == "OFFSET":
            found.offsets[open_joints[-1]] = [float(value) for value in words[at + 1 : at + 4]]
            at += 4
        elif word == "CHANNELS":
            count = int(words[at + 1])
            channels = [name.lower() for name in words[at + 2 : at + 2 + count]]
            found.channels[open_joints[-1]] = [_checked_channel(name) for name in channels]
            at += 2 + count
        else:
            if word == "}":
                open_joints.pop()
            at += 1
    if not found.names or open_joints:
        raise ValueError("its hierarchy is cut off")
    return found


def _checked_channel(name: str) -> str:
    if name[:1] not in AXES or name[1:] not in ("position", "rotation"):
        raise ValueError(f"it has a channel '{name}'")
    return name


def _read_motion(words: list[str], num_channels: int) -> tuple[float, Array]:
    """-> frames per second and the channels (T, C)."""
    num_frames = int(words[words.index("Frames:") + 1])
    at = words.index("Time:") + 1
    step = float(words[at])
    if not 0.0 < step < 1.0:
        raise ValueError(f"its frame time is {step}")
    values = np.array(words[at + 1 :], dtype=float)
    if num_frames < 1 or len(values) != num_frames * num_channels:
        raise ValueError(
            f"{num_frames} frames of {num_channels} channels are announced, "
            f"but {len(values)} numbers follow"
        )
    return _frame_rate(step), values.reshape(num_frames, num_channels)


def _frame_rate(step: float) -> float:
    """Whole where the file rounded its frame time: .0083333 is 120 fps, 0.0333667 stays 29.97."""
    rate = 1.0 / step
    return float(round(rate)) if abs(rate - round(rate)) < 2e-4 * rate else rate


def _pose(hierarchy: _Hierarchy, offsets: Array, values: Array) -> tuple[Array, Array]:
    """Forward kinematics of all frames -> (T, J, 3) and (T, J, 4)."""
    num_frames, num_joints = len(values), len(offsets)
    positions = np.empty((num_frames, num_joints, 3))
    rotations = np.empty((num_frames, num_joints, 4))
    first = 0
    for joint, channels in enumerate(hierarchy.channels):
        columns = values[:, first : first + len(channels)]
        first += len(channels)
        offset, turn = _local(offsets[joint], channels, columns)
        parent = hierarchy.parents[joint]
        if parent >= 0:
            offset = positions[:, parent] + rotation.rotate(rotations[:, parent], offset)
            turn = rotation.multiply(rotations[:, parent], turn)
        positions[:, joint], rotations[:, joint] = offset, turn
    return positions, rotations


def _local(offset: Array, channels: list[str], columns: Array) -> tuple[Array, Array]:
    """Translation (T, 3) and rotation (T, 4); position channels replace the offset."""
    moved = np.tile(offset, (len(columns), 1))
    turn = np.tile(rotation.IDENTITY, (len(columns), 1))
    for name, column in zip(channels, columns.T, strict=True):
        if name.endswith("position"):
            moved[:, "xyz".index(name[0])] = column
        else:
            turn = rotation.multiply(turn, rotation.about_axis(AXES[name[0]], np.radians(column)))
    return moved, turn
