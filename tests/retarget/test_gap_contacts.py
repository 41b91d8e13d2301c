"""Feet in filled gaps stand where the model put them down and where kept frames have them."""

import numpy as np
import pytest
from skeletons import skeleton

from momask_blender.contract import rotation
from momask_blender.retarget.contacts import FootTrack
from momask_blender.retarget.feet import _lifted, _locked
from momask_blender.retarget.gap_contacts import contacts_in_gap
from momask_blender.retarget.legs import legs_of
from momask_blender.rig.driven import driven_bones

FPS = 30.0
KEPT = np.ones(120, bool)
KEPT[30:90] = False


def standing(travel: np.ndarray) -> FootTrack:
    """Both feet on the floor, moved by `travel` (T, 3)."""
    feet = np.tile(travel[:, None], (1, 2, 1))
    return FootTrack(feet, feet, np.tile(rotation.IDENTITY, (*feet.shape[:2], 1)))


def drifting(metres: float) -> np.ndarray:
    """Still while kept, on the way in the gap."""
    share = np.clip((np.arange(len(KEPT)) - 29) / 61.0, 0.0, 1.0)
    return metres * share[:, None] * (1.0, 0.0, 0.0)


def test_feet_that_stand_in_what_was_made_stand_although_the_fill_moves_them():
    still = standing(np.zeros((len(KEPT), 3)))
    contacts = contacts_in_gap(standing(drifting(0.015)), still, KEPT, FPS, False)
    assert contacts.balls.all()


def test_a_foot_between_two_kept_places_takes_one_step():
    still = standing(np.zeros((len(KEPT), 3)))
    contacts = contacts_in_gap(standing(drifting(0.15)), still, KEPT, FPS, False)
    lifted = ~contacts.balls
    assert (lifted.sum(axis=0) == 12).all()
    assert not lifted.all(axis=1).any(), "one foot stands"


def test_a_foot_that_moves_at_a_seam_does_not_stand_at_once():
    moving = standing(np.cumsum(np.where(np.arange(120) < 30, 0.03, 0.0))[:, None] * (1.0, 0, 0))
    contacts = contacts_in_gap(moving, standing(np.zeros((120, 3))), KEPT, FPS, False)
    assert not contacts.balls[30:38].any()
    assert contacts.balls[45:90].all()


def test_a_foot_that_stands_on_from_kept_frames_keeps_its_place():
    balls = standing(drifting(0.1)).balls
    stands = np.ones((len(KEPT), 2), bool)
    stands[60:] = False
    locked = _locked(balls, stands, KEPT, np.zeros(2), FPS)
    np.testing.assert_allclose(locked[:60], np.zeros((60, 2, 3)), atol=1e-12)
    np.testing.assert_array_equal(locked[KEPT], balls[KEPT])


@pytest.mark.parametrize("lifts_at", [86, 89])
def test_a_foot_that_steps_just_before_a_seam_has_time_for_it(lifts_at):
    way = np.where(np.arange(len(KEPT)) > lifts_at, 0.25, 0.0)[:, None] * (1.0, 0.0, 0.0)
    contacts = contacts_in_gap(standing(way), standing(way), KEPT, FPS, False)
    for side in (0, 1):
        moving = np.flatnonzero(~contacts.balls[:, side] & ~KEPT)
        np.testing.assert_array_equal(moving, np.arange(moving[0], moving[-1] + 1))
        assert len(moving) >= 10, "0.4 s, kept frames at its end among them"


def test_a_foot_that_steps_in_a_gap_leaves_the_floor_and_comes_back_smoothly():
    legs = legs_of(driven_bones(*skeleton()))
    balls = np.zeros((len(KEPT), 2, 3)) + (legs.ankles + legs.soles)
    stands = np.ones((len(KEPT), 2), bool)
    stands[40:52, 0] = False
    balls[46:, 0, :2] += 0.3
    lifted = _lifted(legs, balls, stands, KEPT, 0.0) - balls
    assert lifted[45:47, 0, 2].min() > 0.03
    assert not lifted[stands].any()
    assert np.abs(np.diff(lifted[..., 2], 2, axis=0))[[38, 51]].max() < 0.003
