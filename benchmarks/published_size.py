"""A model of the published sizes with random weights: as good as the real one for time."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from model_runtime.nets.rvq import Rvq
from model_runtime.nets.text import ClipTower
from model_runtime.nets.transformer import LengthEstimator, MaskedTransformer, ResidualTransformer
from model_runtime.packing import Tensors, pack
from model_runtime.ready_graphs import ready_graphs
from model_runtime.training.published_graphs import HUMANML3D
from model_runtime.weights_folder import CARD_FILE, file_part, write_folder

MERGES = Path(__file__).resolve().parents[1] / "tests" / "goldens" / "clip_merges.txt.gz"
KINDS = {
    "rvq": Rvq,
    "base": MaskedTransformer,
    "residual": ResidualTransformer,
    "length": LengthEstimator,
    "text": ClipTower,
}


def published_size(folder: Path) -> Path:
    """The folder, written if it is not there yet. HumanML3D's sizes with CLIP's text tower."""
    if (folder / CARD_FILE).is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    packed = {name: random_tensors(name) for name in KINDS if name != "text"}
    packed["statistics"] = {"mean": np.zeros(263, np.float32), "std": np.ones(263, np.float32)}
    configs = {name: dict(vars(config)) for name, config in HUMANML3D.items()}
    about: dict[str, Any] = {"name": "published size", "licence": "none", "data": "none"}
    about["text"] = {"kind": "clip", "config": configs["text"]} | _write_text_tower(folder)
    write_folder(folder, about, packed, configs, ready_graphs(HUMANML3D))
    return folder


def _write_text_tower(folder: Path) -> dict[str, Any]:
    """In half precision, as CLIP's archive has it, and the byte pairs of the tests."""
    vocabulary, weights = folder / "vocabulary.txt", folder / "text.safetensors"
    vocabulary.write_bytes(gzip.decompress(MERGES.read_bytes()))
    save_file(pack(random_tensors("text")), weights)
    return {"vocabulary": file_part(vocabulary)} | file_part(weights)


def random_tensors(name: str) -> Tensors:
    """Of one network, small enough that nothing overflows."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tensors = KINDS[name](HUMANML3D[name]).state_dict()
        if name == "rvq":
            torch.nn.init.normal_(tensors["codebooks"])
    return {key: tensor.numpy() for key, tensor in tensors.items()}
