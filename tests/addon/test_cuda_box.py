"""PyTorch for CUDA in the preferences: the real child process, a server here, small wheels."""

from pathlib import Path

import pytest

from tests.addon.test_weights import Sheet, wait_until
from tests.fetcher.faulty_server import Server, trickle, whole
from tests.fetcher.small_wheels import (
    NVIDIA,
    NVIDIA_FILES,
    PYTHON,
    TORCH,
    TORCH_FILES,
    write_runtime_catalogue,
    write_wheel,
)

pytestmark = pytest.mark.blender


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """A folder with wheels."""
    write_wheel(tmp_path / "share" / TORCH, TORCH_FILES)
    write_wheel(tmp_path / "share" / NVIDIA, NVIDIA_FILES)
    return tmp_path / "share"


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


@pytest.fixture
def cuda(bpy, session, share: Path, server: Server, tmp_path: Path, monkeypatch):
    """The add-on's installation, with wheels on a server and nothing installed."""
    from momask_blender.cuda_runtime import CudaInstallation, cuda_runtime

    for name, path in ((TORCH, "/torch"), (NVIDIA, "/nvidia")):
        server.answers[path] = whole((share / name).read_bytes())
    wheels = {
        share / TORCH: [f"{server.address}/torch"],
        share / NVIDIA: [f"{server.address}/nvidia"],
    }
    catalogue = write_runtime_catalogue(tmp_path / "runtime.toml", wheels)
    monkeypatch.setenv("MOMASK_RUNTIME_CATALOGUE", str(catalogue))
    monkeypatch.setenv("MOMASK_RUNTIME", str(tmp_path / "runtime"))
    bpy.context.preferences.system.use_online_access = True
    yield cuda_runtime
    cuda_runtime.shut_down()
    vars(cuda_runtime).update(vars(CudaInstallation()))
    bpy.context.preferences.system.use_online_access = False


def drawn(bpy) -> Sheet:
    from momask_blender.settings import preferences
    from momask_blender.ui.cuda_box import draw_cuda

    sheet = Sheet(bpy)
    draw_cuda(sheet, bpy.context, preferences())
    return sheet


def test_it_says_what_motions_run_on_and_installs(bpy, cuda, tmp_path):
    assert bpy.ops.momask.look_for_cuda() == {"FINISHED"}
    text = drawn(bpy).text
    assert "CPU: ONNX Runtime" in text and "PyTorch for CUDA is not installed" in text
    assert "Install PyTorch 2.8.0 for CUDA 12.8 (0 MB)" in text
    assert bpy.ops.momask.install_cuda(accept_licence=True) == {"FINISHED"}
    assert (tmp_path / "runtime" / PYTHON / "site" / "torch" / "__init__.py").is_file()
    bpy.ops.momask.look_for_cuda()
    assert "PyTorch 2.8.0 for CUDA 12.8 is installed" in drawn(bpy).text
    assert drawn(bpy).operators == ["momask.look_for_cuda", "momask.remove_cuda"]
    assert bpy.ops.momask.remove_cuda() == {"FINISHED"}
    assert not (tmp_path / "runtime" / PYTHON).exists()


def test_terms_and_blenders_online_setting_come_first(bpy, cuda, server):
    with pytest.raises(RuntimeError, match="when its terms are accepted"):
        bpy.ops.momask.install_cuda()
    bpy.context.preferences.system.use_online_access = False
    with pytest.raises(RuntimeError, match="may not go online"):
        bpy.ops.momask.install_cuda(accept_licence=True)
    assert "may not go online" in drawn(bpy).text and not server.asked


def test_a_folder_is_listed_and_agreed_to(bpy, cuda, server, share, tmp_path):
    bpy.context.preferences.system.use_online_access = False
    assert bpy.ops.momask.look_into_wheels(directory=str(share)) == {"FINISHED"}
    bpy.ops.momask.look_for_cuda()
    assert TORCH in drawn(bpy).text and "2 wheels" in drawn(bpy).text
    assert not (tmp_path / "runtime" / PYTHON).exists()
    assert bpy.ops.momask.import_wheels() == {"FINISHED"}
    assert (tmp_path / "runtime" / PYTHON / "runtime.json").is_file() and not server.asked
    assert TORCH not in drawn(bpy).text


def test_what_was_not_agreed_to_is_forgotten(bpy, cuda, share):
    bpy.ops.momask.look_into_wheels(directory=str(share))
    assert bpy.ops.momask.cancel_cuda() == {"FINISHED"}
    assert TORCH not in drawn(bpy).text
    with pytest.raises(RuntimeError, match="Choose a folder"):
        bpy.ops.momask.import_wheels()
    with pytest.raises(RuntimeError, match="holds no torch wheel"):
        bpy.ops.momask.look_into_wheels(directory=str(share.parent))


def test_cancelling_keeps_what_came(bpy, cuda, server, share, tmp_path):
    """Ticked by hand, as in a window."""
    content = (share / TORCH).read_bytes()
    server.answers["/torch"] = trickle(content, pause=60.0, piece=100_000)
    part = tmp_path / "runtime" / "downloads" / PYTHON / f"{TORCH}.part"
    cuda.install()
    wait_until(cuda, lambda: cuda.share > 0.0 and part.stat().st_size == 100_000)
    assert f"Downloading {TORCH}" in drawn(bpy).text
    assert "momask.cancel_cuda" in drawn(bpy).operators
    assert not bpy.ops.momask.install_cuda.poll()
    assert bpy.ops.momask.cancel_cuda() == {"FINISHED"}
    assert "goes on from there" in cuda.notice
    bpy.ops.momask.look_for_cuda()
    assert "Go On with PyTorch 2.8.0" in drawn(bpy).text


def test_the_worker_starts_anew_when_pytorch_has_come_or_gone(bpy, session, cuda, share):
    session.load()
    session.finish()
    first = session.worker
    session.load()
    session.finish()
    assert session.worker is first and "CUDA cannot be used" not in str(session.notice)
    bpy.ops.momask.look_into_wheels(directory=str(share))
    bpy.ops.momask.import_wheels()
    session.load()
    session.finish()
    assert session.worker is not first
    assert "CUDA cannot be used: " in session.notice.text
    assert session.runs_on.startswith("CPU (ONNX Runtime")
    bpy.ops.momask.remove_cuda()
    assert session.worker is None


def test_the_device_preference_comes_first(bpy, cuda, monkeypatch):
    from momask_blender import settings

    bpy.ops.momask.look_for_cuda()
    monkeypatch.setattr(settings._DEFAULTS, "device", "cpu", raising=False)
    assert "as Device is set to CPU" in drawn(bpy).text
