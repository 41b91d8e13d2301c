"""The built zip in this Python's Blender, in an empty user folder, without a network."""

import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.blender,
    pytest.mark.skipif(sys.platform != "linux", reason="installs the Linux zip"),
]

PYTHON = f"cp{sys.version_info.major}{sys.version_info.minor}"


@pytest.fixture(scope="module", params=["user", "名 with spaces é"])
def life(request, zip_for, in_blender) -> dict:
    return in_blender("in_blender.py", zip_for("linux-x64"), request.param)


def test_the_network_was_out_of_reach(life):
    assert life["network"] == "the network is out of reach in this test"


def test_it_installs_and_enables_without_a_warning(life):
    assert life["installed"] == {
        "folder": True,
        "enabled": True,
        "warnings": {},
        "packages": ["onnxruntime", "safetensors"],
        "site on path": True,
    }


def test_the_child_finds_the_runtime_and_blenders_numpy(life):
    child = life["child"]
    assert "died" not in child, child["died"]
    assert child["sigmoid of 0"] == [0.5]
    for package in ("onnxruntime", "safetensors"):
        assert Path(child[package]).parts[-6:-4] == (".local", "lib")
    assert ".local" not in Path(child["numpy"]).parts
    assert "user_default" in Path(child["runtime"]).parts
    assert not child["imports torch"]


def test_the_operator_generates(life):
    generated = life["generated"]
    assert generated is not None, "the operator is not registered"
    assert generated["result"] == ["FINISHED"]
    assert len(generated["actions"]) == 1
    assert generated["keys"] == [48]  # 2 s at the 24 fps of a new scene
    assert generated["moving"] > 20
    assert generated["warnings"] == {}


def test_disabled_it_leaves_no_packages_and_comes_back(life):
    assert not life["disabled"]["enabled"]
    assert life["disabled"]["packages"] == []
    assert life["enabled again"] == life["installed"]


def test_uninstalled_it_leaves_nothing(life):
    gone = life["uninstalled"]
    assert not gone["folder"]
    assert not gone["enabled"]
    assert gone["packages"] == []
    assert gone["warnings"] == {}


def test_it_installs_from_a_repository(build, tmp_path, in_blender):
    ended = build("--platform", "linux-x64", "--out", tmp_path, "--index")
    assert ended.returncode == 0, ended.stderr
    seen = in_blender("from_a_repository.py", tmp_path / "index.json")
    assert seen["enabled"]
    assert seen["packages"] == ["onnxruntime", "safetensors"]
    assert seen["warnings"] == {}


def make_wheel(folder: Path, name: str, python: str, platform: str) -> Path:
    """A real wheel of one package with one empty module."""
    distribution, version = name.split("-")
    wheel = folder / f"{name}-{python}-{platform}.whl"
    files = {
        f"{distribution}/__init__.py": "",
        f"{name}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        ),
        f"{name}.dist-info/WHEEL": (
            f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {python}-{platform}\n"
        ),
        f"{name}.dist-info/licenses/LICENSE": f"The licence of {distribution}",
    }
    record = "".join(f"{file},,\n" for file in (*files, f"{name}.dist-info/RECORD"))
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(f"{name}.dist-info/RECORD", record)
    return wheel


@pytest.fixture
def studio(tmp_path) -> Path:
    """A folder as `pip download torch` fills it, of small packages."""
    folder = tmp_path / "studio"
    folder.mkdir()
    make_wheel(folder, "torch-2.13.0+cu130", f"{PYTHON}-{PYTHON}", "manylinux_2_28_x86_64")
    make_wheel(folder, "nvidia_cublas-13.1.0.3", "py3-none", "manylinux_2_27_x86_64")
    make_wheel(folder, "sympy-1.14.0", "py3-none", "any")
    make_wheel(folder, "numpy-2.4.1", f"{PYTHON}-{PYTHON}", "manylinux_2_28_x86_64")
    return folder


def build_with(build, studio: Path, out: Path):
    return build("--platform", "linux-x64", "--out", out, "--torch-wheels", studio)


def test_a_studio_adds_its_pytorch(build, studio, tmp_path, in_blender):
    ended = build_with(build, studio, tmp_path)
    assert ended.returncode == 0, ended.stderr
    (archive,) = tmp_path.glob("*-cuda.zip")
    life = in_blender("in_blender.py", archive)
    assert life["installed"]["packages"] == [
        "nvidia_cublas", "onnxruntime", "safetensors", "sympy", "torch"
    ]  # fmt: skip
    assert ".local" in Path(life["child"]["torch"]).parts
    assert ".local" not in Path(life["child"]["numpy"]).parts
    assert life["uninstalled"]["packages"] == []
    with zipfile.ZipFile(archive) as opened:
        assert opened.read("LICENSES/torch/LICENSE") == b"The licence of torch"


@pytest.mark.parametrize(
    ("added", "says"),
    [
        (("triton-3.6.0", f"{PYTHON}-{PYTHON}", "win_amd64"), "does not run in any Blender"),
        (("triton-3.6.0", "cp312-cp312", "manylinux_2_28_x86_64"), "does not run in any Blender"),
        (("torch-2.12.0", f"{PYTHON}-{PYTHON}", "manylinux_2_28_x86_64"), "in the zip twice"),
        (("safetensors-0.9.0", "cp310-abi3", "manylinux_2_28_x86_64"), "in the zip twice"),
    ],
    ids=["other system", "other Python", "two versions", "ours again"],
)
def test_wheels_that_cannot_work_stop_the_build(build, studio, tmp_path, added, says):
    make_wheel(studio, *added)
    ended = build_with(build, studio, tmp_path)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert says in line
    assert added[0].split("-")[0] in line
    assert not list(tmp_path.glob("*.zip"))


def test_a_damaged_wheel_stops_the_build(build, studio, tmp_path):
    damaged = next(studio.glob("sympy*"))
    damaged.write_bytes(damaged.read_bytes()[:-30])
    ended = build_with(build, studio, tmp_path)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert f"{damaged} is damaged" in line


def test_a_folder_without_pytorch_stops_the_build(build, tmp_path):
    ended = build_with(build, tmp_path, tmp_path / "out")
    assert ended.returncode == 2
    assert "holds no torch wheel" in ended.stderr
