"""Checks that a motion does what its prompt asks."""

import numpy as np
import pytest
from runtime.tiny_training import walk

from model_runtime.evaluation.prompt_checks import CHECKS, check_names, holds
from model_runtime.evaluation.prompt_following import read_prompts
from momask_blender.contract.skeleton import REST_JOINTS

HOP = 0.3 * np.sin(np.linspace(0.0, np.pi, 10))  # metres, half a second


def lifted(heights: np.ndarray) -> np.ndarray:
    """The T-pose at heights (T,) above the floor."""
    joints = np.repeat(REST_JOINTS[None], len(heights), axis=0)
    joints[..., 1] += heights[:, None] - REST_JOINTS[:, 1].min()
    return joints


def test_a_jump_leaves_the_floor_and_comes_back():
    still = np.zeros(30)
    assert CHECKS["jumps"](lifted(np.concatenate([still, HOP, still])))
    assert not CHECKS["jumps"](lifted(np.concatenate([still, 0.2 * HOP, still])))


def test_to_hover_is_no_jump():
    held = np.concatenate([np.zeros(30), HOP[:5], np.full(25, 0.3), HOP[5:], np.zeros(30)])
    assert not CHECKS["jumps"](lifted(held))
    assert not CHECKS["jumps"](lifted(np.concatenate([np.zeros(30), np.full(40, 0.3)])))


def test_halves_are_judged_on_their_own():
    ahead = walk(60)
    stays = np.repeat(ahead[-1:], 60, axis=0)
    both = np.concatenate([ahead, stays])
    assert holds("first goes_forward", both)
    assert holds("second stays", both)
    assert not holds("second goes_forward", both)
    assert not holds("first stays", both)
    assert holds("goes_forward", both)


def test_the_second_half_is_judged_from_where_it_begins():
    there = walk(60)
    back = there[::-1]
    assert holds("second goes_backward", np.concatenate([there, back]))


def test_every_prompt_names_checks_that_exist():
    assert sum(len(prompts) for prompts in read_prompts().values()) >= 80
    for name in ("flies", "third jumps"):
        with pytest.raises(KeyError):
            check_names([name])
