"""PyTorch for CUDA in the user's folder: from a real server, from a folder, and never by halves."""

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from momask_blender.contract.cuda_folder import find_installed
from tests.fetcher.conftest import QUICK, Notes
from tests.fetcher.faulty_server import Server, cut, whole
from tests.fetcher.small_wheels import (
    NVIDIA,
    NVIDIA_FILES,
    PYTHON,
    TORCH,
    TORCH_FILES,
    UNPACKED,
    write_runtime_catalogue,
    write_wheel,
)
from weights_fetcher.cuda_catalogue import read_release
from weights_fetcher.cuda_install import Installer
from weights_fetcher.errors import FetchError
from weights_fetcher.store import BEGUN, READY
from weights_fetcher.wheel_folder import confirmation
from weights_fetcher.wheel_name import WheelName


@pytest.fixture
def make(tmp_path: Path, share: Path, server: Server, notes: Notes) -> Callable[..., Installer]:
    """An installer of the share's wheels, which the server gives; PyTorch at these paths."""

    def installer(*torch_paths: str) -> Installer:
        server.answers["/nvidia"] = whole((share / NVIDIA).read_bytes())
        torch = [f"{server.address}{path}" for path in torch_paths or ("/torch",)]
        wheels = {share / TORCH: torch, share / NVIDIA: [f"{server.address}/nvidia"]}
        catalogue = write_runtime_catalogue(tmp_path / "runtime.toml", wheels)
        return Installer(read_release(catalogue), tmp_path / "runtime", notes, QUICK)

    return installer


def files_in(folder: Path) -> list[str]:
    """Without what Python compiles when it imports them."""
    files = (each.relative_to(folder) for each in folder.rglob("*") if each.is_file())
    return sorted(str(file) for file in files if ".cpython-" not in file.name)


def refused(act: Callable[[], object]) -> str:
    """The line it was refused with."""
    with pytest.raises(FetchError) as refusal:
        act()
    return str(refusal.value)


def nothing_in_place(installer: Installer) -> bool:
    return not installer.store.folder.exists() and not installer.store.draft.exists()


def test_what_is_offered_is_installed(make, server, notes, torch_wheel):
    server.answers["/torch"] = whole(torch_wheel)
    installer = make()
    installed = installer.install(is_licence_accepted=True)
    assert files_in(installed.site) == sorted([*UNPACKED, *NVIDIA_FILES])
    assert installed == find_installed(installer.store.folder)
    assert (installed.torch, installed.cuda) == ("2.8.0", "12.8")
    assert list(installed.wheels) == [TORCH, NVIDIA]
    assert installer.store.state() == READY and not installer.store.downloads.exists()
    assert installer.store.faults() == []
    assert ("Unpacking PyTorch" in {phase for phase, _, _ in notes.phases}) and notes.notices == [
        "CUDA cannot be used now: PyTorch finds no CUDA device."
    ]


def test_terms_are_accepted_first(make, server):
    assert "Read it." in refused(lambda: make().install(is_licence_accepted=False))
    assert not server.asked


def test_a_cut_download_goes_on_where_it_stopped(make, server, torch_wheel):
    server.answers["/torch"] = cut(torch_wheel, at=[50_000])
    make().install(is_licence_accepted=True)
    assert [asked for asked in server.asked if asked[0] == "/torch"] == [
        ("/torch", ""),
        ("/torch", "bytes=50000-"),
    ]


def test_what_came_is_kept_for_the_next_time(make, server, torch_wheel):
    server.answers["/torch"] = cut(torch_wheel, at=[50_000, 50_000, 50_000, 50_000, 50_000])
    installer = make()
    assert "broke off" in refused(lambda: installer.install(is_licence_accepted=True))
    assert installer.store.state() == BEGUN and nothing_in_place(installer)
    assert installer.missing_bytes() == installer.num_bytes - 50_000
    server.answers["/torch"] = whole(torch_wheel)
    installer.install(is_licence_accepted=True)
    assert server.asked[-2] == ("/torch", "bytes=50000-")


def test_a_wheel_of_another_hash_is_not_opened(make, server, torch_wheel):
    server.answers["/wrong"] = whole(b"\0" * len(torch_wheel))
    installer = make("/wrong")
    assert "not the published file" in refused(lambda: installer.install(is_licence_accepted=True))
    assert nothing_in_place(installer)
    server.answers["/torch"] = whole(torch_wheel)
    make("/wrong", "/torch").install(is_licence_accepted=True)


def test_a_damaged_download_is_fetched_again(make, server, torch_wheel):
    server.answers["/torch"] = whole(torch_wheel)
    installer = make()
    installer.store.downloads.mkdir(parents=True)
    (installer.store.downloads / TORCH).write_bytes(b"\0" * len(torch_wheel))
    installer.install(is_licence_accepted=True)
    assert installer.store.state() == READY


def test_a_disk_without_room_is_noticed_first(make, server, monkeypatch):
    monkeypatch.setattr("weights_fetcher.cuda_install.free_bytes", lambda _: 1000)
    message = refused(lambda: make().install(is_licence_accepted=True))
    assert "1 kB are free" in message and "MOMASK_RUNTIME" in message
    assert not server.asked


@pytest.mark.parametrize(
    "body",
    [
        "raise ImportError('libcudnn.so.9: cannot open shared object file')",
        "import os; os._exit(3)",
        "import ctypes; ctypes.string_at(0)",
    ],
    ids=["raises", "ends its process", "crashes"],
)
def test_a_pytorch_that_does_not_start_is_not_put_in_place(make, share, body):
    write_wheel(share / TORCH, TORCH_FILES | {"torch/__init__.py": body})
    installer = make()
    wheels = installer.find_wheels(share)
    assert "does not start here" in refused(lambda: installer.import_wheels(wheels))
    assert nothing_in_place(installer)


HOSTILE = {
    "parent": "../escaped.py",
    "absolute": "/tmp/escaped.py",
    "drive": "C:escaped.py",
    "backslash": "..\\escaped.py",
    "stream": "torch/a.py:b",
    "part of Python": "json/__init__.py",
    "module of Python": "ssl.py",
    "data folder": "torch-2.8.0.data/purelib/../../escaped.py",
    "twin": "torch/VERSION.py",
    "trailing dot": "torch/lib./a.so",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_wheel_that_tries_anything_is_refused(make, share, tmp_path, name):
    write_wheel(share / TORCH, TORCH_FILES | {name: "print('hello')"})
    installer = make()
    before = files_in(tmp_path)
    wheels = installer.find_wheels(share)
    assert "Nothing of it was used" in refused(lambda: installer.import_wheels(wheels))
    assert nothing_in_place(installer)
    assert [file for file in files_in(tmp_path) if ".lock" not in file] == before


def test_links_in_a_wheel_are_refused(make, share):
    link = zipfile.ZipInfo("torch/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(share / TORCH, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    installer = make()
    wheels = installer.find_wheels(share)
    assert "holds a link" in refused(lambda: installer.import_wheels(wheels))
    assert nothing_in_place(installer)


def test_more_than_a_wheel_says_is_not_unpacked(make, share):
    """The directory promises 10 bytes of a file that has a megabyte."""
    with zipfile.ZipFile(share / TORCH, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("torch/bomb.py", b"\0" * 1_000_000)
        archive.getinfo("torch/bomb.py").file_size = 10
    installer = make()
    wheels = installer.find_wheels(share)
    assert "Nothing of it was used" in refused(lambda: installer.import_wheels(wheels))
    assert nothing_in_place(installer)


def test_only_what_was_agreed_to_is_imported(make, share):
    installer = make()
    wheels = installer.find_wheels(share)
    agreed = confirmation(wheels)
    write_wheel(share / TORCH, TORCH_FILES | {"torch/more.py": "x = 1"})
    assert "has changed" in refused(lambda: installer.import_wheels(wheels))
    assert nothing_in_place(installer)
    assert confirmation(installer.find_wheels(share)) != agreed


def test_a_folder_is_looked_through_for_what_fits(make, share):
    installer = make()
    for other in (
        "torch-2.8.0-cp39-cp39-win_amd64.whl",
        "numpy-1.26.4-py3-none-any.whl",
        "notes.whl",
    ):
        write_wheel(share / other, {})
    assert [wheel.name for wheel in installer.find_wheels(share)] == [NVIDIA, TORCH]
    write_wheel(share / "torch-2.7.1-py3-none-any.whl", TORCH_FILES)
    assert "two versions" in refused(lambda: installer.find_wheels(share))
    for file in share.glob("torch*"):
        file.unlink()
    assert "holds no torch wheel" in refused(lambda: installer.find_wheels(share))
    assert "no folder" in refused(lambda: installer.find_wheels(share / "none"))


def test_a_folder_of_somebody_else_is_left_alone(make, server, share, torch_wheel):
    server.answers["/torch"] = whole(torch_wheel)
    installer = make()
    installer.store.folder.mkdir(parents=True)
    (installer.store.folder / "thesis.txt").write_text("mine")
    wheels = installer.find_wheels(share)
    for act in (
        installer.store.remove,
        lambda: installer.install(is_licence_accepted=True),
        lambda: installer.import_wheels(wheels),
    ):
        assert "is left alone" in refused(act)
    assert files_in(installer.store.folder) == ["thesis.txt"] and not server.asked


def test_another_version_takes_the_place_of_the_old_one(make, share):
    installer = make()
    installer.import_wheels(installer.find_wheels(share))
    (share / NVIDIA).unlink()
    installed = installer.import_wheels(installer.find_wheels(share))
    assert files_in(installed.site) == UNPACKED
    assert installer.store.faults() == []


def test_damage_is_found_and_removal_is_complete(make, share):
    installer = make()
    installed = installer.import_wheels(installer.find_wheels(share))
    (installed.site / "torch/version.py").write_text("cuda = '1.0'\n")
    (installed.site / "torchgen/__init__.py").unlink()
    assert [fault.rpartition("site/")[2] for fault in installer.store.faults()] == [
        "torch/version.py is damaged",
        "torchgen/__init__.py is missing",
    ]
    assert installer.store.remove() == [installer.store.folder]
    assert files_in(installer.store.root) == [f".{PYTHON}.lock"]
    assert "not installed" in refused(installer.store.remove)


def test_what_a_killed_process_left_is_put_right(make, share):
    installer = make()
    store = installer.store
    installer.import_wheels(installer.find_wheels(share))
    store.folder.rename(store.root / f".{PYTHON}.old")  # killed before the new one was there
    write_wheel(store.draft / "half.whl", {})
    with store.alone():
        assert store.state() == READY and not store.draft.exists()
    assert store.faults() == []


def test_only_one_process_changes_it(make, share):
    installer, other = make(), make()
    wheels = installer.find_wheels(share)
    with other.store.alone():
        assert "Another process" in refused(lambda: installer.import_wheels(wheels))
    installer.import_wheels(wheels)


def test_a_sentinel_that_says_nothing_sensible_is_none(make, share):
    installer = make()
    installed = installer.import_wheels(installer.find_wheels(share))
    for text in ("", "[]", "{}", json.dumps({"torch": "2.8.0", "cuda": "", "more": 1})):
        (installed.folder / "runtime.json").write_text(text)
        assert find_installed(installed.folder) is None


@pytest.mark.parametrize("platform", ["linux-x64", "windows-x64"])
@pytest.mark.parametrize("python", ["cp311", "cp313"])
def test_the_shipped_catalogue_is_complete(platform, python):
    wheels = read_release().wheels_for(platform, python)
    names = {WheelName.of(wheel.name).distribution for wheel in wheels}
    needed = "torch filelock typing_extensions sympy mpmath networkx jinja2 markupsafe fsspec"
    assert names >= set(needed.split())
    assert len(names) == len(wheels)
    assert sum("nvidia" in name for name in names) == (14 if platform == "linux-x64" else 0)
    assert 3e9 < sum(wheel.num_bytes for wheel in wheels) < 4e9


@pytest.mark.parametrize("target", [("linux-x64", "cp314"), ("macos-arm64", "cp311"), ("x", "y")])
def test_nothing_is_offered_where_there_is_no_pytorch(target, tmp_path, notes):
    assert read_release().wheels_for(*target) == ()
    installer = Installer(read_release(), tmp_path, notes, platform=target[0], python=target[1])
    message = refused(lambda: installer.install(is_licence_accepted=True))
    assert "is not offered" in message and "docs/cuda.md" in message
