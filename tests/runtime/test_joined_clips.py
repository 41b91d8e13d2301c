"""Clips joined to longer and to two-part training examples."""

import numpy as np
import pytest
from runtime.tiny_training import walk

from model_runtime.features import COLUMNS, features_to_joints
from model_runtime.training import compose, data
from model_runtime.training.layouts import Clip
from model_runtime.training.recipe import DataRecipe
from momask_blender.contract.skeleton import MAX_FRAMES

STEP = 0.05  # metres per frame


def example(kind: str, num_frames: int = 60, speed: float = STEP) -> compose.Example:
    features = data.clip_features(walk(num_frames, speed))
    return compose.Example(features, (f"a person {kind}",), kind, 1.0)


def test_a_joined_clip_goes_on_without_a_jump():
    first, second = example("walks").features, example("walks").features
    seam = compose.find_seam(first, second)
    whole = features_to_joints(compose.joined(first, second, seam))
    assert len(whole) == seam.leave + len(second) - seam.enter
    steps = np.diff(whole[:, 0, 2])
    assert steps == pytest.approx(np.full(len(steps), STEP), abs=0.003)
    assert np.abs(np.diff(whole[:, 20], axis=0)).max() < 0.1


def test_the_seam_is_where_both_are_most_alike():
    first = example("stands", 60, 0.0).features
    second = np.concatenate([first[:15] + 0.5, first[15:]])  # unlike at its beginning
    seam = compose.find_seam(first, second)
    assert seam.enter >= 15
    assert seam.gap < 0.1


def test_prolonged_clips_show_the_same_for_longer():
    made = compose.prolonged([example("walks"), example("stands", 60, 0.0)], 20, seed=0)
    assert made
    for each in made:
        assert 60 < len(each.features) <= MAX_FRAMES
        travel = features_to_joints(each.features)[-1, 0, 2]
        speed = STEP if each.kind == "walks" else 0.0
        assert travel == pytest.approx(speed * len(each.features), abs=0.1)


def test_counted_actions_are_not_prolonged():
    once = compose.Example(example("x").features, ("a person jumps once",), "x", 1.0)
    assert compose.prolonged([once], 10, seed=0) == []


def test_what_is_over_soon_ends_in_standing_still():
    jumping = example("jumps straight up", speed=0.0)
    examples = [jumping, example("stands still", speed=0.0), example("walks")]
    made = compose.settled(examples, 10, seed=0)
    assert made
    for each in made:
        assert each.kind == "jumps straight up"
        assert each.captions == jumping.captions
        assert len(jumping.features) <= len(each.features) <= MAX_FRAMES
    assert compose.settled(examples[::2], 10, seed=0) == []  # nobody stands still


def test_two_parts_are_said_and_shown_in_order():
    walking, standing = example("walks", speed=0.03), example("stands", speed=0.0)
    made = compose.two_part([walking, standing], 30, seed=0)
    assert {each.kind for each in made} == {"walks > stands", "stands > walks"}
    for each in made:
        height = features_to_joints(each.features)[:, 0, 2]
        half = len(height) // 2
        moved_first, moved_second = height[half] - height[0], height[-1] - height[half]
        assert (moved_first > moved_second) == (each.kind == "walks > stands")
        first, second = each.kind.split(" > ")
        assert all(text.startswith(f"a person {first}") for text in each.captions)
        assert all(text.endswith(second) for text in each.captions)
        assert len(set(each.captions)) == 3


def test_unlike_actions_are_not_joined():
    low = example("crouches").features.copy()
    low[:, COLUMNS["positions"]] += 0.6
    crouching = compose.Example(low, ("a person crouches",), "crouches", 1.0)
    assert compose.two_part([example("walks"), crouching], 20, seed=0) == []


def test_joined_motions_have_their_shares_of_the_draws():
    clips = [
        Clip(name, walk(60, speed), (f"a person {name}",), name)
        for name, speed in (("walks", 0.03), ("stands", 0.0))
    ]
    recipe = DataRecipe(
        speeds=(1.0,), prolonged=8, two_part=8, prolonged_share=0.5, two_part_share=0.25
    )
    plain = sum(motion.weight for motion in data.training_motions(clips, recipe))
    joined = sum(motion.weight for motion in data.joined_motions(clips, recipe))
    assert joined == pytest.approx(0.75 * plain)


def test_rare_actions_are_drawn_more_than_their_frames():
    clips = [Clip(str(n), walk(100), ("a person dances",), "dance") for n in range(9)]
    clips.append(Clip("rare", walk(100), ("a person hops",), "dance"))
    weights = data.weights(clips, DataRecipe())
    assert weights[-1] == pytest.approx(3.0 * weights[0])


def test_a_family_can_be_drawn_less():
    clips = [Clip(name, walk(100), ("a person moves",), name) for name in ("climb", "walk")]
    climbing, walking = data.weights(clips, DataRecipe(family_weights={"climb": 0.3}))
    assert climbing == pytest.approx(0.3 * walking)
