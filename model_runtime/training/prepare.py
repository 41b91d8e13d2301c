"""A user's motion files and captions -> the folder that `train` reads.

Motion is BVH, or `.npy`/`.npz` arrays (T, 22, 3) in metres with +Y up; in an `.npz`, `joints` and
`fps` (20 where it is absent). Captions stand in ID.txt beside ID.bvh, one a line, or in a csv file
with the columns id and caption. A line `caption##2.5#7.0` speaks of those seconds only.
"""

import csv
import hashlib
import zipfile
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_runtime.features import place_at_origin, smooth, uniform_skeleton
from model_runtime.training.bvh import read_bvh
from model_runtime.training.layouts import (
    MIN_FRAMES,
    Caption,
    Clip,
    DataError,
    Report,
    check_joints,
    cut_by_captions,
    load_array,
    read_captions,
)
from model_runtime.training.mocap_joints import LENGTHS, bvh_joints
from momask_blender.contract.resample import catmull_rom
from momask_blender.contract.skeleton import FPS, MAX_FRAMES

Array = NDArray[np.floating]

ENDINGS = (".bvh", ".npy", ".npz")
VALIDATION_SHARE = 0.1
SMOOTHING_SECONDS = 0.015  # Gaussian, -3 dB at 9 Hz: what 20 fps can hold
CALIBRATION_JUMP = 0.15  # metres that the mean joint moves from a T-pose in frame 0 to frame 1
LARGEST_STEP = 1.0  # metres that a joint moves in one frame of 20 fps: 72 km/h


@dataclass(frozen=True)
class Recording:
    """One motion file at 20 fps on our body, with what is said about it."""

    name: str
    joints: Array  # (T, 22, 3)
    captions: list[Caption]


def prepare(source: Path, out: Path, captions: Path | None, report: Report = print) -> None:
    """Write `out`/joints, texts, train.txt and val.txt. Raises DataError that names the file.

    Everything is read before anything is written, and the lists come last: a folder that has them
    is complete.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is not an empty folder. Choose another or remove it.")
    files = _motion_files(source)
    said = _read_table(captions) if captions else {}
    left_out = Counter[str]()
    clips: dict[str, list[Clip]] = {}
    for file in files:
        recording = _read_recording(file, _name(file, source), said)
        if cut := _cut(recording, left_out):
            clips[recording.name] = cut
    if not clips:
        raise DataError(f"No recording of {source} lasts {MIN_FRAMES / FPS:g} seconds.")
    train, validation = _split(clips, report)
    _write(out, train, validation)
    for reason, count in sorted(left_out.items()):
        report(f"Left out: {count} {reason}")
    report(f"{out}: {len(train)} clips to train on, {len(validation)} for validation")


def _motion_files(source: Path) -> list[Path]:
    if not source.is_dir():
        raise DataError(f"There is no folder {source}.")
    files = sorted(file for file in source.rglob("*") if file.suffix.lower() in ENDINGS)
    if not files:
        raise DataError(f"{source} holds no {', '.join(ENDINGS)} file.")
    return files


def _name(file: Path, source: Path) -> str:
    """Path below `source` as one word that can name a file and stand in a list."""
    words = "_".join(file.relative_to(source).with_suffix("").parts).split()
    return "_".join(words)


def _read_table(file: Path) -> dict[str, list[Caption]]:
    """csv rows id, caption; an id may have several."""
    try:
        rows = list(csv.reader(file.read_text(encoding="utf-8-sig").splitlines()))
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} is not a UTF-8 csv file: {error}.") from error
    said: dict[str, list[Caption]] = {}
    for number, row in enumerate(rows, start=1):
        if not row or [cell.strip().lower() for cell in row[:2]] == ["id", "caption"]:
            continue
        if len(row) < 2 or not row[1].strip():
            raise DataError(f"{file}, line {number}, has no caption beside its id.")
        said.setdefault(row[0].strip(), []).append(
            Caption(" ".join(row[1].replace("#", " ").split()))  # "#" parts a caption's fields
        )
    return said


def _read_recording(file: Path, name: str, said: dict[str, list[Caption]]) -> Recording:
    captions = said.get(file.stem) or said.get(name) or said.get(file.name)
    text = file.with_suffix(".txt")
    if captions is None:
        if not text.is_file():
            raise DataError(f"{file} has no caption: neither {text.name} beside it nor in a csv.")
        captions = read_captions(text)
    joints, fps = _read_joints(file)
    return Recording(name, _at_model_rate(joints, fps, file), captions)


def _read_joints(file: Path) -> tuple[Array, float]:
    """-> (T, 22, 3) on our body and frames per second."""
    if file.suffix.lower() == ".bvh":
        bvh = read_bvh(file)
        return bvh_joints(bvh, str(file)), bvh.fps
    joints, fps = _read_npz(file) if file.suffix.lower() == ".npz" else (load_array(file), FPS)
    return uniform_skeleton(check_joints(joints, file), LENGTHS), fps


def _read_npz(file: Path) -> tuple[Array, float]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            joints = arrays["joints"].astype(float)
            fps = float(arrays["fps"]) if "fps" in arrays else FPS
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"Cannot read 'joints' from {file}: {error}") from error
    if not np.isfinite(joints).all():
        raise DataError(f"{file} holds numbers that are not finite.")
    if not 1.0 <= fps <= 1000.0:
        raise DataError(f"{file} says {fps} frames per second.")
    return joints, fps


def _at_model_rate(joints: Array, fps: float, file: Path) -> Array:
    """20 fps, a T-pose in front dropped. (T, 22, 3) -> (T', 22, 3)."""
    if len(joints) > 2 and np.abs(joints[1] - joints[0]).mean() > CALIBRATION_JUMP:
        joints = joints[1:]
    if fps > FPS:
        flat = smooth(joints.reshape(len(joints), -1), SMOOTHING_SECONDS * fps)
        joints = flat.reshape(joints.shape)
    resampled = catmull_rom(joints, np.arange(0.0, len(joints) - 1 + 1e-6, fps / FPS))
    steps = np.linalg.norm(np.diff(resampled, axis=0), axis=-1)
    if len(steps) and steps.max() > LARGEST_STEP:
        frame = int(steps.max(axis=1).argmax())
        raise DataError(
            f"{file} jumps {steps.max():.1f} m within a frame at {frame / FPS:.1f} s. "
            "Cut it there or mend it."
        )
    return resampled


def _cut(recording: Recording, left_out: Counter[str]) -> list[Clip]:
    """Clips of 40 to 196 frames: the parts that captions name, long ones in equal pieces."""
    pieces: list[Clip] = []
    for clip in cut_by_captions(
        recording.name, recording.joints, recording.captions, left_out, longest=None
    ):
        count = -(-len(clip.joints) // MAX_FRAMES)
        bounds = np.linspace(0, len(clip.joints), count + 1).astype(int)
        for first, last in pairwise(bounds):
            name = f"{recording.name}_{len(pieces):03d}"
            pieces.append(Clip(name, place_at_origin(clip.joints[first:last]), clip.captions))
    return pieces


def _split(clips: dict[str, list[Clip]], report: Report) -> tuple[list[Clip], list[Clip]]:
    """By recording, in the order of a hash of their names: the same files, the same split."""
    names = sorted(clips, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    count = max(1, round(VALIDATION_SHARE * len(names)))
    held, kept = names[:count], names[count:]
    validation = [clip for name in sorted(held) for clip in clips[name]]
    if kept:
        return [clip for name in sorted(kept) for clip in clips[name]], validation
    report("There is one recording only: validation is part of what is trained on.")
    return validation, validation[-1:]


def _write(out: Path, train: list[Clip], validation: list[Clip]) -> None:
    for folder in ("joints", "texts"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for clip in [*train, *validation]:
        np.save(out / "joints" / f"{clip.name}.npy", clip.joints.astype(np.float32))
        lines = "".join(f"{caption}##0.0#0.0\n" for caption in clip.captions)
        (out / "texts" / f"{clip.name}.txt").write_text(lines, encoding="utf-8")
    for split, members in (("val", validation), ("train", train)):
        lines = "".join(f"{clip.name}\n" for clip in members)
        (out / f"{split}.txt").write_text(lines, encoding="utf-8")
