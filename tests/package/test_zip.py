"""The built zips, looked at without Blender; Windows' and macOS's too."""

import hashlib
import json
import re
import struct
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLATFORMS = ("linux-x64", "windows-x64", "macos-arm64")
TAG_ENDS = {"linux-x64": "_x86_64", "windows-x64": "win_amd64", "macos-arm64": "_arm64"}
LIBRARIES = {"linux-x64": ".so", "windows-x64": ".pyd", "macos-arm64": ".so"}
OLDEST_GLIBC = (2, 28)  # what Blender 4.2 to 5.2 themselves need
WINDOWS_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)


@pytest.fixture(params=PLATFORMS)
def platform(request) -> str:
    return request.param


@pytest.fixture
def archive(zip_for, platform):
    with zipfile.ZipFile(zip_for(platform)) as opened:
        yield opened


@pytest.fixture
def wheels(archive) -> list[str]:
    return [name for name in archive.namelist() if name.endswith(".whl")]


def test_same_input_gives_the_same_bytes(build, zip_for, tmp_path):
    first = zip_for("linux-x64")
    assert build("--platform", "linux-x64", "--out", tmp_path).returncode == 0
    (again,) = tmp_path.iterdir()  # and nothing else was left there
    assert again.name == first.name
    assert (
        hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(first.read_bytes()).digest()
    )


def test_the_zip_is_small_and_its_paths_are_short(zip_for, archive, wheels, platform):
    assert zip_for(platform).stat().st_size < 200_000_000
    assert max(map(len, archive.namelist())) < 115
    for wheel in wheels:
        assert max(map(len, names_in_wheel(archive, wheel))) < 115, wheel


def test_names_are_good_on_every_system(archive):
    names = archive.namelist()
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        for part in PurePosixPath(name).parts:
            assert not WINDOWS_RESERVED.match(part), name
            assert not re.search(r'[<>:"\\|?*\x00-\x1f]|[. ]$', part), name
        assert not name.startswith("/"), name
        assert ".." not in PurePosixPath(name).parts, name
        assert name.isascii(), name


def test_entries_have_one_mode_and_one_date(archive):
    assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
    assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_zip_holds_what_it_must_and_nothing_else(archive, platform):
    names = set(archive.namelist())
    folders = {name.split("/")[0] for name in names if "/" in name}
    assert folders == {
        "LICENSES", "model_runtime", "momask_blender", "weights_fetcher", "wheels"
    }  # fmt: skip
    assert {name for name in names if "/" not in name} == {
        "LICENSE", "LICENSES.md", "__init__.py", "blender_manifest.toml"
    }  # fmt: skip
    assert not [name for name in names if name.endswith(".pyc") or "/." in name]
    starter = ROOT / "model_runtime" / "weights" / "starter"
    for file in starter.iterdir():
        assert archive.read(f"model_runtime/weights/starter/{file.name}") == file.read_bytes()
    assert not [name for name in names if name.startswith("model_runtime/training/")]


def test_the_manifest_lists_every_wheel(archive, wheels, platform):
    manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert manifest["platforms"] == [platform]
    assert manifest["wheels"] == [f"./{name}" for name in sorted(wheels)]
    source = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    assert {**manifest, "platforms": source["platforms"]} == {
        **source,
        "wheels": manifest["wheels"],
    }


def test_wheels_are_those_of_the_lock_and_of_the_platform(archive, wheels, platform):
    locked = tomllib.loads((ROOT / "wheels.lock.toml").read_text(encoding="utf-8"))[platform]
    hashes = {
        PurePosixPath(name).name: hashlib.sha256(archive.read(name)).hexdigest() for name in wheels
    }
    assert hashes == locked
    pythons = sorted(tuple(name.split("-")[2:4]) for name in locked if name.startswith("onnx"))
    assert pythons == [("cp311", "cp311"), ("cp313", "cp313"), ("cp314", "cp314")]
    assert [name.split("-")[3] for name in locked if name.startswith("safetensors")] == ["abi3"]
    assert len(locked) == 4  # and no NumPy: Blender has its own
    for name in locked:
        for tag in name.removesuffix(".whl").split("-")[-1].split("."):
            assert tag.endswith(TAG_ENDS[platform]), name


def test_wheels_run_on_the_systems_that_blender_runs_on():
    lock = tomllib.loads((ROOT / "wheels.lock.toml").read_text(encoding="utf-8"))
    for name in lock["linux-x64"]:
        glibc = min(tuple(map(int, pair)) for pair in re.findall(r"manylinux_(\d+)_(\d+)_", name))
        assert glibc <= OLDEST_GLIBC, name
    versions = {tuple(name.split("-")[:2]) for wheels in lock.values() for name in wheels}
    assert len(versions) == 2, "every platform has the same versions"


def test_wheels_hold_libraries_for_the_processor(archive, wheels, platform):
    """The tag in the name is a promise; the headers of the compiled files keep it."""
    for wheel in wheels:
        with archive.open(wheel) as stream, zipfile.ZipFile(stream) as opened:
            libraries = [n for n in opened.namelist() if n.endswith(LIBRARIES[platform])]
            assert libraries, wheel
            assert {machine(opened.read(name)) for name in libraries} == {platform}, wheel


def machine(library: bytes) -> str:
    """The platform a compiled library is for, from its header."""
    if library[:4] == b"\x7fELF":
        return {62: "linux-x64"}.get(struct.unpack_from("<H", library, 18)[0], "other")
    if library[:2] == b"MZ":
        (header,) = struct.unpack_from("<I", library, 60)
        is_x64 = struct.unpack_from("<H", library, header + 4)[0] == 0x8664
        return "windows-x64" if is_x64 else "other"
    kind, processor = struct.unpack_from("<II", library)
    return "macos-arm64" if (kind, processor) == (0xFEEDFACF, 0x0100000C) else "other"


def test_everything_inside_comes_with_its_licence(archive, wheels):
    overview = archive.read("LICENSES.md").decode()
    texts = {name.split("/")[1] for name in archive.namelist() if name.startswith("LICENSES/")}
    assert texts == {PurePosixPath(wheel).name.split("-")[0] for wheel in wheels}
    for distribution in texts:
        assert f"LICENSES/{distribution}/" in overview
    assert b"GNU GENERAL PUBLIC LICENSE" in archive.read("LICENSE")
    assert b"MIT License" in archive.read("LICENSES/onnxruntime/LICENSE")
    assert b"Apache License" in archive.read("LICENSES/safetensors/LICENSE")
    assert b"NSF EIA-0196217" in archive.read("model_runtime/weights/starter/NOTICE.txt")


def test_the_version_is_one():
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == manifest["version"]


def test_a_folder_of_zips_becomes_a_repository(build, zip_for, tmp_path):
    platforms = ("linux-x64", "windows-x64")
    chosen = [argument for name in platforms for argument in ("--platform", name)]
    assert build(*chosen, "--out", tmp_path, "--index").returncode == 0
    listed = json.loads((tmp_path / "index.json").read_text(encoding="utf-8"))["data"]
    assert sorted(entry["platforms"] for entry in listed) == [[name] for name in platforms]
    for entry in listed:
        archive = tmp_path / entry["archive_url"]
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        assert entry["archive_hash"] == f"sha256:{digest}"
        assert entry["python_versions"] == ["3.11", "3.13", "3.14"]


def names_in_wheel(archive: zipfile.ZipFile, name: str) -> list[str]:
    with archive.open(name) as stream, zipfile.ZipFile(stream) as wheel:
        return wheel.namelist()
