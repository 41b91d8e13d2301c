"""The 22-joint skeleton: names, parents, rest pose, rates and the lengths a model accepts.

Model axes: +Y up, the body faces +Z, its left side is +X; metres. Joint order and parents are
those of HumanML3D; the rest pose is our own, measured on the training data.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

FPS = 20  # of the representation, HumanML3D and the published models
FRAMES_PER_TOKEN = 4  # two stride-2 convolutions in the encoder
MAX_FRAMES = 196  # 49 tokens, the longest clip the models are trained on
MAX_SECONDS = MAX_FRAMES / FPS

JOINTS = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
)
NUM_JOINTS = len(JOINTS)
INDEX = {name: index for index, name in enumerate(JOINTS)}
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)

MIRRORED = tuple(
    INDEX[name.replace("left", "right") if "left" in name else name.replace("right", "left")]
    for name in JOINTS
)
"""MIRRORED[j] is the joint on the other side of the body (itself on the midline)."""

# Offsets from the parent in the T-pose. Lengths are those of the training body; trunk, collar and
# foot directions are the means over its upright frames, made symmetric; limbs are straight.
_OFFSETS = {
    "left_hip": (0.0600, -0.0835, -0.0217),
    "spine1": (0.0, 0.1286, -0.0199),
    "left_knee": (0.0, -0.390, 0.0),
    "spine2": (0.0, 0.1336, 0.0432),
    "left_ankle": (0.0, -0.428, 0.0),
    "spine3": (0.0, 0.0554, 0.0084),
    "left_foot": (0.0, -0.0550, 0.1341),
    "neck": (0.0, 0.2143, -0.0136),
    "left_collar": (0.0783, 0.1163, -0.0110),
    "head": (0.0, 0.0871, 0.0549),
    "left_shoulder": (0.1190, 0.0459, -0.0096),
    "left_elbow": (0.260, 0.0, 0.0),
    "left_wrist": (0.267, 0.0, 0.0),
}


def _rest_offsets() -> Array:
    offsets = np.zeros((NUM_JOINTS, 3))
    for name, offset in _OFFSETS.items():
        offsets[INDEX[name]] = offset
        offsets[MIRRORED[INDEX[name]]] = np.array(offset) * (-1.0, 1.0, 1.0)
    return offsets


def _rest_joints() -> Array:
    joints = np.zeros((NUM_JOINTS, 3))
    for joint, parent in enumerate(PARENTS[1:], start=1):
        joints[joint] = joints[parent] + REST_OFFSETS[joint]
    return joints - (0.0, joints[:, 1].min(), 0.0)


REST_OFFSETS = _rest_offsets()
"""(22, 3) offset of each joint from its parent in the T-pose; zero for the pelvis."""

REST_JOINTS = _rest_joints()
"""(22, 3) joints of the T-pose; the lowest ones, the balls of the feet, stand on y = 0."""


def tokens_for(num_frames: int) -> int:
    """How many tokens cover `num_frames` frames; the last one may be used in part."""
    return -(-num_frames // FRAMES_PER_TOKEN)
