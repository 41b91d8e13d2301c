"""Fills of recorded clips by the shipped model, as a real rig shows them: seams and feet."""

from argparse import Namespace

import pytest

pytestmark = pytest.mark.blender

# A foot that arrives just before the gap ends: in one it has hardly time for the way.
DANCES, STANDS = "cmu_60_14_03", "cmu_14_31_03"


@pytest.fixture(scope="module")
def figures(bpy, shared):
    """-> those of a clip with 2 s of it filled."""
    from benchmarks.fill_quality import measured
    from model_runtime.motions import MotionMaker
    from model_runtime.training.layouts import read_clips

    clips = {clip.name: clip for clip in read_clips(shared / "mocap", "val")}
    maker, rig = MotionMaker(), shared / "rigs" / "mixamo_mpfb.glb"

    def measure(name: str, captions: bool):
        chosen = Namespace(rig=rig, fps=30, seconds=2.0, captions=captions)
        return measured(clips[name], chosen, maker)["filled"]

    return measure


@pytest.mark.parametrize("captions", [False, True])
@pytest.mark.parametrize("name", [DANCES, STANDS])
def test_speed_goes_on_across_the_seams_and_feet_stay_where_they_stand(figures, name, captions):
    filled = figures(name, captions)
    assert filled.moved_mm < 0.01
    assert max(filled.jumps) < 2.5, "times the usual change of speed"
    assert filled.step_cm < 1.0
    assert filled.turn_degrees < 2.0
    assert filled.contact > 0.2
    assert filled.skate < 1.0
