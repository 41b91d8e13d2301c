"""`python -m model_runtime.training.published_graphs`: writes the graphs of the published sizes.

To be run again when a network, or PyTorch's exporter, has changed.
"""

from model_runtime.nets.configs import (
    ClipTowerConfig,
    LengthConfig,
    NetworkConfig,
    RvqConfig,
    TransformerConfig,
)
from model_runtime.ready_graphs import FOLDER, graph_file
from model_runtime.training.graphs import graphs_of
from model_runtime.weights_folder import GRAPHS

TRANSFORMER = TransformerConfig()
HUMANML3D: dict[str, NetworkConfig] = {
    "rvq": RvqConfig(),
    "base": TRANSFORMER,
    "residual": TRANSFORMER,
    "length": LengthConfig(),
    "text": ClipTowerConfig(),
}
KIT: dict[str, NetworkConfig] = HUMANML3D | {"rvq": RvqConfig(num_features=251)}


def published_graphs() -> dict[str, bytes]:
    """File name -> graph."""
    return {
        graph_file(name, configs[GRAPHS[name]]): graph
        for configs in (HUMANML3D, KIT)
        for name, graph in graphs_of(configs).items()
    }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.onnx"):
        file.unlink()
    for name, graph in published_graphs().items():
        (FOLDER / name).write_bytes(graph)
        print(f"{name}: {len(graph)} bytes")


if __name__ == "__main__":
    main()
