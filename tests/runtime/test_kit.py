"""KIT-ML's joints become ours, whichever way its bodies face."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model_runtime.features import columns
from model_runtime.kit import (
    FIRST_SIDE,
    LIMBS,
    NUM_KIT_FEATURES,
    PLACED,
    SECOND_SIDE,
    TRUNK,
    at_our_rate,
    kit_to_joints,
)
from model_runtime.networks import WeightsError
from model_runtime.pipeline import generate
from model_runtime.sampling import Sampling
from momask_blender.contract.skeleton import FPS, INDEX, REST_JOINTS

KIT_COLUMNS = columns(21)
SIZE = 620.0  # of KIT's unit, for each of our metres


def standing(first: str, num_frames: int) -> np.ndarray:
    """Features of our T-pose as KIT would hold it: its `first` side's hip lies at -X there."""
    turned = REST_JOINTS * ((-1.0, 1.0, -1.0) if first == "left" else (1.0, 1.0, 1.0))
    kit = np.zeros((21, 3))
    for name, index in TRUNK.items():
        kit[index] = turned[INDEX[name]]
    second = "left" if first == "right" else "right"
    for side, indices in ((first, FIRST_SIDE), (second, SECOND_SIDE)):
        for limb, index in zip(LIMBS, indices, strict=True):
            kit[index] = turned[INDEX[f"{side}_{limb}"]]
    features = np.zeros((num_frames, NUM_KIT_FEATURES))
    features[:, KIT_COLUMNS["root_height"]] = SIZE * kit[0, 1]
    local = SIZE * (kit[1:] - kit[0] * (1.0, 0.0, 1.0))
    features[:, KIT_COLUMNS["positions"]] = local.ravel()
    return features


@pytest.mark.parametrize("first", ["left", "right"])
def test_a_body_keeps_its_shape_sides_and_front(first: str):
    features = standing(first, 5)
    joints = kit_to_joints(features, features[0])
    rest = REST_JOINTS - REST_JOINTS[0] * (1.0, 0.0, 1.0)
    placed = [INDEX[name] for name in PLACED]
    known = np.delete(np.arange(22), placed)
    np.testing.assert_allclose(joints[:, known], np.broadcast_to(rest, (5, 22, 3))[:, known])
    off = np.linalg.norm(joints[0, placed] - rest[placed], axis=-1)
    assert off.max() < 0.03, off  # metres


@pytest.mark.parametrize("first", ["left", "right"])
def test_walking_keeps_its_speed(first: str):
    """One metre a second of our size, to where KIT's features face."""
    features = standing(first, 26)
    features[:, KIT_COLUMNS["root_step"]] = (0.0, SIZE / 12.5)
    joints = at_our_rate(kit_to_joints(features, features.mean(axis=0)), 41)
    way = joints[-1, 0] - joints[0, 0]
    expected = 1.0 if first == "right" else -1.0  # backward, where the body faces the other way
    np.testing.assert_allclose(way, (0.0, 0.0, expected * 40 / FPS), atol=1e-6)


def test_a_clip_has_the_length_that_was_asked_for(on_each_backend: Callable[..., Any]):
    networks = on_each_backend("kit")
    text = networks.embed_text(["a person walks"]).vectors
    for length in (1, 57, 196):
        (motion,) = generate(networks, text, [length], [3], Sampling(guidance_scale=2.0))
        assert motion.joints.shape == (length, 22, 3) and np.isfinite(motion.joints_rig).all()
        assert motion.features.shape[1] == NUM_KIT_FEATURES
        assert len(motion.features) == int(np.ceil((length - 1) * 0.625)) + 1
    with pytest.raises(WeightsError, match="cannot choose a length"):
        generate(networks, text, [None], [3], Sampling())
