"""Whole Blender processes: two at once, closed or killed ones, one that may write nothing."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.blender,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into Linux's /proc"),
]

ROOT = Path(__file__).resolve().parents[2]

GENERATE = """
import sys
sys.path.insert(0, "")
import bpy, momask_blender
from momask_blender.session import session
momask_blender.register()
for seed in (1, 2):
    bpy.ops.momask.generate(prompt="a person walks", seconds=2.0, seed=seed)
print("made", [(a.name, *a.frame_range) for a in bpy.data.actions], flush=True)
momask_blender.unregister()
"""

LEAVE = """
import os, signal, sys, time
sys.path.insert(0, "")
import bpy, momask_blender
from momask_blender.inputs import placement_from, request_from
from momask_blender.session import session
momask_blender.register()
settings = bpy.context.scene.momask
settings.seconds, settings.variations = 9.8, 16
session.start(request_from(settings, 1), placement_from(bpy.context, settings))
while session.phase != "Generating motion":
    session.tick()
    time.sleep(0.01)
print(session.worker.pid, session._private_folder(), flush=True)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "disabled":
    momask_blender.unregister()
    time.sleep(60)
"""


def blender(script: str, *arguments: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
    )


def last_line(process: subprocess.Popen) -> str:
    said, _ = process.communicate(timeout=120)
    return next((line for line in said.splitlines() if line.startswith("made")), said[-2000:])


EXPECTED = "made [('a person walks', 1.0, 48.0), ('a person walks.001', 1.0, 48.0)]"


def test_two_blenders_at_once(bpy):
    both = [blender(GENERATE) for _ in range(2)]
    assert [last_line(process) for process in both] == [EXPECTED] * 2


def test_a_user_folder_that_cannot_be_written(bpy):
    assert last_line(blender(GENERATE, BLENDER_USER_RESOURCES="/proc/nowhere")) == EXPECTED


@pytest.mark.parametrize("how", ["killed", "closed", "disabled"])
def test_blender_goes_in_the_middle_and_leaves_no_orphan(bpy, how):
    process = blender(LEAVE, how)
    line = process.stdout.readline()
    while line and not line.split()[0].isdigit():
        line = process.stdout.readline()
    pid, folder = line.split(maxsplit=1)
    until = time.monotonic() + 5.0
    while is_running(int(pid)):
        assert time.monotonic() < until, "the worker is an orphan"
        time.sleep(0.05)
    if how != "killed":  # who is killed cannot tidy up
        while Path(folder.strip()).exists():
            assert time.monotonic() < until, "its files are left"
            time.sleep(0.05)
    process.kill()
    process.wait()


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
