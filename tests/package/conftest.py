"""The built zips and what Blender makes of one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

Build = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def build() -> Build:
    """Runs build_addon.py with arguments; skips where the wheels are out of reach."""
    pytest.importorskip("bpy", reason="the bpy module, which brings the validator, is missing")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, ROOT / "build_addon.py", *arguments]
        ended = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        if "pip could not fetch" in ended.stderr:
            pytest.skip(ended.stderr.strip())
        return ended

    return run


@pytest.fixture(scope="session")
def zip_for(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The zip of a platform, built once."""

    @cache
    def zip_for_platform(platform: str) -> Path:
        out = tmp_path_factory.mktemp(platform)
        ended = build("--platform", platform, "--out", out)
        assert ended.returncode == 0, ended.stderr
        (archive,) = out.glob("*.zip")
        return archive

    return zip_for_platform


@pytest.fixture(scope="session")
def in_blender(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict]:
    """Runs a script of this folder in a Blender with a new user folder and without a network;
    returns what the script says on its last line."""

    def run(script: str, argument: Path, user: str = "user") -> dict:
        folder = tmp_path_factory.mktemp("users") / user
        folder.mkdir()
        ended = subprocess.run(
            [*_without_network(), sys.executable, HERE / script, argument],
            env=os.environ | {"BLENDER_USER_RESOURCES": str(folder), "PYTHONUTF8": "1"},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        shutil.rmtree(folder)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    return run


def _without_network() -> list[str]:
    """What to put before a command so that its children have no network either."""
    command = ["unshare", "--user", "--map-root-user", "--net"]
    if shutil.which("unshare") is None:
        return []
    allowed = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if allowed.returncode == 0 else []
