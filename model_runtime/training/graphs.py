"""The networks as ONNX graphs for the embedded runtime.

A graph holds no weights: each is an external initializer under its state-dict name, which the
runtime feeds from the safetensors file. So a graph depends on the configuration alone.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import onnx_ir
import torch
from onnxscript import optimizer
from torch import Tensor, nn

from model_runtime.nets.configs import (
    ClipTowerConfig,
    LengthConfig,
    NetworkConfig,
    RvqConfig,
    SentenceTowerConfig,
    TransformerConfig,
)
from model_runtime.nets.rvq import Rvq
from model_runtime.nets.text import ClipTower, SentenceTower
from model_runtime.nets.transformer import LengthEstimator, MaskedTransformer, ResidualTransformer
from model_runtime.networks import Configs
from model_runtime.training.graph_weights import feed_from_outside
from model_runtime.training.int8_graphs import in_int8
from model_runtime.weights_folder import INT8_GRAPHS, add_graphs, read_card

OPSET = 18

BATCH, LENGTH = torch.export.Dim("batch", max=1024), torch.export.Dim("length", max=4096)


class Run(nn.Module):
    """One run of a network, as a module of its own: what PyTorch exports."""

    def __init__(self, network: nn.Module, run: Callable[..., Tensor]) -> None:
        super().__init__()
        self.network, self.run = network, run

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.run(*inputs)


def write_graphs(folder: Path) -> None:
    """Add graphs to a weights folder that lacks them. Raises WeightsError or OSError."""
    add_graphs(folder, graphs_of(Configs.of(read_card(folder)).by_part()))


def graphs_of(configs: dict[str, NetworkConfig]) -> dict[str, bytes]:
    """Graph files by name for networks by part ("rvq", "base", "residual", "length", "text")."""
    graphs = {"encode": encode_graph, "decode": decode_graph}
    made = {name: make(configs["rvq"]) for name, make in graphs.items()}
    makers = {"base": base_graph, "residual": residual_graph, "length": length_graph}
    makers["text"] = text_graph
    made |= {name: make(configs[name]) for name, make in makers.items() if name in configs}
    drafts = {name: in_int8(made[full]) for name, full in INT8_GRAPHS.items() if full in made}
    return made | drafts


@cache
def base_graph(config: TransformerConfig) -> bytes:
    """tokens (B, N), text (B, E) -> logits (B, N, K)."""
    network = MaskedTransformer(config)
    tokens, text = torch.zeros(2, 7, dtype=torch.int64), torch.zeros(2, config.text_size)
    inputs = {"tokens": (tokens, {0: BATCH, 1: LENGTH}), "text": (text, {0: BATCH})}
    return _export(network, network.forward, inputs)


@cache
def residual_graph(config: TransformerConfig) -> bytes:
    """tokens (B, N, Q), q (B,), text (B, E) -> logits (B, N, K + 1)."""
    network = ResidualTransformer(config)
    inputs = {
        "tokens": (
            torch.zeros(2, 7, config.num_quantizers, dtype=torch.int64),
            {0: BATCH, 1: LENGTH},
        ),
        "q": (torch.ones(2, dtype=torch.int64), {0: BATCH}),
        "text": (torch.zeros(2, config.text_size), {0: BATCH}),
    }
    return _export(network, network.forward, inputs)


@cache
def length_graph(config: LengthConfig) -> bytes:
    """text (B, E) -> logits (B, classes)."""
    network = LengthEstimator(config)
    inputs = {"text": (torch.zeros(2, config.text_size), {0: BATCH})}
    return _export(network, network.forward, inputs)


@cache
def text_graph(config: SentenceTowerConfig | ClipTowerConfig) -> bytes:
    """pieces (B, L) -> sentence vectors (B, width) or CLIP's (B, size)."""
    is_clip = isinstance(config, ClipTowerConfig)
    network = ClipTower(config) if is_clip else SentenceTower(config)
    longest = torch.export.Dim("length", max=config.max_pieces)
    inputs = {"ids": (torch.zeros(2, 7, dtype=torch.int64), {0: BATCH, 1: longest})}
    return _export(network, network.forward, inputs)


@cache
def encode_graph(config: RvqConfig) -> bytes:
    """normed features (B, T, D) -> tokens (B, N, Q)."""
    network = Rvq(config)
    frames = 2**config.num_stages * torch.export.Dim("tokens", max=4096)
    features = torch.zeros(2, 7 * 2**config.num_stages, config.num_features)
    inputs = {"features": (features, {0: BATCH, 1: frames})}
    return _export(network, network.encode, inputs)


@cache
def decode_graph(config: RvqConfig) -> bytes:
    """tokens (B, N, Q) -> normed features (B, T, D)."""
    network = Rvq(config)
    tokens = torch.zeros(2, 7, config.num_quantizers, dtype=torch.int64)
    return _export(network, network.decode, {"tokens": (tokens, {0: BATCH, 1: LENGTH})})


def _export(
    network: nn.Module, run: Callable[..., Tensor], inputs: dict[str, tuple[Tensor, dict]]
) -> bytes:
    module = Run(network, run).eval()
    with _quiet():
        program = torch.onnx.export(
            module,
            tuple(example for example, _axes in inputs.values()),
            dynamo=True,
            dynamic_shapes=(tuple(axes for _example, axes in inputs.values()),),
            input_names=list(inputs),
            output_names=["result"],
            opset_version=OPSET,
            optimize=False,  # it would fold weights into constants
            verbose=False,
        )
    assert program is not None
    return _without_weights(program.model)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of packages and of features that are not used here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _without_weights(model: onnx_ir.Model) -> bytes:
    """The optimised graph with external initializers, without the exporter's notes.

    Weights are inputs while the graph is optimised, so that nothing is computed from them.
    """
    graph = model.graph
    weights = [value for name, value in graph.initializers.items() if name.startswith("network.")]
    for value in weights:
        del graph.initializers[value.name or ""]
        value.const_value = None
        graph.inputs.append(value)
    optimizer.optimize_ir(model)
    proto = onnx_ir.to_proto(model)
    onnx.checker.check_model(proto)
    feed_from_outside(proto.graph, "network.")
    _drop_notes(proto)
    return proto.SerializeToString(deterministic=True)


def _drop_notes(proto: onnx.ModelProto) -> None:
    """Source lines, paths and versions of the machine that exported."""
    graph: Any = proto.graph
    proto.ClearField("producer_version")
    for holder in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")
    graph.ClearField("value_info")
