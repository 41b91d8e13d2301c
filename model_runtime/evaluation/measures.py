"""Measures of motion that need no learned judge, from joints (T, 22, 3) at 20 fps (NumPy only).

Model axes: +Y up, floor at y = 0, metres. Each is to be read beside the same measure of the data:
real clips slide, float and shake a little too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_runtime.evaluation.metrics import mpjpe
from momask_blender.contract import rotation
from momask_blender.contract.skeleton import FPS, INDEX, PARENTS

Array = NDArray[np.floating]
Clips = Sequence[Array]
Tokens = NDArray[np.int64]

TOES = [INDEX["left_foot"], INDEX["right_foot"]]
CONTACT_HEIGHT = 0.05  # metres above the floor; planted toes of the mocap set are below 0.04
CONTACT_RISE = 0.2 / FPS  # metres per frame; a toe that leaves or lands moves faster
SLIDE = 0.025  # metres per frame
FLOATING_HEIGHT = 0.05  # of the lowest joint
STILL_SPEED = 0.004  # m/s; the stillest second of the mocap set has 0.008
EXPLODED_SPEED = 20.0  # m/s; its fastest joint has 11.8
EXPLODED_BONES = 25.0  # percent
WINDOW_FRAMES = 40  # two seconds
WINDOW_STEP = 20  # between the windows of a judged clip
UP = (0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Plausibility:
    """Measures of a set of clips, each over all its frames."""

    skate: float  # cm/s, mean horizontal speed of toes in contact
    slide_share: float  # of the contact steps, faster than 2.5 cm per frame
    contact_share: float  # of all steps of both toes
    penetration: float  # cm, mean depth of the lowest joint under the floor
    deepest: float  # cm
    floating_share: float  # of the frames, with no joint within 5 cm of the floor
    jerk: float  # m/s^3, mean over joints
    bone_variation: float  # percent, standard deviation of a bone's length in its clip
    path_acceleration: float  # m/s^2, root mean square, of the pelvis over the floor


def plausibility(clips: Clips) -> Plausibility:
    """All measures of Plausibility. Clips of at least 4 frames."""
    skate, slide_share, contact_share = skating(clips)
    lowest = np.concatenate([clip[..., 1].min(axis=1) for clip in clips])
    depth = 100.0 * np.maximum(0.0, -lowest)
    return Plausibility(
        skate=skate,
        slide_share=slide_share,
        contact_share=contact_share,
        penetration=float(depth.mean()),
        deepest=float(depth.max()),
        floating_share=float((lowest > FLOATING_HEIGHT).mean()),
        jerk=jerk(clips),
        bone_variation=float(np.mean([bone_variation(clip) for clip in clips])),
        path_acceleration=path_acceleration(clips),
    )


def contact_steps(joints: Array) -> NDArray[np.bool_]:
    """Which steps of which toe are in contact, (T - 1, 2).

    A toe touches while it is lower than 5 cm before and after the step and rises or sinks by less
    than 0.2 m/s.
    """
    height = joints[:, TOES, 1]
    low = np.maximum(height[1:], height[:-1]) < CONTACT_HEIGHT
    return low & (np.abs(np.diff(height, axis=0)) < CONTACT_RISE)


def skating(clips: Clips) -> tuple[float, float, float]:
    """Speed in contact (cm/s), share of the contact steps that slide, share of steps in contact."""
    slides, touching = [], []
    for joints in clips:
        step = np.diff(joints[:, TOES], axis=0)
        touching.append(contact_steps(joints))
        slides.append(np.hypot(step[..., 0], step[..., 2])[touching[-1]])
    slid, share = np.concatenate(slides), np.concatenate(touching).mean()
    if not slid.size:
        return 0.0, 0.0, 0.0
    return float(100.0 * FPS * slid.mean()), float((slid > SLIDE).mean()), float(share)


def jerk(clips: Clips) -> float:
    """Mean size of the third derivative of all joints, m/s^3."""
    thirds = [np.linalg.norm(np.diff(clip, n=3, axis=0), axis=-1).ravel() for clip in clips]
    return float(FPS**3 * np.concatenate(thirds).mean())


def bone_variation(joints: Array) -> float:
    """Standard deviation of each bone's length over time, in percent of it; mean over bones."""
    lengths = np.linalg.norm(joints[:, 1:] - joints[:, PARENTS[1:]], axis=-1)
    return float(100.0 * (lengths.std(axis=0) / np.maximum(lengths.mean(axis=0), 1e-6)).mean())


def path_acceleration(clips: Clips) -> float:
    """Root mean square of the pelvis' horizontal acceleration, m/s^2: how rough its path is."""
    seconds = [np.diff(clip[:, 0, [0, 2]], n=2, axis=0) for clip in clips]
    squares = np.square(np.concatenate(seconds)).sum(axis=-1)
    return float(FPS**2 * np.sqrt(squares.mean()))


def is_frozen(joints: Array) -> bool:
    """Whether all joints stand still for a second: mean speed below 4 mm/s."""
    speeds = FPS * np.linalg.norm(np.diff(joints, axis=0), axis=-1).mean(axis=1)
    over_second = np.convolve(speeds, np.full(FPS, 1.0 / FPS), mode="valid")
    return bool((over_second < STILL_SPEED).any())


def is_exploded(joints: Array) -> bool:
    """Whether a joint is no number, outruns 20 m/s, or bones stretch by a quarter."""
    if not np.isfinite(joints).all():
        return True
    fastest = FPS * np.linalg.norm(np.diff(joints, axis=0), axis=-1).max()
    return bool(fastest > EXPLODED_SPEED or bone_variation(joints) > EXPLODED_BONES)


@dataclass(frozen=True)
class TokenUse:
    """How one codebook is used."""

    perplexity: float  # 2 to the entropy: as if so many codes were used equally often
    used_share: float  # of the codes, at least once


def token_use(clips: Sequence[Tokens], num_codes: int) -> list[TokenUse]:
    """tokens (N, Q) of each clip -> one TokenUse per codebook; ABSENT ones are left out."""
    tokens = np.concatenate(clips)
    uses = []
    for layer in tokens.T:
        counts = np.bincount(layer[layer >= 0], minlength=num_codes)
        shares = counts[counts > 0] / max(counts.sum(), 1)
        perplexity = 2.0 ** float(-(shares * np.log2(shares)).sum())
        uses.append(TokenUse(perplexity, float((counts > 0).mean())))
    return uses


def headings(joints: Array) -> Array:
    """Yaw of each frame about +Y, 0 at +Z and left positive. (T, 22, 3) -> (T,), not unwrapped.

    The body faces across x up, where across points to its left over hips and shoulders.
    """
    across = joints[:, INDEX["left_hip"]] - joints[:, INDEX["right_hip"]]
    across = across + joints[:, INDEX["left_shoulder"]] - joints[:, INDEX["right_shoulder"]]
    return np.arctan2(-across[:, 2], across[:, 0])


def facing_forward(joints: Array) -> Array:
    """Every frame turned to +Z about its root, which is put at the origin. (T, 22, 3)."""
    turn = rotation.about_axis(UP, -headings(joints))
    return rotation.rotate(turn[:, None], joints - joints[:, :1])


@dataclass(frozen=True)
class Reconstruction:
    """How far decoded clips are from the clips that were encoded. All of them means."""

    root_aligned: float  # mm, the paper's MPJPE
    heading_aligned: float  # mm, also without each frame's error of heading
    drift: float  # cm, of the root over the floor at the end of a clip
    path_error: float  # cm, of the root over the floor at any frame


def reconstruction(decoded: Clips, truth: Clips) -> Reconstruction:
    """Pairs of clips (T, 22, 3) that start over the same place. Frames count alike, but for drift
    clips do."""
    pairs = list(zip(decoded, truth, strict=True))
    aligned = [mpjpe(ours, theirs) for ours, theirs in pairs]
    faced = [mpjpe(facing_forward(ours), facing_forward(theirs)) for ours, theirs in pairs]
    away = [np.linalg.norm((ours - theirs)[:, 0, [0, 2]], axis=-1) for ours, theirs in pairs]
    return Reconstruction(
        root_aligned=float(1000.0 * np.concatenate(aligned).mean()),
        heading_aligned=float(1000.0 * np.concatenate(faced).mean()),
        drift=float(100.0 * np.mean([path[-1] for path in away])),
        path_error=float(100.0 * np.concatenate(away).mean()),
    )


@dataclass(frozen=True)
class Windows:
    """Two-second windows as vectors: over the floor as complex x + iz about their mean, and up."""

    flat: NDArray[np.complexfloating]  # (n, 40 * 22)
    height: Array  # (n, 40 * 22)

    @classmethod
    def of(cls, joints: Array, step: int = 1) -> "Windows":
        """All windows of a clip (T, 22, 3) that begin every `step` frames; none of a short one."""
        starts = np.arange(0, len(joints) - WINDOW_FRAMES + 1, step)
        frames = joints[starts[:, None] + np.arange(WINDOW_FRAMES)].astype(np.float32)
        flat = (frames[..., 0] + 1j * frames[..., 2]).reshape(len(starts), -1)
        flat = flat - flat.mean(axis=1, keepdims=True)
        return cls(flat, frames[..., 1].reshape(len(starts), -1))

    def distances(self, others: "Windows") -> Array:
        """Root mean square distance of joints, (n, m), each pair turned and moved over the floor
        so that it fits best.

        With a and b complex, min over yaw of |a - e^(i yaw) b|^2 is |a|^2 + |b|^2 - 2 |<a, b>|.
        """
        flat = self._squares()[:, None] + others._squares() - 2.0 * self.height @ others.height.T
        squares = flat - 2.0 * np.abs(self.flat @ others.flat.conj().T)
        return np.sqrt(np.maximum(squares, 0.0) / self.height.shape[1])

    def _squares(self) -> Array:
        return np.square(np.abs(self.flat)).sum(axis=1) + np.square(self.height).sum(axis=1)


def nearest_training(clips: Clips, training: Clips) -> list[float]:
    """How far each clip is from what was trained on, in metres.

    Each 2 s window (one every second) is compared with all windows of the training clips; a
    clip's value is the mean over its windows. Clips of at least 40 frames. Give mirrored training
    clips too where training saw them.
    """
    own = [Windows.of(clip, WINDOW_STEP) for clip in clips]
    asked = Windows(
        *(np.concatenate([getattr(w, part) for w in own]) for part in ("flat", "height"))
    )
    nearest = np.full(len(asked.height), np.inf)
    for clip in training:
        if len(clip) >= WINDOW_FRAMES:
            nearest = np.minimum(nearest, asked.distances(Windows.of(clip)).min(axis=1))
    stops = np.cumsum([len(windows.height) for windows in own])[:-1]
    return [float(part.mean()) for part in np.split(nearest, stops)]


def window_error(decoded: Clips, truth: Clips) -> float:
    """The tokenizer's own error in the measure of `nearest_training`: mean over windows, metres."""
    errors = [
        np.diagonal(Windows.of(ours, WINDOW_STEP).distances(Windows.of(theirs, WINDOW_STEP)))
        for ours, theirs in zip(decoded, truth, strict=True)
    ]
    return float(np.concatenate(errors).mean())
