"""Which backend runs a model, found out without importing PyTorch, and what is said if none can."""

import ctypes
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from model_runtime import backends, nvidia_driver
from model_runtime.backends import missing_for_cuda, open_networks
from model_runtime.onnx_backend import OnnxNetworks
from model_runtime.torch_backend import TorchNetworks
from model_runtime.weights_folder import WeightsError
from tests.runtime.test_weights_folder import edit_card, folder  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[2]


def install(monkeypatch: pytest.MonkeyPatch, *packages: str, torch_version: str = "") -> None:
    """Make only `packages` look installed; PyTorch with this text as its version.py."""
    monkeypatch.setattr(backends, "is_installed", lambda package: package in packages)
    if torch_version:
        file = Path(torch_version)
        folders = [str(file.parent)]
        spec = SimpleNamespace(submodule_search_locations=folders, origin=str(file))
        monkeypatch.setattr(backends, "find_spec", lambda _name: spec)


def driver(monkeypatch: pytest.MonkeyPatch, devices: int, result: int = 0) -> None:
    """A CUDA driver that shows so many devices."""

    def put(number: int):
        def answer(pointer, *_) -> int:
            ctypes.cast(pointer, ctypes.POINTER(ctypes.c_int))[0] = number
            return 0

        return answer

    def name(buffer, _size, device) -> int:
        buffer.value = f"Card {device.value}".encode()
        return 0

    library = SimpleNamespace(
        cuInit=lambda _flags: result,
        cuDriverGetVersion=put(12080),
        cuDeviceGetCount=put(devices),
        cuDeviceGet=lambda pointer, index: put(index)(pointer),
        cuDeviceGetName=name,
    )
    monkeypatch.setattr(nvidia_driver.ctypes, "CDLL", lambda _name: library)


@pytest.fixture
def cuda_torch(tmp_path: Path) -> str:
    file = tmp_path / "torch" / "version.py"
    file.parent.mkdir()
    file.write_text("__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\n")
    return str(file)


@pytest.fixture
def cpu_torch(tmp_path: Path) -> str:
    file = tmp_path / "torch" / "version.py"
    file.parent.mkdir()
    file.write_text("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n")
    return str(file)


def test_the_cpu_is_onnx_runtime_s(tiny_weights: Path):
    networks = open_networks(tiny_weights, "cpu")
    assert isinstance(networks, OnnxNetworks)
    assert networks.runs_on.startswith("CPU (ONNX Runtime ")
    networks.close()


def test_pytorch_steps_in_where_onnx_runtime_cannot(
    folder: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
):
    edit_card(folder, lambda card: card.pop("graphs"))
    networks = open_networks(folder, "cpu")
    assert isinstance(networks, TorchNetworks)
    assert networks.runs_on.startswith("CPU (PyTorch ")
    install(monkeypatch, "onnxruntime")
    with pytest.raises(WeightsError, match="python -m model_runtime graphs") as refused:
        open_networks(folder, "auto")
    assert str(folder) in str(refused.value)


def test_without_any_backend_the_missing_package_is_named(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
):
    install(monkeypatch, "torch")
    assert isinstance(open_networks(tiny_weights, "cpu"), TorchNetworks)
    install(monkeypatch)
    with pytest.raises(WeightsError, match="pip install onnxruntime"):
        open_networks(tiny_weights)


def test_cuda_asked_in_vain_says_what_is_missing(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, cpu_torch: str
):
    install(monkeypatch, "onnxruntime")
    with pytest.raises(WeightsError, match=r"PyTorch is not installed.*Automatic or CPU"):
        open_networks(tiny_weights, "cuda")
    install(monkeypatch, "onnxruntime", "torch", torch_version=cpu_torch)
    with pytest.raises(WeightsError, match="built without CUDA"):
        open_networks(tiny_weights, "cuda")
    assert isinstance(open_networks(tiny_weights, "auto"), OnnxNetworks)


def test_cuda_needs_a_device_that_the_driver_shows(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, cuda_torch: str
):
    install(monkeypatch, "onnxruntime", "torch", torch_version=cuda_torch)
    for devices, result in ((0, 0), (1, 100)):
        driver(monkeypatch, devices, result)
        with pytest.raises(WeightsError, match="shows no device"):
            open_networks(tiny_weights, "cuda")
    driver(monkeypatch, 2)
    assert missing_for_cuda() == ""
    assert nvidia_driver.read_driver().devices == ("Card 0", "Card 1")


def test_what_fails_on_cuda_is_made_on_the_cpu_and_said(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, cuda_torch: str
):
    def fail(*_) -> None:
        raise RuntimeError("CUDA out of memory\nTried to allocate")

    install(monkeypatch, "onnxruntime", "torch", torch_version=cuda_torch)
    driver(monkeypatch, 1)
    monkeypatch.setattr(TorchNetworks, "open", fail)
    networks = open_networks(tiny_weights)
    assert isinstance(networks, OnnxNetworks)
    assert networks.detour == (
        "CUDA cannot be used: PyTorch fails (RuntimeError: CUDA out of memory Tried to allocate). "
        "The CPU makes the motions instead."
    )
    with pytest.raises(RuntimeError, match="out of memory"):  # who asks for CUDA is told
        open_networks(tiny_weights, "cuda")
    assert not open_networks(tiny_weights, "cpu").detour


def test_a_device_of_another_name_is_refused(tiny_weights: Path):
    with pytest.raises(WeightsError, match="auto, cpu, cuda"):
        open_networks(tiny_weights, "tpu")


def test_choosing_imports_no_pytorch_where_there_is_no_cuda(tiny_weights: Path):
    if not missing_for_cuda():
        pytest.skip("there is CUDA here")
    script = (
        "import sys; from pathlib import Path; from model_runtime.backends import open_networks\n"
        "open_networks(Path(sys.argv[1])).embed_text(['walks'])\n"
        "assert 'torch' not in sys.modules and 'onnx' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tiny_weights)], cwd=ROOT, check=True)
