"""Placeholder until the embedded runtime is merged."""

from pathlib import Path

from model_runtime.networks import WeightsError


class DeviceError(WeightsError):
    pass


def open_networks(folder: Path, device: str = "auto"):
    from model_runtime.torch_backend import TorchNetworks

    n = TorchNetworks.open(folder, device)
    n.runs_on = "CPU (PyTorch)"
    return n
