"""Prompts of several actions one after the other."""

import numpy as np
import pytest

from model_runtime.backends import open_networks
from model_runtime.parts import (
    MOST_PARTS,
    SHORTEST,
    Led,
    part_shares,
    predict_by_parts,
    seen_from,
    split_prompt,
    stretches,
)
from model_runtime.pipeline import as_condition, generate, read_prompt
from model_runtime.weights_folder import find_weights

WALKS_OFF = "a person walks off"
SITS, TAKES_A_SEAT = "a person sits down", "a person takes a seat"


@pytest.fixture(scope="module")
def starter():
    return open_networks(find_weights("starter"), "cpu")


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        (
            "a person walks forward, then sits down",
            ["a person walks forward", "a person sits down"],
        ),
        ("stand still and then jump", ["stand still", "jump"]),
        ("He runs. Then he stops.", ["He runs", "he stops"]),
        ("a man waves, after that she bows", ["a man waves", "she bows"]),
        (
            "walks in, then turns, and finally sits",
            ["walks in", "a person turns", "a person sits down"],
        ),
        ("he stretches before running away", ["he stretches", "running away"]),
        ("After the jump, he walks off", ["the jump", "he walks off"]),
        ("He walks to a chair. He sits down.", ["He walks forward", "He sits down"]),
        ("she walks over to the bench and sits", ["she walks forward", "a person sits down"]),
        ("A man walks slowly to his desk and sits down", ["A man walks slowly to his desk", SITS]),
        ("goes back to the old sofa and plops down", ["walks forward", "a person plops down"]),
        ("walk to the chair and sit down", ["walk forward", "sit down"]),
        ("walks around the chair and takes a seat", ["walks around the chair", TAKES_A_SEAT]),
        (
            "a person walks forward, stops, and waves",
            ["a person walks forward", "a person stops", "a person waves"],
        ),
        ("Once she has risen from it, she waves", ["she has risen from it", "she waves"]),
        ("Walk to the chair. Sit down.", ["Walk forward", "Sit down"]),
        ("he walks to a bar stool and sits", ["he walks forward", f"{SITS} on a bar stool"]),
        ("nods his head, then sits down", ["nods his head", "a person sits down"]),
        ("lets go, then sits down", ["lets go", "a person sits down"]),
        ("go over to the sofa and sit down", ["walks forward", "sit down"]),
        ("a man enters and sits down", ["a man walks forward", "a person sits down"]),
        ("he stands up and stretches", ["he stands up", "a person stretches"]),
        ("a man walks and after this he sits", ["a man walks forward", "he sits down"]),
        ("he sits, then sits in silence", ["he sits", "a person sits in silence"]),
        ("he runs, jumps and kicks", ["he runs", "a person jumps", "a person kicks"]),
        ("he runs up to the ball and kicks it", ["he runs up to the ball", "a person kicks it"]),
        ("First do squats, next do jumping jacks", ["do squats", "do jumping jacks"]),
        ("she gets up from her desk and walks off", ["she gets up from her desk", WALKS_OFF]),
        ("walks backwards, then forwards", ["walks backwards", "a person walks forwards"]),
        ("Strafe left, then to the right", ["Strafe left", "strafe to the right"]),
        ("a man walks slowly, then faster", ["a man walks slowly", "a person walks faster"]),
        ("hop left, then right, then forward", ["hop left", "hop right", "hop forward"]),
        ("jumps, then right away sits", ["jumps", "right away sits"]),
        ("he runs and stands still", ["he runs", "a person stands still"]),
        ("After climbing the stairs the cook goes on", ["climbing the stairs", "the cook goes on"]),
        (
            "after jogging in the park she stops and stands still",
            ["jogging in the park", "she stops and stands still"],
        ),
    ],
)
def test_actions_are_found_in_their_order(prompt, parts):
    assert split_prompt(prompt) == parts


@pytest.mark.parametrize(
    "prompt",
    [
        "a person walks forward",
        "a person walks and waves",
        "a person walks next to a wall",
        "A tired walk. He is old.",
        "He waits for the bus. It rains.",
        "standing by the door before noon",
        "after a long day he sits down",
        "after washing the dishes the boys dance",
        "a man walks to the left and right",
        "a person walks forward and waves",
        "a man sits down and drinks",
        "turns around and sits down",
        "afterwards, he runs",
        "she rises from her seat and stands there",
        "Once the phone rings, he gets up",
        "The soldier marches ahead, chest out, arms swinging",
        "he stands and swings both arms",
        ", then ".join(["jump"] * (MOST_PARTS + 1)),
        "then",
        "",
    ],
)
def test_one_action_stays_whole(prompt):
    assert split_prompt(prompt) == [prompt]


@pytest.mark.parametrize("num_tokens", [1, 3, 10, 25, 49])
@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.9, 0.1], [0.01, 0.01, 0.98], [0.25] * 4])
def test_stretches_cover_every_token_with_weights_of_one(num_tokens, shares):
    found = stretches(num_tokens, shares)
    total = np.zeros(num_tokens)
    for stretch in found:
        assert stretch.stop - stretch.start == len(stretch.weights)
        total[stretch.tokens] += stretch.weights
    assert total == pytest.approx(np.ones(num_tokens))
    if num_tokens >= SHORTEST * len(shares):
        assert len(found) == len(shares)
        assert found[0].start == 0
        assert found[-1].stop == num_tokens


def test_longer_actions_get_longer_stretches():
    first, second = stretches(40, [0.25, 0.75])
    assert first.weights.sum() == pytest.approx(10.0, abs=0.5)
    assert second.weights.sum() == pytest.approx(30.0, abs=0.5)


def test_where_a_part_is_asked_for_it_leads_and_those_at_the_ends_go_on():
    first, second = stretches(40, [0.5, 0.5], slice(10, 30))
    assert (first.start, second.stop) == (0, 40)
    assert first.weights[:10] == pytest.approx(np.ones(10))
    assert first.weights.sum() == pytest.approx(20.0, abs=0.5)
    assert second.weights[-10:] == pytest.approx(np.ones(10))


def test_a_window_sees_its_part_of_the_stretches():
    found = stretches(60, [1, 1, 1])
    cut = seen_from(slice(15, 35), found)
    assert [each.part for each in cut] == [0, 1]
    total = np.zeros(20)
    for each in cut:
        total[each.tokens] += each.weights
    assert total == pytest.approx(np.ones(20))
    last = seen_from(slice(45, 60), found)[-1]
    assert (last.part, last.stop) == (2, 15)


def test_each_part_speaks_for_its_own_tokens():
    text = np.array([[[1.0], [2.0]]])

    def predict(tokens, text, valid):
        return np.full((*valid.shape, 3), text[0, 0])

    logits = predict_by_parts(
        predict, np.zeros((1, 24), np.int64), Led(text, [stretches(24, [1, 1])])
    )
    assert logits[0, :9] == pytest.approx(np.ones((9, 3)))
    assert logits[0, 15:] == pytest.approx(np.full((9, 3), 2.0))
    assert (np.diff(logits[0, :, 0]) >= 0.0).all()


def test_the_second_action_comes_second(starter):
    condition = as_condition(read_prompt(starter, "a person stands still, then runs forward"), 3)
    motions = generate(starter, condition, [120] * 3, range(3), starter.card.sampling)
    for motion in motions:
        travel = np.linalg.norm(motion.joints[:, 0, [0, 2]], axis=-1)
        assert travel[40] < 0.3
        assert travel[-1] > 1.5


def test_a_clip_of_parts_is_the_same_alone_and_in_a_batch(starter):
    text = read_prompt(starter, "a person walks forward, then sits down")
    batch = generate(starter, as_condition(text, 2), [80] * 2, [3, 4], starter.card.sampling)
    alone = generate(starter, as_condition(text, 1), [80], [4], starter.card.sampling)
    assert np.array_equal(batch[1].tokens, alone[0].tokens)


def test_without_a_length_each_part_brings_its_own(starter):
    both = read_prompt(starter, "a person walks forward, then sits down")
    one = read_prompt(starter, "a person walks forward")
    lengths = [
        np.mean(
            [
                len(motion.joints)
                for motion in generate(
                    starter, as_condition(text, 4), [None] * 4, range(4), starter.card.sampling
                )
            ]
        )
        for text in (both, one)
    ]
    assert lengths[0] > lengths[1]


def test_shares_come_from_the_length_estimator(starter):
    shares = part_shares(starter, read_prompt(starter, "a person walks, then dances salsa").vectors)
    assert shares.sum() == pytest.approx(1.0)
    assert (shares > 0.1).all()
