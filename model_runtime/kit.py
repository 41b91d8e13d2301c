"""KIT-ML's motions on our skeleton: 21 joints at 12.5 fps in millimetres -> 22 at 20 fps in metres.

The joints are those of the Master Motor Map: pelvis, spine and thorax, lower and upper neck, arms,
legs down to the ball of the foot, toes. Ours has one joint more in the spine, and collars: they are
placed between their neighbours as in our rest pose. The upper neck stands for our head.
"""

import numpy as np
from numpy.typing import NDArray

from model_runtime.features import features_to_joints
from momask_blender.contract.resample import catmull_rom
from momask_blender.contract.skeleton import FPS, INDEX, NUM_JOINTS, REST_JOINTS

Array = NDArray[np.floating]

KIT_FPS = 12.5
NUM_KIT_FEATURES = 251

TRUNK = {"pelvis": 0, "spine1": 1, "spine3": 2, "neck": 3, "head": 4}
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "foot")
# Of LIMBS. Which is left is measured: what the release says of it contradicts itself.
FIRST_SIDE = (5, 6, 7, 11, 12, 13, 14)
SECOND_SIDE = (8, 9, 10, 16, 17, 18, 19)

# Joint that KIT lacks -> the joints that it is placed between, the first being the origin.
PLACED = {
    "spine2": ("spine1", "spine3"),
    "left_collar": ("spine3", "neck", "left_shoulder"),
    "right_collar": ("spine3", "neck", "right_shoulder"),
}


def kit_to_joints(features: Array, mean: Array) -> Array:
    """features (T, 251) at 12.5 fps -> joints (T, 22, 3) at 12.5 fps; our axes, our leg length.

    `mean` (251,), the model's own, tells which way its bodies face, and so which side is which.
    """
    joints = features_to_joints(features)
    average = features_to_joints(mean[None])[0]
    if _faces_backward(average):
        joints, average = joints * (-1.0, 1.0, -1.0), average * (-1.0, 1.0, -1.0)
    ours = np.empty((len(joints), NUM_JOINTS, 3))
    for name, index in (TRUNK | _sides(average)).items():
        ours[:, INDEX[name]] = joints[:, index]
    for name, between in PLACED.items():
        ours[:, INDEX[name]] = _placed(ours, name, between)
    return ours * (_leg_length(REST_JOINTS[None]) / max(_leg_length(ours), 1e-6))


def at_our_rate(joints: Array, num_frames: int) -> Array:
    """joints (T, 22, 3) at 12.5 fps -> (num_frames, 22, 3) at 20 fps."""
    times = np.arange(num_frames) * (KIT_FPS / FPS)
    return catmull_rom(joints, np.minimum(times, len(joints) - 1))


def _faces_backward(average: Array) -> bool:
    """Whether toes point to -Z. average (21, 3) is in the facing frame."""
    balls, ankles = (average[[FIRST_SIDE[k], SECOND_SIDE[k]]] for k in (-1, -2))
    return float((balls - ankles)[:, 2].sum()) < 0.0


def _sides(average: Array) -> dict[str, int]:
    """Which of KIT's joints are left: those at +X of a body that faces +Z."""
    is_left = average[FIRST_SIDE[3], 0] > average[SECOND_SIDE[3], 0]
    left, right = (FIRST_SIDE, SECOND_SIDE) if is_left else (SECOND_SIDE, FIRST_SIDE)
    names = [f"{side}_{limb}" for side in ("left", "right") for limb in LIMBS]
    return dict(zip(names, (*left, *right), strict=True))


def _placed(joints: Array, name: str, between: tuple[str, ...]) -> Array:
    """Where a joint lies between others, in the proportions of our rest pose. -> (T, 3)."""
    origin, *others = (INDEX[each] for each in between)
    spans = (REST_JOINTS[others] - REST_JOINTS[origin]).T  # (3, n)
    shares = np.linalg.lstsq(spans, REST_JOINTS[INDEX[name]] - REST_JOINTS[origin], rcond=None)[0]
    return joints[:, origin] + np.einsum(
        "n,tnc->tc", shares, joints[:, others] - joints[:, [origin]]
    )


def _leg_length(joints: Array) -> float:
    """Median over time of thigh and shin, mean of both sides. joints (T, 22, 3)."""
    bones = {"hip": "knee", "knee": "ankle"}
    lengths = [
        np.linalg.norm(
            joints[:, INDEX[f"{side}_{end}"]] - joints[:, INDEX[f"{side}_{start}"]], axis=-1
        )
        for side in ("left", "right")
        for start, end in bones.items()
    ]
    return float(np.median(np.sum(lengths, axis=0)) / 2.0)
