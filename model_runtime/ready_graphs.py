"""Graphs for ONNX Runtime that come with this software: those of the published sizes.

A graph depends on a network's configuration alone and is made with PyTorch, which an add-on does
not have. `training/published_graphs.py` makes these files, named by what they are made from.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from model_runtime.nets.configs import NetworkConfig
from model_runtime.weights_folder import GRAPHS

FOLDER = Path(__file__).with_name("graphs")
BASE_WITHOUT_EFFECT = ("dropout", "shared", "num_quantizers")  # on a graph


def ready_graphs(configs: Mapping[str, NetworkConfig]) -> dict[str, bytes]:
    """Graph files by name for networks by part; none unless all are there."""
    files = {
        name: FOLDER / graph_file(name, configs[part])
        for name, part in GRAPHS.items()
        if part in configs
    }
    if not all(file.is_file() for file in files.values()):
        return {}
    return {name: file.read_bytes() for name, file in files.items()}


def graph_file(name: str, config: NetworkConfig) -> str:
    """A graph's file name, with a digest of the sizes that it is made from."""
    ignored = BASE_WITHOUT_EFFECT if GRAPHS[name] == "base" else ("dropout",)
    sizes = {key: value for key, value in vars(config).items() if key not in ignored}
    digest = hashlib.sha256(json.dumps(sizes, sort_keys=True).encode()).hexdigest()
    return f"{name}-{digest[:12]}.onnx"
