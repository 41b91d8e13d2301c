"""Motions as the starter model makes them, by the command that needs no Blender."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from momask_blender.animation.takes import read_pose
from momask_blender.contract.pose import Pose

ROOT = Path(__file__).resolve().parents[2]


def make_motion(prompt: str, seconds: float, file: Path) -> Pose:
    """The pose (20 fps, model axes), also in `file`."""
    options = ["--seconds", str(seconds), "--seed", "1", "--out", str(file)]
    command = [sys.executable, "-m", "model_runtime", "generate", *options, prompt]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return read_pose(str(file))


@pytest.fixture(scope="session")
def starter_pose(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, float], Pose]:
    """Prompt and seconds -> the pose, made once."""
    folder = tmp_path_factory.mktemp("starter")

    @cache
    def make(prompt: str, seconds: float) -> Pose:
        return make_motion(prompt, seconds, folder / f"{prompt.replace(' ', '_')}.npz")

    return make
