"""Training on legs of one clip and the upper body of another."""

import numpy as np
import pytest
import torch
from runtime.tiny_training import walk

from model_runtime.features import features_to_joints, joints_to_features
from model_runtime.training.mixed_bodies import UPPER, mix_bodies, with_upper_body
from momask_blender.contract.skeleton import INDEX, JOINTS

LEGS = [joint for joint in range(1, 22) if joint not in UPPER]


def clip(speed: float, seed: int, lift: float) -> np.ndarray:
    """Features of somebody who glides and waves, at another height of the pelvis."""
    joints = walk(speed=speed, seed=seed)
    joints[..., 1] -= joints[..., 1].min()
    joints[:, [0, *UPPER], 1] += lift
    return joints_to_features(joints)


def test_the_upper_body_is_spine_head_and_arms():
    assert {JOINTS[joint] for joint in LEGS} == {
        f"{side}_{name}" for side in ("left", "right") for name in ("hip", "knee", "ankle", "foot")
    }


def test_legs_and_path_stay_and_the_upper_body_moves_with_the_pelvis():
    one, other = clip(0.05, 0, 0.0), clip(0.0, 1, -0.1)
    mixed = with_upper_body(torch.from_numpy(one)[None], torch.from_numpy(other)[None])[0].numpy()
    got, legs, upper = (features_to_joints(each) for each in (mixed, one, other))
    assert got[:, [0, *LEGS]] == pytest.approx(legs[:, [0, *LEGS]], abs=1e-6)
    beside = got[:, UPPER] - got[:, :1]
    assert beside == pytest.approx(upper[:, UPPER] - upper[:, :1], abs=1e-5)
    wrist = INDEX["left_wrist"]
    assert np.abs(got[:, wrist, 1] - legs[:, wrist, 1]).max() > 0.05  # it does wave otherwise


def test_features_are_those_of_the_mixed_joints():
    one, other = clip(0.05, 0, 0.0), clip(0.02, 1, 0.0)
    mixed = with_upper_body(torch.from_numpy(one)[None], torch.from_numpy(other)[None])[0].numpy()
    again = joints_to_features(features_to_joints(mixed))
    assert mixed[: len(again)] == pytest.approx(again, abs=5e-3)


def test_a_share_of_the_batch_is_mixed():
    normed = torch.randn(10, 8, 263)
    mean, std = torch.zeros(263), torch.ones(263)
    mixed = mix_bodies(normed, 0.45, mean, std, torch.Generator().manual_seed(0))
    same = [torch.equal(before, after) for before, after in zip(normed, mixed, strict=True)]
    assert all(same[4:]) and not all(same[:4])
    assert torch.equal(mix_bodies(normed, 0.1, mean, std, torch.Generator()), normed)
