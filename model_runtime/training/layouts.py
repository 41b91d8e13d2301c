"""Folders of clips and captions as they lie on disk -> clips.

Two layouts are known by their folders. Ours, which `prepare` writes and which is read strictly:
`joints/ID.npy` (T, 22, 3), `texts/ID.txt` with one `caption#tags#from#to` per line, `train.txt` and
`val.txt` with ids, and optionally `clips.csv` with a `family` per id, by which clips are weighted.
HumanML3D's, as its users have it: `new_joints/ID.npy` or, where those are absent,
`new_joint_vecs/ID.npy` (T, 263); clips that training cannot use are left out and counted.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_runtime.features import NUM_FEATURES, features_to_joints
from momask_blender.contract.skeleton import FPS, MAX_FRAMES, NUM_JOINTS

Array = NDArray[np.floating]
Report = Callable[[str], None]

MIN_FRAMES = 40  # two seconds; shorter clips say too little
HUMANML3D_MAX_FRAMES = 199  # HumanML3D's own limit; what is over ours is cut off
KIT_JOINTS, KIT_FEATURES = 21, 251


class DataError(ValueError):
    """The data folder is not what training needs; the message names the file."""


class UnusableError(DataError):
    """One clip that HumanML3D's users know to be left out; `reason` is counted."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Clip:
    name: str
    joints: Array  # (T, 22, 3) metres, +Y up
    captions: tuple[str, ...]
    family: str = ""


@dataclass(frozen=True)
class Caption:
    """What a line of `texts/ID.txt` says, about the whole clip where `stop` is 0."""

    text: str
    start: float = 0.0
    stop: float = 0.0

    @property
    def frames(self) -> slice:
        """HumanML3D cuts at whole frames, rounded down."""
        return slice(int(self.start * FPS), int(self.stop * FPS) if self.stop else None)


def read_clips(folder: Path, split: str, report: Report = print) -> list[Clip]:
    """The clips of `split`.txt. Raises DataError that names the folder or file at fault."""
    if not folder.is_dir():
        raise DataError(f"There is no data folder {folder}.")
    names_file = folder / f"{split}.txt"
    if not names_file.is_file():
        raise DataError(f"{folder} has no {split}.txt; it is not a prepared data folder.")
    names = _read_text(names_file).split()
    if not names:
        raise DataError(f"{names_file} names no clip.")
    if (folder / "joints").is_dir():
        families = _read_families(folder / "clips.csv")
        return [_read_strictly(folder, name, families.get(name, "")) for name in names]
    if (folder / "new_joints").is_dir() or (folder / "new_joint_vecs").is_dir():
        return _read_humanml3d(folder, split, names, report)
    raise DataError(f"{folder} has none of the folders joints, new_joints, new_joint_vecs.")


def read_captions(file: Path) -> list[Caption]:
    """The lines of a `caption#tags#from#to` file; tags and times may be absent."""
    captions = [_caption(line) for line in _read_text(file).splitlines()]
    captions = [caption for caption in captions if caption.text]
    if not captions:
        raise DataError(f"{file} holds no caption.")
    return captions


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not a UTF-8 text file.") from error


def _caption(line: str) -> Caption:
    text, *rest = (part.strip() for part in line.split("#"))
    start, stop = ([_seconds(value) for value in rest[1:3]] + [0.0, 0.0])[:2]
    return Caption(text, start, stop) if stop > start else Caption(text)


def _seconds(text: str) -> float:
    """Zero for what is no usable time, as HumanML3D reads its `nan`."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if np.isfinite(value) and value > 0.0 else 0.0


def _read_families(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    try:
        return {row["id"]: row["family"] for row in csv.DictReader(_read_text(file).splitlines())}
    except KeyError as error:
        raise DataError(f"{file} has no column {error}.") from error


def load_array(file: Path) -> Array:
    """Finite numbers as float64. Raises DataError that names the file."""
    try:
        array = np.load(file, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it holds several arrays")
        array = array.astype(float)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"Cannot read {file}: {error}") from error
    if not np.isfinite(array).all():
        raise UnusableError(f"{file} holds numbers that are not finite.", "with NaN")
    return array


def check_joints(joints: Array, file: Path) -> Array:
    """(T, 22, 3), of any length. Raises DataError."""
    if joints.ndim == 3 and joints.shape[1:] == (KIT_JOINTS, 3):
        raise _kit(file)
    if joints.ndim != 3 or joints.shape[1:] != (NUM_JOINTS, 3):
        raise DataError(f"{file} must hold (T, {NUM_JOINTS}, 3) joints, got {joints.shape}.")
    return joints


def _kit(file: Path) -> DataError:
    return DataError(
        f"{file} is KIT-ML data (21 joints, millimetres, 12.5 fps). Training reads 22 joints: use "
        "HumanML3D, which holds the same recordings, or your own files through `prepare`."
    )


def check_length(num_frames: int, file: Path, most: int = MAX_FRAMES) -> None:
    if not MIN_FRAMES <= num_frames <= most:
        reason = "shorter than two seconds" if num_frames < MIN_FRAMES else "too long"
        message = f"{file} has {num_frames} frames; {MIN_FRAMES} to {most} are used."
        raise UnusableError(message, reason)


def _read_strictly(folder: Path, name: str, family: str) -> Clip:
    file = folder / "joints" / f"{name}.npy"
    joints = check_joints(load_array(file), file)
    check_length(len(joints), file)
    captions = read_captions(folder / "texts" / f"{name}.txt")
    return Clip(name, joints, tuple(caption.text for caption in captions), family)


def _read_humanml3d(folder: Path, split: str, names: list[str], report: Report) -> list[Clip]:
    """What is usable of the split; the rest is counted by reason."""
    present, left_out, clips = set(names), Counter[str](), list[Clip]()
    last = DataError(f"{folder / split}.txt names only mirrored clips.")
    for name in names:
        if name.startswith("M") and name[1:] in present:
            left_out["mirror images, which training makes itself"] += 1
            continue
        try:
            clips += _humanml3d_clips(folder, name, left_out)
        except UnusableError as error:
            left_out[error.reason] += 1
            last = error
    if not clips:
        raise DataError(f"No clip of {folder / split}.txt can be used; the last one: {last}")
    if left_out:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
        report(f"{split}: {len(clips)} clips; left out: {reasons}")
    return clips


def _humanml3d_clips(folder: Path, name: str, left_out: Counter[str]) -> Iterator[Clip]:
    """The whole clip with its captions, then the part that each timed caption speaks of."""
    joints, file = _humanml3d_joints(folder, name)
    texts = folder / "texts" / f"{name}.txt"
    if not texts.is_file():
        raise UnusableError(f"There is no caption file {texts}.", "without captions")
    check_length(len(joints), file, HUMANML3D_MAX_FRAMES)
    yield from cut_by_captions(name, joints, read_captions(texts), left_out)


def cut_by_captions(
    name: str,
    joints: Array,
    captions: list[Caption],
    left_out: Counter[str],
    longest: int | None = MAX_FRAMES,
) -> Iterator[Clip]:
    """One clip for the captions without times and one for each span of those with times.

    Frames beyond `longest` are cut off.
    """
    spans: dict[tuple[float, float], list[Caption]] = {}
    for caption in captions:
        spans.setdefault((caption.start, caption.stop), []).append(caption)
    for number, spoken in enumerate(spans.values()):
        part = joints[spoken[0].frames]
        if len(part) < MIN_FRAMES:
            left_out["parts shorter than two seconds"] += 1
            continue
        label = name if not spoken[0].stop else f"{name}_{number}"
        yield Clip(label, part[:longest], tuple(caption.text for caption in spoken))


def _humanml3d_joints(folder: Path, name: str) -> tuple[Array, Path]:
    file = folder / "new_joints" / f"{name}.npy"
    if file.is_file():
        return check_joints(load_array(file), file), file
    file = folder / "new_joint_vecs" / f"{name}.npy"
    if not file.is_file():
        raise UnusableError(f"There is no file {file}.", "without a motion file")
    features = load_array(file)
    if features.ndim == 2 and features.shape[1] == KIT_FEATURES:
        raise _kit(file)
    if features.ndim != 2 or features.shape[1] != NUM_FEATURES:
        raise DataError(f"{file} must hold (T, {NUM_FEATURES}) features, got {features.shape}.")
    return features_to_joints(features), file
