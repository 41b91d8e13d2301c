"""What stops a build, in a copy of the source tree."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("momask_blender", "model_runtime", "weights_fetcher")
FILES = ("build_addon.py", "blender_manifest.toml", "wheels.lock.toml", "LICENSE", "LICENSES.md")


@pytest.fixture
def tree(tmp_path) -> Path:
    """The source tree, with weights of a few bytes and no wheels yet."""
    tree = tmp_path / "tree"
    for package in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
        shutil.copytree(ROOT / package, tree / package, ignore=ignored)
    for file in FILES:
        shutil.copy(ROOT / file, tree / file)
    (tree / "model_runtime" / "weights" / "starter" / "base.safetensors").write_bytes(b"base")
    return tree


@pytest.fixture
def wheels(tree, zip_for) -> Path:
    """The tree's own cache of wheels, filled."""
    zip_for("windows-x64")  # which fetches them into ours
    cache = tree / "build" / "wheels"
    cache.mkdir(parents=True)
    for name in tomllib.loads((tree / "wheels.lock.toml").read_text())["windows-x64"]:
        os.link(ROOT / "build" / "wheels" / name, cache / name)
    return cache


def build_in(tree: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    chosen = arguments or ("--platform", "windows-x64", "--out", tree / "dist")
    command = [sys.executable, "-B", "build_addon.py", *chosen]
    return subprocess.run(command, cwd=tree, capture_output=True, encoding="utf-8", check=False)


def refusal(ended: subprocess.CompletedProcess[str], tree: Path) -> str:
    """The one line it ended with, and no zip and nothing half-written was left."""
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert not list((tree / "dist").glob("*"))
    return line


def files_in(tree: Path) -> dict[str, bytes]:
    return {
        file.relative_to(tree).as_posix(): file.read_bytes()
        for file in tree.rglob("*")
        if file.is_file() and "build" not in file.relative_to(tree).parts[:-1]
    }


def test_a_build_only_reads_the_source_tree(tree, wheels, tmp_path):
    before = files_in(tree)
    ended = build_in(tree, "--platform", "windows-x64", "--out", tmp_path / "elsewhere")
    assert ended.returncode == 0, ended.stderr
    assert files_in(tree) == before
    assert [file.suffix for file in (tmp_path / "elsewhere").iterdir()] == [".zip"]


def test_a_changed_wheel_is_not_built_in(tree, wheels):
    changed = next(wheels.iterdir())
    content = changed.read_bytes()
    changed.unlink()  # the link, not what ours points to
    changed.write_bytes(content[:-1] + b"!")
    assert str(changed) in refusal(build_in(tree), tree)


def test_blender_refuses_a_wrong_manifest(tree, wheels):
    manifest = tree / "blender_manifest.toml"
    manifest.write_text(manifest.read_text().replace('"Rigging"', '"AI"'))
    line = refusal(build_in(tree), tree)
    assert "Blender refuses" in line
    assert '"AI"' in line


def test_a_long_path_stops_the_build(tree, wheels):
    long = tree / "momask_blender" / "rig" / f"{'long' * 24}.json"
    long.write_text("{}")
    line = refusal(build_in(tree), tree)
    assert long.relative_to(tree).as_posix() in line


def test_names_that_windows_cannot_tell_apart_stop_the_build(tree, wheels):
    twin = tree / "momask_blender" / "Errors.py"
    twin.write_text("")
    if twin.samefile(tree / "momask_blender" / "errors.py"):
        pytest.skip("this file system does not tell them apart either")
    assert "Errors.py" in refusal(build_in(tree), tree)


def test_only_the_starter_goes_into_the_zip(tree, wheels):
    mine = tree / "model_runtime" / "weights" / "mine"
    mine.mkdir()
    (mine / "base.safetensors").write_bytes(b"mine")
    build_in(tree)
    (archive,) = (tree / "dist").glob("*.zip")
    with zipfile.ZipFile(archive) as opened:
        weights = [name for name in opened.namelist() if name.endswith(".safetensors")]
    assert weights == ["model_runtime/weights/starter/base.safetensors"]


@pytest.mark.parametrize(
    "arguments",
    [("--index",), ("--platform", "amiga"), ("--platform", "linux-x64"), ("--out", "dist")],
    ids=["nothing", "unknown platform", "no folder", "no platform"],
)
def test_a_wrong_command_is_one_line_and_status_2(tree, arguments):
    refusal(build_in(tree, *arguments), tree)


def test_a_missing_lock_says_how_to_make_it(tree):
    (tree / "wheels.lock.toml").unlink()
    assert "--update-lock" in refusal(build_in(tree), tree)
