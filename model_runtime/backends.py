"""Which backend runs a model: ONNX Runtime on the CPU, or PyTorch where there is CUDA.

PyTorch takes seconds to import, so what it could do here is found out without importing it.
"""

from importlib.util import find_spec
from pathlib import Path

from model_runtime.cuda_trial import trouble_with
from model_runtime.networks import Networks
from model_runtime.nvidia_driver import read_driver
from model_runtime.weights_folder import ModelCard, WeightsError, read_card
from momask_blender.contract.cuda_folder import Installed, find_installed

DEVICES = ("auto", "cpu", "cuda")


class DeviceError(WeightsError):
    """The wanted device, or what runs a model on it, is not there."""


def open_networks(folder: Path, device: str = "auto") -> Networks:
    """The networks of a weights folder on the wanted device. Raises WeightsError, DeviceError.

    "auto" takes CUDA where PyTorch can use it. The CPU is ONNX Runtime's, or PyTorch's where ONNX
    Runtime or the folder's graphs are missing. Where CUDA was to be expected and is not used,
    `detour` of the networks says why.
    """
    if device not in DEVICES:
        raise WeightsError(f"device must be one of {', '.join(DEVICES)}, got {device}.")
    if device == "cpu":
        return _on_cpu(folder)
    trouble, is_surprise = missing_for_cuda(), _users_own() is not None
    if not trouble:
        try:
            return _on_torch(folder, "cuda")
        except (ImportError, AttributeError, OSError, RuntimeError) as error:
            if device == "cuda":
                raise
            words = " ".join(f"{type(error).__name__}: {error}".split())
            trouble, is_surprise = f"PyTorch fails ({words[:200]})", True
    if device == "cuda":
        raise DeviceError(f"CUDA cannot be used: {trouble}. Choose Automatic or CPU.")
    networks = _on_cpu(folder)
    if is_surprise:
        networks.detour = f"CUDA cannot be used: {trouble}. The CPU makes the motions instead."
    return networks


def _on_cpu(folder: Path) -> Networks:
    card = read_card(folder)
    if reason := _without_onnx(card):
        if not is_installed("torch"):
            raise DeviceError(reason)
        return _on_torch(folder, "cpu")
    from model_runtime.onnx_backend import OnnxNetworks

    return OnnxNetworks(card)


def is_installed(package: str) -> bool:
    return find_spec(package) is not None


def missing_for_cuda() -> str:
    """What stands between PyTorch and CUDA here, in words; empty if nothing does."""
    if not is_installed("torch"):
        return "PyTorch is not installed"
    if not _torch_has_cuda():
        return "this PyTorch is built without CUDA"
    driver = read_driver()
    installed = _users_own()
    return driver.lack or (trouble_with(installed, driver) if installed else "")


def _users_own() -> Installed | None:
    """The PyTorch that the user has installed for this software, if it is the one in use."""
    installed, spec = find_installed(), find_spec("torch")
    if installed is None or spec is None or not spec.origin:
        return None
    return installed if Path(spec.origin).is_relative_to(installed.site) else None


def _without_onnx(card: ModelCard) -> str:
    """Why ONNX Runtime cannot run this model, in words for the user; empty if it can."""
    if not is_installed("onnxruntime"):
        return "ONNX Runtime is not installed, nor is PyTorch: pip install onnxruntime"
    if not card.graphs:
        return (
            f"{card.folder} has no graphs for ONNX Runtime. Where PyTorch is installed, run: "
            f"python -m model_runtime graphs {card.folder}"
        )
    return ""


def _on_torch(folder: Path, device: str) -> Networks:
    from model_runtime.torch_backend import TorchNetworks

    return TorchNetworks.open(folder, device)


def _torch_has_cuda() -> bool:
    """Read from the version file that every PyTorch has, as text: `cuda` is None or a version."""
    spec = find_spec("torch")
    for place in (spec and spec.submodule_search_locations) or ():
        try:
            text = (Path(place) / "version.py").read_text(encoding="utf-8")
        except OSError:
            continue
        lines = [line for line in text.splitlines() if line.startswith("cuda")]
        return any("None" not in line.partition("=")[2] for line in lines)
    return False
