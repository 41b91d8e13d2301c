"""Fixtures that several test folders use."""

import os
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXIT_STATUS = pytest.StashKey[int]()
SHARED = Path(__file__).resolve().parents[2] / "shared"
os.environ["MOMASK_RUNTIME"] = str(SHARED / "no-runtime")  # not what its user has installed

TINY_VOCABULARY = "[PAD] [UNK] [CLS] [SEP] a person walks runs jumps sits left right . ##s".split()
TINY_CODES = {"num_codes": 32, "code_size": 16, "num_quantizers": 3}
TINY_TRANSFORMER = TINY_CODES | {
    "text_size": 16,
    "width": 24,
    "feedforward": 32,
    "num_layers": 2,
    "num_heads": 2,
}
TINY_CONFIGS: dict[str, dict[str, Any]] = {
    "rvq": TINY_CODES | {"width": 16},
    "base": TINY_TRANSFORMER,
    "residual": TINY_TRANSFORMER,
    "length": {"text_size": 16, "hidden": (16, 8), "num_classes": 50},
}
TINY_TEXT = {  # and four cue words: 16 numbers for a text
    "num_pieces": len(TINY_VOCABULARY),
    "width": 12,
    "feedforward": 16,
    "num_layers": 1,
    "num_heads": 2,
}


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of goldens and mocap beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the shared folder with goldens and mocap is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], dict[str, np.ndarray]]:
    """Reads a golden of the official modules by name: float16 as float32, counts as int64."""
    from safetensors.numpy import load_file

    widened = {np.dtype("f2"): np.float32, np.dtype("i4"): np.int64}

    @cache
    def read(name: str) -> dict[str, np.ndarray]:
        tensors = load_file(shared / "fixtures" / "golden" / f"{name}.safetensors")
        return {k: v.astype(widened.get(v.dtype, v.dtype)) for k, v in tensors.items()}

    return read


@pytest.fixture(scope="session")
def published(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """The networks of the goldens: their checkpoints in the published layout, converted."""
    from model_runtime.onnx_backend import OnnxNetworks
    from model_runtime.torch_backend import TorchNetworks
    from tests.fetcher.original_clip import golden_clip, write_originals
    from weights_fetcher.convert import convert

    residuals = {
        ("t2m", True): "tres_nlayer3_ld12_ff56_rvq6ns_cdp0.2_sw",
        ("t2m", False): "tres_nlayer2_ld12_ff48_rvq6ns_cdp0.2",
        ("kit", True): None,
    }

    @cache
    def converted(dataset: str, is_shared: bool) -> Path:
        folder = tmp_path_factory.mktemp("published") / dataset
        tower = golden_clip(shared / "fixtures" / "clip" / "text_tower.npz")
        clip = write_originals(folder.with_name("clip"), tower)
        tree, residual = shared / "fixtures" / "checkpoints", residuals[dataset, is_shared]
        convert(tree, folder, dataset, residual=residual, clip=clip)
        return folder

    @cache
    def open_networks(dataset: str, is_shared: bool = True, backend: str = "torch") -> Any:
        folder = converted(dataset, is_shared)
        if backend == "onnx":
            return OnnxNetworks.open(folder)
        return TorchNetworks.open(folder, "cpu")

    return open_networks


@pytest.fixture(params=["torch", "onnx"])
def on_each_backend(request: pytest.FixtureRequest, published: Callable[..., Any]) -> Any:
    """As `published`, on PyTorch and on ONNX Runtime in turn."""
    return partial(published, backend=request.param)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete weights folder of tiny networks with random weights. Copy it to change it."""
    from model_runtime.training.graphs import write_graphs
    from model_runtime.weights_folder import write_folder

    folder = tmp_path_factory.mktemp("weights") / "tiny"
    folder.mkdir()
    packed = {name: _random_tensors(name, config) for name, config in TINY_CONFIGS.items()}
    packed["statistics"] = {"mean": np.zeros(263, np.float32), "std": np.ones(263, np.float32)}
    about = {"name": "tiny", "licence": "none", "data": "none", "text": _write_text_tower(folder)}
    write_folder(folder, about, packed, TINY_CONFIGS, {})
    write_graphs(folder)
    return folder


def _write_text_tower(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import save_file

    from model_runtime.weights_folder import file_part

    vocabulary, weights = folder / "vocabulary.txt", folder / "text.safetensors"
    vocabulary.write_text("\n".join(TINY_VOCABULARY) + "\n", encoding="utf-8")
    save_file(_random_tensors("text", TINY_TEXT), weights)
    part = {"kind": "sentence", "config": TINY_TEXT, "vocabulary": file_part(vocabulary)}
    return part | file_part(weights)


def _random_tensors(name: str, config: dict[str, Any]) -> dict[str, np.ndarray]:
    import torch

    from model_runtime.nets import configs, rvq, text, transformer

    kind, config_kind = {
        "rvq": (rvq.Rvq, configs.RvqConfig),
        "base": (transformer.MaskedTransformer, configs.TransformerConfig),
        "residual": (transformer.ResidualTransformer, configs.TransformerConfig),
        "length": (transformer.LengthEstimator, configs.LengthConfig),
        "text": (text.SentenceTower, configs.SentenceTowerConfig),
    }[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = kind(config_kind(**config))
        tensors = network.state_dict()
        if name == "rvq":
            torch.nn.init.normal_(tensors["codebooks"])
    return {name: tensor.numpy() for name, tensor in tensors.items()}


@pytest.fixture(scope="session")
def tiny_networks(tiny_weights: Path) -> Any:
    """Tiny networks with random weights on the CPU."""
    from model_runtime.torch_backend import TorchNetworks

    return TorchNetworks.open(tiny_weights, "cpu")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[EXIT_STATUS] = int(exitstatus)


def pytest_unconfigure(config: pytest.Config) -> None:
    """As the process ends Blender's module may crash (4.2, after any glTF export) or wait for ever
    (4.5, for a thread of its own), with or without us: leave before, with the tests' status."""
    if "bpy" in sys.modules and EXIT_STATUS in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[EXIT_STATUS])
