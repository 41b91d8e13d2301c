"""Fills of recorded clips by the shipped model, as a real rig shows them: seams and feet."""

from argparse import Namespace

import pytest

pytestmark = pytest.mark.blender

STANDS, TURNS = "cmu_13_14_02", "cmu_60_14_00"


@pytest.fixture(scope="module")
def figures(bpy, shared):
    """-> those of a clip as recorded and with 2 s of it filled."""
    from benchmarks.fill_quality import measured
    from model_runtime.motions import MotionMaker
    from model_runtime.training.layouts import read_clips

    clips = {clip.name: clip for clip in read_clips(shared / "mocap", "val")}
    maker, rig = MotionMaker(), shared / "rigs" / "mixamo_mpfb.glb"

    def measure(name: str, captions: bool):
        chosen = Namespace(rig=rig, fps=30, seconds=2.0, captions=captions)
        both = measured(clips[name], chosen, maker)
        return both["recorded"], both["filled"]

    return measure


@pytest.mark.parametrize("captions", [False, True])
@pytest.mark.parametrize("name", [STANDS, TURNS])
def test_speed_goes_on_across_the_seams_and_feet_stay_where_they_stand(figures, name, captions):
    recorded, filled = figures(name, captions)
    assert filled.moved_mm < 0.01
    assert max(filled.jumps) < max(2.0, *recorded.jumps), "of the usual change of speed"
    assert filled.step_cm < 1.0
    assert filled.turn_degrees < 2.0
    assert filled.contact > 0.2
    assert filled.skate < 1.0
