"""What the shipped starter model must visibly do, measured on the decoded joints."""

import json

import numpy as np
import pytest

from model_runtime.evaluation.prompt_checks import holds
from model_runtime.features import features_to_joints
from model_runtime.networks import SHIPPED_WEIGHTS, find_weights
from model_runtime.pipeline import as_condition, generate, read_prompt
from model_runtime.sampling import ABSENT
from model_runtime.torch_backend import TorchNetworks
from momask_blender.contract.skeleton import INDEX

FEET = [INDEX[f"{side}_{part}"] for side in ("left", "right") for part in ("ankle", "foot")]
SEEDS = [0, 1, 2, 3, 4]
FOUR_SECONDS = 80


@pytest.fixture(scope="module")
def starter() -> TorchNetworks:
    return TorchNetworks.open(find_weights("starter"), "cpu")


def five_takes(starter: TorchNetworks, prompt: str) -> list[np.ndarray]:
    text = starter.embed_text([prompt] * len(SEEDS)).vectors
    lengths = [FOUR_SECONDS] * len(SEEDS)
    motions = generate(starter, text, lengths, SEEDS, starter.card.sampling)
    return [motion.joints for motion in motions]


def travel(joints: np.ndarray) -> float:
    return float(np.linalg.norm((joints[-1, 0] - joints[0, 0])[[0, 2]]))


def highest_lift(joints: np.ndarray) -> float:
    """How far the lower foot leaves its usual height."""
    lowest = joints[:, FEET, 1].min(axis=1)
    return float(lowest.max() - np.percentile(lowest, 10))


def test_walking_travels(starter):
    distances = [travel(joints) for joints in five_takes(starter, "a person walks forward")]
    assert sum(distance > 1.5 for distance in distances) >= 4, distances


def test_running_is_faster_than_walking(starter):
    walked = np.median([travel(j) for j in five_takes(starter, "a person walks forward")])
    ran = np.median([travel(j) for j in five_takes(starter, "a person runs forward")])
    assert ran > 2.0 * walked


def test_standing_stays(starter):
    distances = [travel(joints) for joints in five_takes(starter, "a person stands still")]
    assert max(distances) < 0.3, distances


def test_jumping_leaves_the_ground_with_both_feet(starter):
    lifts = [highest_lift(joints) for joints in five_takes(starter, "a person jumps")]
    assert sum(lift > 0.1 for lift in lifts) >= 4, lifts


@pytest.mark.parametrize("prompt", ["a person jumps", "a person jumps forward"])
def test_nobody_who_jumps_stays_in_the_air(starter, prompt):
    kept = [holds("jumps", joints) for joints in five_takes(starter, prompt)]
    assert sum(kept) >= 4, kept


def test_words_that_no_caption_has_still_mean_something(starter):
    strolled = [travel(joints) for joints in five_takes(starter, "someone strolls ahead")]
    assert sum(distance > 1.5 for distance in strolled) >= 3, strolled


@pytest.mark.parametrize(
    "prompt", ["a person walks to a chair and sits down", "he walks over to a bench, then sits"]
)
def test_who_walks_to_a_seat_goes_there_and_sits(starter, prompt):
    text = as_condition(read_prompt(starter, prompt), len(SEEDS))
    motions = generate(starter, text, [120] * len(SEEDS), SEEDS, starter.card.sampling)
    kept = [travel(m.joints) > 1.0 and holds("ends_low", m.joints) for m in motions]
    assert sum(kept) >= 4, kept


@pytest.mark.parametrize(
    ("prompt", "check"),
    [("a soldier marches", "walks"), ("marches in place", "stays"), ("she skips rope", "jumps")],
)
def test_what_captions_say_by_another_name(starter, prompt, check):
    kept = [holds(check, joints) for joints in five_takes(starter, prompt)]
    assert sum(kept) >= 4, kept


def test_a_seed_gives_the_same_tokens_alone_or_in_a_batch(starter):
    prompts = ["a person walks", "a person jumps", "someone dances"]
    text = starter.embed_text(prompts).vectors
    sampling = starter.card.sampling
    together = generate(starter, text, [80, 41, 196], [7, 8, 9], sampling)
    for clip, frames in enumerate([80, 41, 196]):
        alone = generate(starter, text[clip : clip + 1], [frames], [7 + clip], sampling)[0]
        assert np.array_equal(alone.tokens, together[clip].tokens)
        assert np.array_equal(alone.joints, together[clip].joints)


def test_layers_that_nobody_makes_code_what_was_recorded_more_finely(starter):
    text = starter.embed_text(["a person jumps"]).vectors
    made = generate(starter, text, [FOUR_SECONDS], [0], starter.card.sampling)[0]
    first = starter.card.num_sampled
    assert (made.tokens[:, first:] == ABSENT).all()
    tokens = starter.encode(made.features)
    assert (tokens != ABSENT).all()
    goal = features_to_joints(made.features)
    coarse = features_to_joints(starter.decode(tokens[:, :first]))
    fine = features_to_joints(starter.decode(tokens))
    assert np.abs(fine - goal).mean() < np.abs(coarse - goal).mean()


def test_the_starter_is_small_and_says_what_it_is():
    folder = SHIPPED_WEIGHTS / "starter"
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 40e6
    card = json.loads((folder / "model.json").read_text())
    assert "mocap.cs.cmu.edu" in card["data"]
    assert "GPL-3.0-or-later" in card["licence"]
