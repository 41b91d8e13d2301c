"""What is kept and what is made."""

import pytest

from momask_blender.errors import UserError
from momask_blender.timeline.ranges import Frames, gap_around, gaps_between

WHOLE = Frames(1, 100)


@pytest.mark.parametrize(
    ("kept", "gaps"),
    [
        ([(1, 20), (81, 100)], [(21, 80)]),
        ([(30, 40)], [(1, 29), (41, 100)]),
        ([(1, 1)], [(2, 100)]),
        ([(90, 120), (-5, 10), (8, 20)], [(21, 89)]),
        ([(1, 50), (60, 60), (70, 100)], [(51, 59), (61, 69)]),
    ],
)
def test_everything_that_is_not_kept_is_made(kept, gaps):
    found = gaps_between([Frames(*each) for each in kept], WHOLE)
    assert found == [Frames(*each) for each in gaps]


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ([], "No frames are kept"),
        ([(20, 10)], "ends before it begins"),
        ([(101, 120)], "101 to 120 lie outside the animation, frames 1 to 100"),
        ([(-9, 0)], "lie outside"),
        ([(1, 60), (61, 100)], "All frames 1 to 100 are kept"),
    ],
)
def test_ranges_that_say_nothing_are_refused_in_words(kept, message):
    with pytest.raises(UserError, match=message):
        gaps_between([Frames(*each) for each in kept], WHOLE)


def test_the_gap_around_the_playhead_lies_between_two_keys():
    assert gap_around(15, [1, 10, 30]) == Frames(11, 29)
    assert gap_around(10, [1, 10, 30]) == Frames(11, 29)
    assert gap_around(30, [1, 10, 30, 40]) == Frames(31, 39)
    for frame, keyed in ((15, [1, 10]), (5, []), (10, [10, 11])):
        with pytest.raises(UserError):
            gap_around(frame, keyed)
