"""What add-on and worker say to each other survives the wire and refuses nonsense."""

import math

import numpy as np
import pytest

from momask_blender.contract.messages import (
    Failed,
    Finished,
    Generate,
    Notice,
    Progress,
    frames_for_seconds,
    from_line,
    to_line,
)
from momask_blender.contract.resample import catmull_rom


@pytest.mark.parametrize(
    "message",
    [
        Generate(prompt='walk "é" 走\nnow', out="a.npz", num_frames=80, seed=7, steps=5),
        Progress(phase="Decoding", done=1, total=5),
        Notice(text="long"),
        Finished(out="a.npz", seconds={"Decoding": 0.1}),
        Failed(message="no"),
    ],
)
def test_messages_survive_the_wire(message):
    line = to_line(message)
    assert line.count("\n") == 1
    assert from_line(line) == message


@pytest.mark.parametrize("line", ["", "hello", "[1]", "{}", '{"kind": "Nothing"}', '{"kind": 3}'])
def test_other_lines_are_refused(line):
    with pytest.raises(ValueError, match="Not a message"):
        from_line(line)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("prompt", "  ", "prompt is empty"),
        ("num_frames", 0, "1 to 196"),
        ("num_frames", 197, "9.8 seconds"),
        ("seed", -1, "seed"),
        ("seed", 2**31, "seed"),
        ("steps", 0, "1 to 100"),
        ("guidance_scale", math.nan, "guidance"),
        ("residual_guidance_scale", -1.0, "0 to 20"),
    ],
)
def test_requests_state_their_limits(field, value, words):
    with pytest.raises(ValueError, match=words):
        Generate(**({"prompt": "walk", "out": "a.npz"} | {field: value}))


@pytest.mark.parametrize("seconds", [0.0, -1.0, 9.81, math.inf, math.nan])
def test_lengths_outside_the_model_are_refused(seconds):
    with pytest.raises(ValueError, match=r"9\.8 seconds"):
        frames_for_seconds(seconds)


def test_seconds_become_frames():
    assert frames_for_seconds(4.0) == 80
    assert frames_for_seconds(9.8) == 196
    assert frames_for_seconds(0.01) == 1


def test_resampling_is_exact_at_whole_frames_and_smooth_between():
    values = np.sin(np.linspace(0.0, 6.0, 61))[:, None]
    np.testing.assert_array_equal(catmull_rom(values, np.arange(61.0)), values)
    between = catmull_rom(values, np.arange(1.5, 59.0))
    expected = np.sin(np.linspace(0.0, 6.0, 61)[1:59] + 0.05)[:, None]
    np.testing.assert_allclose(between, expected[: len(between)], atol=1e-5)
