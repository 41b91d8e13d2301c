"""Prompts in users' words: each kind finds its captions, sides follow the mirror image."""

import tomllib
from pathlib import Path

import pytest

from model_runtime.evaluation.prompt_following import PROMPTS
from model_runtime.training.data import reworded
from model_runtime.training.known_prompts import read_split_captions
from model_runtime.training.paraphrase import third_person
from model_runtime.training.recipe import DataRecipe
from model_runtime.training.user_prompts import read_kinds, user_prompts

MOCAP = Path(__file__).parents[3] / "shared" / "mocap"
FAMILIARITY = sorted(Path(__file__).parent.glob("familiarity*.toml"))


def test_sides_follow_the_caption():
    left = user_prompts("a person walks forward and then turns left")
    right = user_prompts("a person walks forward and then turns right")
    assert any("takes a left" in prompt.lower() for prompt in left)
    assert not any("takes a left" in prompt.lower() for prompt in right)
    assert len(left) == len(right)


@pytest.mark.parametrize(
    ("caption", "kind", "other"),
    [
        ("a person walks forward", "walk_forward", "walk_slow"),
        ("someone walks forward slowly", "walk_slow", "walk_forward"),
        ("a person is running in a straight line", "run", "run_fast"),
        ("the person sits on a high stool", "sit", "sit_down"),
        ("a person sits on a high stool and then gets up", "stand_up", "sit"),
        ("a person squats down, jumps up high, lands, and keeps balance", "jump_up", "balance"),
    ],
)
def test_a_caption_gets_the_prompts_of_its_action(caption, kind, other):
    asked = user_prompts(caption)
    assert set(read_kinds()[kind].prompts) <= set(asked)
    assert not set(read_kinds()[other].prompts) & set(asked)


def test_two_actions_get_none():
    captions = ("a person boxes, throwing punches with both hands, then a person stands still",)
    recipe = DataRecipe(paraphrases=4, user_prompts=1.0)
    known = {prompt for kind in read_kinds().values() for prompt in kind.prompts}
    assert known & set(reworded(captions, recipe, one_action=True))
    assert not known & set(reworded(captions, recipe, one_action=False))


def test_no_share_of_them_no_prompt():
    captions = ("a person walks forward",)
    told = reworded(captions, DataRecipe(paraphrases=4), one_action=True)
    assert not set(read_kinds()["walk_forward"].prompts) & set(told)


@pytest.mark.skipif(not MOCAP.is_dir(), reason="needs shared/mocap")
def test_every_kind_has_captions():
    captions = [third_person(text).removeprefix("is ") for text in read_split_captions(MOCAP)]
    for name, kind in read_kinds().items():
        assert any(kind.captions.search(caption) for caption in captions), name


def test_models_are_not_judged_by_them():
    judged = {
        prompt.lower().strip(". ")
        for file in (PROMPTS, *FAMILIARITY)
        for prompts in tomllib.loads(file.read_text(encoding="utf-8")).values()
        for prompt in (prompts if not isinstance(prompts, str) else [])
    }
    for name, kind in read_kinds().items():
        for prompt in kind.prompts:
            assert prompt.lower().strip(". ") not in judged, (name, prompt)
