"""`python -m weights_fetcher runtime ...` as a process: listed, agreed to, killed, gone on with."""

import os
import resource
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.fetcher.faulty_server import Server, trickle, whole
from tests.fetcher.small_wheels import NVIDIA, PYTHON, TORCH, write_runtime_catalogue
from tests.fetcher.test_commands import ended, refusal, refused_as_nobody, wait_for


@pytest.fixture
def catalogue(tmp_path: Path, share: Path, server: Server) -> Path:
    """Of the share's wheels, which the server gives."""
    for name, path in ((TORCH, "/torch"), (NVIDIA, "/nvidia")):
        server.answers[path] = whole((share / name).read_bytes())
    wheels = {
        share / TORCH: [f"{server.address}/torch"],
        share / NVIDIA: [f"{server.address}/nvidia"],
    }
    return write_runtime_catalogue(tmp_path / "runtime.toml", wheels)


@pytest.fixture
def runtime(command, catalogue: Path):
    """`runtime WORD ...` with this catalogue."""
    return lambda *arguments, **options: command(
        "runtime", *arguments, "--catalogue", catalogue, **options
    )


def test_it_is_shown_installed_verified_and_removed(runtime, tmp_path):
    code, out, _ = ended(runtime("show"))
    assert code == 0
    assert "CPU: ONNX Runtime" in out and "PyTorch for CUDA is not installed" in out
    assert "Offered: PyTorch 2.8.0 for CUDA 12.8" in out and "Read it." in out and TORCH in out
    assert "--accept-licence" in refusal(runtime("install"))
    code, out, _ = ended(runtime("install", "--accept-licence"))
    assert (code, out) == (
        0,
        f"PyTorch 2.8.0 for CUDA 12.8 is in {tmp_path / 'runtime' / PYTHON}.\n",
    )
    assert "PyTorch 2.8.0 for CUDA 12.8 is installed" in ended(runtime("show"))[1]
    assert ended(runtime("verify"))[0] == 0
    (tmp_path / "runtime" / PYTHON / "site" / "torch" / "cuda.py").unlink()
    assert "cuda.py is missing. Remove it and install again" in refusal(runtime("verify"))
    assert ended(runtime("remove"))[0] == 0
    assert "is not installed" in refusal(runtime("remove"))
    assert "is not installed" in refusal(runtime("verify"))


def test_a_folder_is_listed_then_agreed_to(runtime, share, tmp_path):
    code, out, err = ended(runtime("import", share))
    assert code == 2 and TORCH in out and not (tmp_path / "runtime" / PYTHON).exists()
    word = err.rpartition("--confirm ")[2].split()[0]
    assert "other wheels by now" in refusal_of_last_line(runtime("import", share, "--confirm", "x"))
    code, out, _ = ended(runtime("import", share, "--confirm", word))
    assert code == 0 and "PyTorch 2.8.0 for CUDA 12.8 is in" in out


def refusal_of_last_line(process) -> str:
    """Progress is told before it."""
    code, _, err = ended(process)
    assert code == 2
    return err.splitlines()[-1]


def test_an_installation_that_is_killed_goes_on(runtime, server, share, tmp_path):
    content = (share / TORCH).read_bytes()
    server.answers["/torch"] = trickle(content, pause=60.0, piece=100_000)
    part = tmp_path / "runtime" / "downloads" / PYTHON / f"{TORCH}.part"
    process = runtime("install", "--accept-licence")
    wait_for(lambda: part.exists() and part.stat().st_size == 100_000)
    assert "Another process" in refusal(runtime("install", "--accept-licence"))
    process.kill()
    process.communicate()
    assert "begun" in ended(runtime("show"))[1]
    server.answers["/torch"] = whole(content)
    assert ended(runtime("install", "--accept-licence"))[0] == 0
    assert ("/torch", "bytes=100000-") in server.asked


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))


def test_a_disk_that_fills_up_while_unpacking(runtime, share, tmp_path):
    word = ended(runtime("import", share))[2].rpartition("--confirm ")[2].split()[0]
    process = runtime("import", share, "--confirm", word, preexec_fn=small_files)
    assert "The disk is full" in refusal_of_last_line(process)
    assert os.listdir(tmp_path / "runtime") == [f".{PYTHON}.lock"]


def test_a_disk_that_fills_up_while_downloading(runtime, tmp_path):
    process = runtime("install", "--accept-licence", preexec_fn=small_files)
    assert "The disk is full" in refusal_of_last_line(process)
    folder = tmp_path / "runtime"
    assert not (folder / PYTHON).exists() and not (folder / f".{PYTHON}.new").exists()
    assert (folder / "downloads" / PYTHON).exists()
    assert ended(runtime("install", "--accept-licence"))[0] == 0


def test_a_folder_that_cannot_be_written_is_told(catalogue, server, monkeypatch):
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        shutil.copyfile(catalogue, folder / "list.toml")
        folder.chmod(0o555)
        monkeypatch.setenv("MOMASK_RUNTIME", str(folder / "runtime"))
        arguments = ["install", "--accept-licence", "--catalogue", str(folder / "list.toml")]
        message = refused_as_nobody("runtime", *arguments)
        assert "Set MOMASK_RUNTIME" in message and message.count("\n") == 1
        assert os.listdir(folder) == ["list.toml"]
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
    assert not server.asked


def test_a_catalogue_that_is_none(command, tmp_path):
    for text in ("[release]", "nonsense", '[release]\ntorch = 2\ncuda = "1"\n[licence]\n'):
        (tmp_path / "list.toml").write_text(text)
        message = refusal(command("runtime", "show", "--catalogue", tmp_path / "list.toml"))
        assert "list.toml" in message
