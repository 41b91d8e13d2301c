"""CLIP's archive as OpenAI made it: TorchScript, original names, an image tower beside the text."""

import gzip
import io
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model_runtime.byte_pairs import NUM_MERGES
from weights_fetcher.clip import ARCHIVE, NUM_PIECES, PAIRS

MERGES = Path(__file__).resolve().parents[1] / "goldens" / "clip_merges.txt.gz"


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, max(1, width // 64))
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        layers = {"c_fc": nn.Linear(width, 4 * width), "gelu": nn.ReLU()}
        self.mlp = nn.Sequential(OrderedDict(layers | {"c_proj": nn.Linear(4 * width, width)}))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, width: int, num_layers: int) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*(Block(width) for _ in range(num_layers)))

    def forward(self, x: Tensor) -> Tensor:
        return self.resblocks(x)


class Clip(nn.Module):
    """Its tensors are what matters; it computes nothing that CLIP does."""

    def __init__(self, width: int = 512, num_layers: int = 12) -> None:
        super().__init__()
        self.context_length = 77
        self.visual = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 8, 4), ln_post=nn.LayerNorm(8)))
        self.transformer = Transformer(width, num_layers)
        self.token_embedding = nn.Embedding(NUM_PIECES, width)
        self.positional_embedding = nn.Parameter(torch.randn(77, width) * 0.01)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, 512) * width**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(4.6))
        self.register_buffer("input_resolution", torch.tensor(224))

    def forward(self, text: Tensor) -> Tensor:
        return self.transformer(self.token_embedding(text)) @ self.text_projection


def in_half_precision(clip: Clip) -> Clip:
    """What OpenAI's `convert_weights` makes half; embeddings and norms stay."""
    for module in clip.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.MultiheadAttention):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.half()
    clip.text_projection.data = clip.text_projection.data.half()
    return clip


def golden_clip(file: Path) -> Clip:
    """The fixtures' tower (text_tower.npz), in half precision where that is."""
    with np.load(file) as stored:
        tensors = {name: torch.from_numpy(stored[name]) for name in stored.files}
    layers = {name.split(".")[2] for name in tensors if name.startswith("transformer.")}
    width = tensors["positional_embedding"].shape[1]
    clip = in_half_precision(Clip(width, len(layers)))
    kept = clip.load_state_dict(tensors, strict=False)
    assert not kept.unexpected_keys
    assert all(name.startswith(("visual", "input_")) for name in kept.missing_keys)
    return clip


def write_originals(folder: Path, clip: Clip, merges: bytes | None = None) -> Path:
    """The two files as they are fetched."""
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is what CLIP came in
        torch.jit.save(torch.jit.script(clip.eval()), folder / ARCHIVE)
    lines = gzip.decompress(MERGES.read_bytes()) if merges is None else merges
    title, rest = b'"bpe_simple_vocab_16e6.txt#version: 0.2\n', b"more of it\n" * 3
    with io.BytesIO() as packed:
        with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream:
            stream.write(title + lines + rest)
        (folder / PAIRS).write_bytes(packed.getvalue())
    assert lines.count(b"\n") == NUM_MERGES
    return folder
