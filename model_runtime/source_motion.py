"""Reads the motion whose gaps are to be filled. What lies in the gaps does not matter."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from model_runtime.gap_turns import CIRCLE, UP, whole_turns
from momask_blender.contract import rotation
from momask_blender.contract.kept_ranges import Range, kept_frames
from momask_blender.contract.pose import (
    Pose,
    leg_length,
    pose_to_joints,
    solve_pose,
    to_local,
    to_world,
)
from momask_blender.contract.seams import (
    FADE_SECONDS,
    Gap,
    find_gaps,
    interpolate_positions,
    interpolate_rotations,
    join_positions,
)
from momask_blender.contract.skeleton import FPS, INDEX, NUM_JOINTS, REST_JOINTS

Array = NDArray[np.floating]
Kept = NDArray[np.bool_]

SHORTEST_THIGH, LONGEST_THIGH = 0.1, 1.5  # metres: a child, a giant; other joints are no metres
FADE_FRAMES = FADE_SECONDS * FPS


@dataclass(frozen=True)
class SourceMotion:
    """A motion at 20 fps, model axes: rigid segments, and the joints as they were given."""

    pose: Pose
    joints: Array  # (T, 22, 3)
    is_kept: Kept  # (T,)


def read_source(file: Path, ranges: tuple[Range, ...]) -> SourceMotion:
    """A `.npz` with the root and rotations of a pose, with joints, or with both.

    Raises ValueError that names the file and says what is wrong with it.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise ValueError(f"There is no file {file}.") from None
    except (OSError, ValueError, EOFError, AttributeError, BadZipFile) as error:
        raise ValueError(f"{file} is no .npz file of arrays: {error}") from error
    try:
        return _source(arrays, ranges)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _source(arrays: Mapping[str, Array], ranges: tuple[Range, ...]) -> SourceMotion:
    if float(arrays.get("fps", np.array(FPS))) != FPS:
        raise ValueError(f"The motion must be at {FPS} frames per second.")
    pose_is_there = "root" in arrays and "rotations" in arrays
    if not pose_is_there and "joints" not in arrays:
        raise ValueError("The file has neither 'joints' nor 'root' and 'rotations'.")
    num_frames = len(arrays["root"] if pose_is_there else arrays["joints"])
    is_kept = kept_frames(ranges, num_frames)
    pose = _read_pose(arrays, is_kept) if pose_is_there else None
    if "joints" in arrays:
        joints = _read_joints(arrays, is_kept)
        return SourceMotion(pose or solve_pose(joints), joints, is_kept)
    assert pose
    return SourceMotion(pose, pose_to_joints(pose), is_kept)


def _read_pose(arrays: Mapping[str, Array], is_kept: Kept) -> Pose:
    root = _read(arrays, "root", (3,), is_kept)
    rotations = _read(arrays, "rotations", (NUM_JOINTS, 4), is_kept)
    lengths = np.linalg.norm(rotations, axis=-1)[is_kept]
    if np.abs(lengths - 1.0).max() > 0.01:
        raise ValueError("'rotations' are not unit quaternions.")
    return interpolate_pose(Pose(root, rotation.normalized(rotations)), is_kept)


def _read_joints(arrays: Mapping[str, Array], is_kept: Kept) -> Array:
    joints = _read(arrays, "joints", (NUM_JOINTS, 3), is_kept)
    thighs = joints[:, INDEX["left_knee"]] - joints[:, INDEX["left_hip"]]
    thigh = float(np.median(np.linalg.norm(thighs[is_kept], axis=-1)))
    if not SHORTEST_THIGH <= thigh <= LONGEST_THIGH:
        raise ValueError(f"The thighs are {thigh:.3g} m long. Joints must be given in metres.")
    return interpolate_positions(joints, is_kept, FADE_FRAMES)


def _read(arrays: Mapping[str, Array], name: str, shape: tuple[int, ...], is_kept: Kept) -> Array:
    """One array with its frames, checked where it is kept. Raises ValueError."""
    values = arrays[name]
    if values.dtype.kind not in "fiu" or values.shape != (len(is_kept), *shape):
        wanted = ", ".join(["frames", *map(str, shape)])
        raise ValueError(f"'{name}' must be numbers of shape ({wanted}), got {values.shape}.")
    wrong = ~np.isfinite(values).reshape(len(values), -1).all(axis=1) & is_kept
    if wrong.any():
        frame = int(wrong.argmax())
        raise ValueError(f"'{name}' has values that are no numbers, first at frame {frame}.")
    return values.astype(float)


def interpolate_pose(source: Pose, is_kept: Kept, more_turns: int = 0) -> Pose:
    """The kept frames with the plainest motion between them, joint by joint. Who spins goes on the
    same way; in every gap the body turns `more_turns` times more about +Y."""
    local = to_local(source.rotations)
    pelvis = local[:, :1].copy()
    local = interpolate_rotations(local, is_kept, FADE_FRAMES)
    for gap in find_gaps(is_kept):
        if turns := whole_turns(source.rotations, is_kept, gap) + more_turns:
            around = gap.surroundings
            spun = _spun(pelvis[around], is_kept[around], gap.seen_from(around), turns)
            local[gap.frames, :1] = spun[gap.seen_from(around).frames]
    rotations = np.where(is_kept[:, None, None], source.rotations, to_world(local))
    root = interpolate_positions(source.root, is_kept, FADE_FRAMES)
    return Pose(root, rotation.continuous(rotations))


def _spun(kept: Array, is_kept: Kept, gap: Gap, turns: int) -> Array:
    """Rotations (T, ..., 4) of one gap, interpolated as seen from where the turns are no motion."""
    share = (np.arange(len(kept)) - gap.start + 1.0) / (gap.num_frames + 1.0)
    spin = rotation.about_axis(UP, CIRCLE * turns * share).reshape(-1, *[1] * (kept.ndim - 2), 4)
    seen = rotation.multiply(rotation.inverse(spin), kept)
    return rotation.multiply(spin, interpolate_rotations(seen, is_kept, FADE_FRAMES))


def filled_arrays(source: SourceMotion, pose: Pose) -> dict[str, NDArray]:
    """What a file says of a filled motion; its joints are exactly the given ones where kept.

    In the gaps they are those of the pose on the source's own size; how the source's bones differ
    from the skeleton's is carried across.
    """
    size = leg_length(source.joints[source.is_kept]) / leg_length(REST_JOINTS[None])
    joints = join_positions(
        size * pose_to_joints(pose), source.joints, source.is_kept, FADE_FRAMES, carry=True
    )
    return {
        "joints": joints.astype(np.float32),
        "joints_rig": pose_to_joints(pose).astype(np.float32),
        "root": pose.root.astype(np.float32),
        "rotations": pose.rotations.astype(np.float32),
        "kept": source.is_kept,
    }


def as_made(made: Pose) -> dict[str, NDArray]:
    """What a file says of a fill before it was moved and joined: where its feet stand still."""
    return {
        "made_root": made.root.astype(np.float32),
        "made_rotations": made.rotations.astype(np.float32),
    }
