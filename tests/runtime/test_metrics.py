"""The published metrics: the official values, and what must hold of any."""

import json

import numpy as np
import pytest

from model_runtime.evaluation.metrics import (
    diversity,
    draw_pairs,
    fid,
    interval,
    mpjpe,
    multimodal_distance,
    multimodality,
    num_diversity_pairs,
    r_precision,
)


@pytest.fixture(scope="module")
def official(shared):
    return json.loads((shared / "fixtures/golden/metrics.json").read_text())["values"]


@pytest.fixture(scope="module")
def given(golden):
    return golden("metrics")


def test_fid_is_the_official_one(given, official):
    truth, predicted = given["motion_gt"], given["motion_pred"]
    assert fid(truth, predicted) == pytest.approx(official["fid_pred_vs_gt"], rel=1e-5)
    assert fid(truth[:200], predicted[:200]) == pytest.approx(official["fid_first_200"], rel=1e-5)
    assert fid(truth, truth) == pytest.approx(0.0, abs=1e-10)


def test_fid_of_fewer_motions_than_dimensions_is_the_official_one(given, official):
    few = fid(given["motion_gt"][:15], given["motion_pred"][:15])
    assert few == pytest.approx(official["fid_rank_deficient_15_samples"], rel=1e-4)


def test_matching_is_the_official_one(given, official):
    text, motion = given["text"][:384], given["motion_gt"][:384]
    assert r_precision(text, motion).tolist() == official["r_precision_top123"]
    distance = multimodal_distance(text, motion)
    assert distance == pytest.approx(official["mm_dist_trace"], rel=1e-5)


def test_variety_is_the_official_one(given, official):
    pairs = given["diversity_first"], given["diversity_second"]
    assert diversity(given["motion_gt"], pairs) == pytest.approx(official["diversity_300"], 1e-5)
    pairs = given["multimodality_first"], given["multimodality_second"]
    measured = multimodality(given["multimodality_embeddings"], pairs)
    assert measured == pytest.approx(official["multimodality_10"], rel=1e-5)


def test_mpjpe_is_the_official_one(given):
    measured = mpjpe(given["mpjpe_pred"], given["mpjpe_gt"])
    assert np.allclose(measured, given["mpjpe"], rtol=1e-5)


def test_fid_of_a_shifted_copy_is_the_square_of_the_shift():
    rng = np.random.default_rng(0)
    points, shift = rng.normal(size=(200, 8)), rng.normal(size=8)
    assert fid(points + shift, points) == pytest.approx(shift @ shift, rel=1e-9)


def test_fid_of_a_scaled_copy_is_known_in_closed_form():
    points = np.random.default_rng(1).normal(size=(500, 1))
    spread = points.std(ddof=1)
    points -= points.mean()
    assert fid(3.0 * points, points) == pytest.approx((2.0 * spread) ** 2, rel=1e-9)


def test_a_motion_equal_to_its_text_is_always_found():
    rows = np.random.default_rng(2).normal(size=(70, 4))
    assert r_precision(rows, rows).tolist() == [1.0, 1.0, 1.0]
    assert r_precision(rows, -rows)[0] < 0.2


def test_mpjpe_does_not_see_where_the_root_is():
    joints = np.random.default_rng(3).normal(size=(5, 22, 3))
    assert np.allclose(mpjpe(joints + 7.0, joints), 0.0)
    moved = joints.copy()
    moved[:, 21] += (0.22, 0.0, 0.0)
    assert np.allclose(mpjpe(moved, joints), 0.01)


def test_pairs_and_intervals():
    first, second = draw_pairs(np.random.default_rng(4), 50, 50)
    assert sorted(first) == sorted(second) == list(range(50))
    assert [num_diversity_pairs(n) for n in (20, 300, 301)] == [20, 100, 300]
    assert interval([1.0, 3.0] * 2).half_width == pytest.approx(1.96 / 2)
    with pytest.raises(ValueError, match="5 pairs"):
        draw_pairs(np.random.default_rng(5), 4, 5)
    with pytest.raises(ValueError, match="32 motions"):
        r_precision(np.zeros((31, 2)), np.zeros((31, 2)))
