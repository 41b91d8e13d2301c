"""The published evaluator's checkpoint -> one safetensors file of ours.

A published tree has `text_mot_match/model/finest.tar` beside the models of a data set and, in
`Comp_v6_KLD005/meta`, the statistics that it was trained with.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model_runtime.evaluation.evaluator import GLOVE, NUM_CONTACTS, Reads, save_evaluator
from weights_fetcher.convert import Kind, Tensors, read_network, read_statistics
from weights_fetcher.published_layout import NUM_FEATURES, Row, affine

FOLDER = "text_mot_match"
STATISTICS_FOLDER = "Comp_v6_KLD005"
FILE = "finest.tar"

# Fixed in the release: its evaluator has no options of its own.
PUBLISHED_SIZES = {
    "movement_hidden": 512,
    "movement_size": 512,
    "motion_hidden": 1024,
    "text_hidden": 512,
    "size": 512,
    "word_size": 300,
    "role_size": 15,
}


def convert_evaluator(
    tree: Path, out: Path, dataset: str = "t2m", sizes: dict[str, int] | None = None
) -> None:
    """Write `out` (safetensors) from the data set's folder in `tree`.

    Raises ConvertError or TensorFileError that names what is missing or does not fit.
    """
    folder = tree / dataset
    config = (sizes or PUBLISHED_SIZES) | {"num_features": NUM_FEATURES[dataset]}
    tensors = read_evaluator(folder / FOLDER, config)
    tensors |= read_statistics(folder / STATISTICS_FOLDER / "meta", config["num_features"])
    save_evaluator(out, tensors, config, Reads(GLOVE))


def read_evaluator(folder: Path, config: dict[str, Any]) -> Tensors:
    """The checkpoint's three networks under our names, float32."""
    tables = {
        "movement_encoder": movement_tensors(config),
        "motion_encoder": motion_tensors(config),
        "text_encoder": text_tensors(config),
    }
    tensors: Tensors = {}
    for key, rows in tables.items():
        kind = Kind(f"evaluator's {key.replace('_', ' ')}", FILE, (key,))
        tensors |= read_network(folder, kind, list(rows))
    return tensors


def movement_tensors(config: dict[str, Any]) -> Iterator[Row]:
    hidden, size = config["movement_hidden"], config["movement_size"]
    yield from affine("main.0", "movement.first", hidden, config["num_features"] - NUM_CONTACTS, 4)
    yield from affine("main.3", "movement.second", size, hidden, 4)
    yield from affine("out_net", "movement.leave", size, size)


def motion_tensors(config: dict[str, Any]) -> Iterator[Row]:
    yield from _reader("motion", config["movement_size"], config["motion_hidden"], config["size"])


def text_tensors(config: dict[str, Any]) -> Iterator[Row]:
    yield from affine("pos_emb", "roles", config["word_size"], config["role_size"])
    yield from _reader("text", config["word_size"], config["text_hidden"], config["size"])


def _reader(ours: str, in_size: int, hidden: int, out_size: int) -> Iterator[Row]:
    yield Row("hidden", f"{ours}.start", (2, 1, hidden))
    yield from affine("input_emb", f"{ours}.enter", hidden, in_size)
    for end in ("l0", "l0_reverse"):
        for side in ("ih", "hh"):
            shape = (3 * hidden, hidden)  # three gates
            yield Row(f"gru.weight_{side}_{end}", f"{ours}.gru.weight_{side}_{end}", shape)
            yield Row(f"gru.bias_{side}_{end}", f"{ours}.gru.bias_{side}_{end}", shape[:1])
    yield from affine("output_net.0", f"{ours}.leave.0", hidden, 2 * hidden)
    yield from affine("output_net.1", f"{ours}.leave.1", hidden)
    yield from affine("output_net.3", f"{ours}.leave.3", out_size, hidden)
