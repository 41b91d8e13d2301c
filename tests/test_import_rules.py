"""Who may import whom, and how the code looks, checked against the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("momask_blender", "model_runtime", "weights_fetcher")

# Top-level package -> the only files, by path prefix, that may import it.
ALLOWED = {
    "bpy": ("momask_blender/",),
    "mathutils": ("momask_blender/",),
    "torch": (
        "model_runtime/start_trial.py",
        "model_runtime/torch_backend.py",
        "model_runtime/nets/",
        "model_runtime/training/",
        "model_runtime/evaluation/evaluator.py",
        "weights_fetcher/convert.py",
    ),
    "onnxruntime": ("model_runtime/onnx_backend.py",),
    "onnx": (
        "model_runtime/training/graphs.py",
        "model_runtime/training/graph_weights.py",
        "model_runtime/training/int8_graphs.py",
    ),
    "onnx_ir": ("model_runtime/training/graphs.py",),
    "onnxscript": ("model_runtime/training/graphs.py",),
    "pickle": (),
    "model_runtime": (
        "model_runtime/",
        "weights_fetcher/clip.py",
        "weights_fetcher/convert.py",
        "weights_fetcher/cuda_command.py",
        "weights_fetcher/cuda_install.py",
        "weights_fetcher/evaluator.py",
        "weights_fetcher/verify.py",
    ),
    "weights_fetcher": ("weights_fetcher/",),
}
FREE_OF_BPY = (
    "momask_blender/contract/",
    "momask_blender/retarget/",
    "momask_blender/animation/key_array.py",
    "momask_blender/animation/whole_files.py",
    "momask_blender/batch",
    "momask_blender/generate_arguments.py",
    "momask_blender/inpaint_arguments.py",
    "momask_blender/terminal.py",
    "momask_blender/timeline/join.py",
    "momask_blender/timeline/ranges.py",
    "momask_blender/rig/driven.py",
    "momask_blender/rig/hands.py",
    "momask_blender/rig/joint_map.py",
    "momask_blender/rig/mannequin.py",
    "momask_blender/rig/map_file.py",
    "momask_blender/rig/metadata.py",
    "momask_blender/rig/names.py",
    "momask_blender/rig/rest_bones.py",
    "momask_blender/rig/role_map.py",
    "momask_blender/rig/sanity.py",
    "momask_blender/rig/structure.py",
    "momask_blender/rig/tokens.py",
    "momask_blender/rig/trunk.py",
    "momask_blender/rig/vocabulary.py",
    "momask_blender/rig/words.py",
    "momask_blender/cuda_runtime.py",
    "momask_blender/errors.py",
    "momask_blender/fetching.py",
    "momask_blender/interrupt.py",
    "momask_blender/weights.py",
    "momask_blender/worker_client.py",
    "momask_blender/__init__.py",
)
ADDON_MAY_IMPORT = {*sys.stdlib_module_names, "numpy", "bpy", "mathutils"} | {
    "bpy_extras",  # Blender's own Python modules
    "addon_utils",
    "gpu",
    "gpu_extras",
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            yield file.relative_to(ROOT).as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """Top-level names of absolute imports; relative ones stay inside their package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def test_imports_stay_in_their_rooms():
    for file, tree in sources():
        for name in imported(tree):
            if name in ALLOWED:
                assert file.startswith(ALLOWED[name] or ("nowhere",)), f"{file} imports {name}"


def test_the_add_on_imports_only_what_blender_has():
    for file, tree in sources():
        if file.startswith("momask_blender/"):
            foreign = set(imported(tree)) - ADDON_MAY_IMPORT
            assert not foreign, f"{file} imports {foreign}"


def test_what_runs_without_blender_does_not_import_it():
    for file, tree in sources():
        if file.startswith(FREE_OF_BPY):
            assert not {"bpy", "mathutils"} & set(imported(tree)), file


def test_importing_the_add_on_imports_nothing_else():
    script = (
        "import sys; before = set(sys.modules); import momask_blender; "
        "print(*(set(sys.modules) - before))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["momask_blender"]


def test_what_runs_in_every_blender_is_collected_without_pytorch():
    commands = (ROOT / "tests/blender_versions.sh").read_text(encoding="utf-8")
    run = next(line for line in commands.splitlines() if line.strip().startswith("tests/addon"))
    script = "import sys, pytest; sys.modules.update(torch=None, onnx=None); "
    script += f"sys.exit(pytest.main(['--collect-only', '-q', *{run.split()!r}]))"
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout[-3000:]


def test_files_stay_short():
    for package in (*PACKAGES, "tests"):
        for file in (ROOT / package).rglob("*.py"):
            lines = len(file.read_text(encoding="utf-8").splitlines())
            assert lines <= 400, f"{file.name} has {lines} lines"


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["pyright", "--pythonpath", sys.executable],
    ],
    ids=["lint", "format", "types"],
)
def test_style(command):
    pytest.importorskip(command[0], reason=f"{command[0]} is not installed")
    ended = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout[-3000:]
