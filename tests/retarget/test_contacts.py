"""When feet stand on the floor."""

import numpy as np
import pytest

from momask_blender.contract import rotation
from momask_blender.contract.pose import Pose
from momask_blender.contract.skeleton import NUM_JOINTS
from momask_blender.retarget.contacts import FootTrack, find_contacts, runs_of, track_pose
from momask_blender.retarget.rest_turns import REST

RATES = (20.0, 24.0, 30.0, 60.0, 120.0)


def track(balls: np.ndarray, turns: np.ndarray | None = None) -> FootTrack:
    """Of one flat foot, (T, 3)."""
    balls = balls[:, None]
    if turns is None:
        turns = np.broadcast_to(rotation.IDENTITY, (len(balls), 4))
    return FootTrack(balls, balls, turns[:, None])


def step(fps: float, height: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Seconds (T,) and a ball (T, 3) that stands for half a second, steps 0.6 m, stands again."""
    seconds = np.arange(round(1.4 * fps)) / fps
    share = np.clip((seconds - 0.5) / 0.4, 0.0, 1.0)
    forward = -0.6 * share * share * (3.0 - 2.0 * share)
    up = 0.1 * np.sin(np.pi * share) ** 2
    return seconds, np.column_stack([np.zeros_like(seconds), forward, up + height])


def seconds_of(flags: np.ndarray, fps: float) -> list[tuple[float, float]]:
    return [(start / fps, end / fps) for start, end in runs_of(flags)]


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("height", [-0.02, 0.0, 0.02])
def test_a_step_is_found_at_any_frame_rate_and_height_of_the_floor(fps, height):
    _, balls = step(fps, height)
    found = seconds_of(find_contacts(track(balls), fps).balls[:, 0], fps)
    assert len(found) == 2
    np.testing.assert_allclose(found, [(0.0, 0.5), (0.9, 1.4)], atol=0.08)


def test_a_slow_foot_in_the_air_does_not_stand():
    balls = np.zeros((60, 3))
    balls[20:40, 2] = 0.12
    assert find_contacts(track(balls), 20.0).balls[:, 0][22:38].sum() == 0


def test_one_noisy_frame_does_not_end_a_step_and_a_touch_is_none():
    _, balls = step(60.0)
    balls[15, 0] += 0.012
    assert len(runs_of(find_contacts(track(balls), 60.0).balls[:, 0])) == 2
    time = np.arange(60) / 60.0
    touch = np.column_stack([2.0 * time, 0.0 * time, 3.0 * np.abs(time - 0.5)])
    assert not find_contacts(track(touch), 60.0).balls.any()


def test_a_foot_that_creeps_away_is_put_down_anew():
    slow = np.zeros((200, 3))
    slow[:, 1] = 0.15 * np.arange(200) / 20.0  # 1.5 m in ten seconds
    flags = find_contacts(track(slow), 20.0).balls[:, 0]
    runs = runs_of(flags)
    assert len(runs) > 3
    assert max(np.ptp(slow[start:end, 1]) for start, end in runs) < 0.3


def test_a_sole_that_does_not_face_the_floor_does_not_stand_on_it():
    turns = np.tile(rotation.about_axis((1.0, 0.0, 0.0), np.array(np.pi / 2)), (40, 1))
    kneeling = find_contacts(track(np.zeros((40, 3)), turns), 20.0)
    assert not kneeling.balls.any()
    raised = np.tile(rotation.about_axis((1.0, 0.0, 0.0), np.radians(50.0)), (40, 1))
    on_toes = find_contacts(track(np.zeros((40, 3)), raised), 20.0)
    assert on_toes.balls.all()
    assert not on_toes.flat.any()


def test_a_flat_foot_that_pivots_is_put_down_anew():
    yaw = np.radians(30.0) * np.arange(60) / 20.0
    turns = rotation.about_axis((0.0, 0.0, 1.0), yaw)
    contacts = find_contacts(track(np.zeros((60, 3)), turns), 20.0)
    assert contacts.balls.all()
    assert len(runs_of(contacts.flat[:, 0])) > 1


def test_strict_finds_what_is_less_sure():
    quick = np.zeros((40, 3))
    quick[:, 1] = 0.35 * np.arange(40) / 20.0
    assert not find_contacts(track(quick), 20.0).balls.any()
    assert find_contacts(track(quick), 20.0, strict=True).balls.any()


def test_the_skeleton_at_rest_stands_on_both_flat_feet():
    pose = Pose(np.tile(REST[0], (20, 1)), np.tile(rotation.IDENTITY, (20, NUM_JOINTS, 1)))
    standing = track_pose(pose)
    np.testing.assert_allclose(standing.balls[..., 2], 0.0, atol=1e-9)
    np.testing.assert_allclose(standing.ankles[..., 2], 0.0, atol=1e-9)
    assert find_contacts(standing, 20.0).flat.all()
