"""What add-on and worker say to each other survives the wire and refuses nonsense."""

import math

import numpy as np
import pytest

from momask_blender.contract.messages import (
    KINDS,
    Cancel,
    CudaRuntime,
    Failed,
    Finished,
    FoundWheels,
    Generate,
    Hello,
    Inpaint,
    Load,
    Loaded,
    Notice,
    Offer,
    Progress,
    Quit,
    Unload,
    Unloaded,
    frames_for_seconds,
    from_line,
    to_line,
)
from momask_blender.contract.resample import catmull_rom

MESSAGES = [
    Hello(protocol=2, python="3.11.9", pid=7),
    Load(job=1, weights="starter", device="cpu"),
    Generate(prompt='walk "é" 走\nnow', out="a.npz", num_frames=80, seed=7, draft=True),
    Inpaint(source="a.npz", out="b.npz", kept=((40, 60), (0, 9)), variations=2, job=4),
    Cancel(job=3),
    Unload(job=4),
    Quit(),
    Progress(phase="Decoding", done=1, total=5, job=3),
    Notice(text="long", prompts=("a man walks", "he runs"), whole_prompts=("b, then c", "b")),
    Offer(
        name="a",
        title="A",
        about="b",
        state="ready",
        num_bytes=3,
        makes_motions=True,
        licence="MIT",
        means="free",
        text="MIT ...",
        must_be_accepted=False,
    ),
    CudaRuntime(
        state="absent",
        told="CPU",
        offered="PyTorch",
        num_bytes=3,
        folder="cp311",
        licence="BSD",
        means="free",
        text="BSD ...",
    ),
    FoundWheels(lines=("torch.whl, 3 MB, 0f",), num_bytes=3, confirmation="0f"),
    Loaded(job=1, weights="starter", runs_on="CPU"),
    Finished(files=("a.npz", "a-2.npz"), seconds={"Decoding": 0.1}, settings={"steps": 10}),
    Unloaded(job=4),
    Failed(message="no", code="FILES", job=3),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_survive_the_wire(message):
    line = to_line(message)
    assert line.count("\n") == 1
    assert from_line(line) == message


def test_every_kind_is_tested():
    assert {type(message) for message in MESSAGES} == set(KINDS.values())


def test_variations_have_seeds_and_files_of_their_own():
    request = Generate(prompt="walk", out="out/a b.npz", seed=2**31 - 2, variations=3)
    assert request.seeds() == [2**31 - 2, 2**31 - 1, 0]
    files = [file.replace("\\", "/") for file in request.files()]
    assert files == ["out/a b.npz", "out/a b-2.npz", "out/a b-3.npz"]


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
        ("temperature", 0.0, r"0\.05 to 5"),
        ("variations", 0, "1 to 16"),
        ("device", "tpu", "auto, cpu, cuda"),
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
