"""CLIP's text tower out of the archive that OpenAI published, and its byte pairs.

`ViT-B-32.pt` is a TorchScript archive with an image tower, which is not read. Numbers keep the
width that they have there: half precision, except embeddings and norms.
"""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_runtime.byte_pairs import NUM_MERGES, BytePairs
from model_runtime.packing import Tensors
from model_runtime.weights_folder import differences
from weights_fetcher.errors import ConvertError
from weights_fetcher.published_layout import Row, affine
from weights_fetcher.tensor_reader import TensorArchive, TensorRef

ARCHIVE, PAIRS = "ViT-B-32.pt", "bpe_simple_vocab_16e6.txt.gz"
MAX_PAIRS_BYTES = 16 * 2**20
NUM_PIECES = 2 * 256 + NUM_MERGES + 2  # bytes, also at a word's end; merges; start and end
HEAD_WIDTH = 64  # fixed in CLIP
LAYERS = "transformer.resblocks."
# What the archive holds beside the text tower: the image tower, the scale between both, sizes.
NOT_TAKEN = ("visual.", "logit_scale", "input_resolution", "context_length", "vocab_size")


@dataclass(frozen=True)
class TextTower:
    tensors: Tensors  # by our names, float16 or float32 as in the archive
    config: dict[str, Any]  # of a ClipTowerConfig
    merges: str  # one pair of pieces per line


def read_text_tower(folder: Path) -> TextTower:
    """From a folder that holds both files. Raises ConvertError, TensorFileError or OSError."""
    merges = read_merges(folder / PAIRS)
    with TensorArchive(folder / ARCHIVE) as archive:
        refs = dict(text_refs(archive.contents))
        shapes = {name: ref.shape for name, ref in refs.items()}
        config = tower_config(shapes, archive.file)
        rows = tower_tensors(config)
        if wrong := differences({row.theirs: row.shape for row in rows}, shapes):
            raise ConvertError(f"{archive.file} holds another text tower than CLIP's: {wrong}.")
        tensors = {row.ours: archive.array(refs[row.theirs]) for row in rows}
    for name, tensor in tensors.items():
        if tensor.dtype.kind != "f":
            raise ConvertError(f"{folder / ARCHIVE}: {name} holds no floating-point numbers.")
    tensors["leave.weight"] = tensors["leave.weight"].T
    return TextTower(tensors, config, merges)


def text_refs(contents: Any, prefix: str = "") -> Iterator[tuple[str, TensorRef]]:
    """The text tower's tensors by the names of a state dict, from modules or a flat dictionary."""
    for name, value in contents.items() if isinstance(contents, dict) else ():
        path = f"{prefix}{name}"
        if path.startswith(NOT_TAKEN) or path == "visual":
            continue
        if isinstance(value, TensorRef):
            yield path, value
        elif isinstance(value, dict):
            yield from text_refs(value, f"{path}.")


def tower_config(shapes: Mapping[str, tuple[int, ...]], file: Path) -> dict[str, Any]:
    """Sizes as the tensors have them. Raises ConvertError."""
    layers = {name.removeprefix(LAYERS).split(".")[0] for name in shapes if LAYERS in name}
    try:
        num_pieces, width = shapes["token_embedding.weight"]
        config = {
            "num_pieces": num_pieces,
            "width": width,
            "feedforward": shapes[f"{LAYERS}0.mlp.c_fc.bias"][0],
            "num_layers": len(layers),
            "num_heads": max(1, width // HEAD_WIDTH),
            "max_pieces": shapes["positional_embedding"][0],
            "size": shapes["text_projection"][1],
        }
    except (KeyError, ValueError, IndexError) as error:
        raise ConvertError(f"{file} holds no text tower of CLIP ({error}).") from error
    if num_pieces != NUM_PIECES:
        raise ConvertError(f"{file} knows {num_pieces} byte pairs, CLIP's list gives {NUM_PIECES}.")
    return config


def tower_tensors(config: dict[str, Any]) -> list[Row]:
    """`leave` is stored transposed by CLIP; its shape here is the archive's."""
    width, feedforward = config["width"], config["feedforward"]
    rows = [
        Row("token_embedding.weight", "pieces.weight", (config["num_pieces"], width)),
        Row("positional_embedding", "positions.weight", (config["max_pieces"], width)),
        *affine("ln_final", "norm", width),
        Row("text_projection", "leave.weight", (width, config["size"])),
    ]
    for layer in range(config["num_layers"]):
        theirs, ours = f"{LAYERS}{layer}", f"layers.{layer}"
        rows += [
            Row(f"{theirs}.attn.in_proj_weight", f"{ours}.qkv.weight", (3 * width, width)),
            Row(f"{theirs}.attn.in_proj_bias", f"{ours}.qkv.bias", (3 * width,)),
            *affine(f"{theirs}.attn.out_proj", f"{ours}.out", width, width),
            *affine(f"{theirs}.mlp.c_fc", f"{ours}.expand", feedforward, width),
            *affine(f"{theirs}.mlp.c_proj", f"{ours}.contract", width, feedforward),
            *affine(f"{theirs}.ln_1", f"{ours}.norm_attention", width),
            *affine(f"{theirs}.ln_2", f"{ours}.norm_feedforward", width),
        ]
    return rows


def read_merges(file: Path) -> str:
    """The pairs that CLIP uses of the fetched list, whose first line is a title."""
    try:
        with gzip.open(file) as stream:
            content = stream.read(MAX_PAIRS_BYTES + 1)
        lines = content.decode("utf-8").split("\n")[1 : NUM_MERGES + 1]
        if len(content) > MAX_PAIRS_BYTES:
            raise ValueError("it is too large")
        BytePairs(lines)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ConvertError(f"{file} is no list of byte pairs: {error}.") from error
    return "\n".join(lines) + "\n"
