"""The networks on ONNX Runtime: what the add-on carries, without PyTorch.

A graph holds no weights. They come from the safetensors file of its part, and a graph that names
any other file is refused.
"""

import copy
import ctypes
import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model_runtime.nets.configs import ClipTowerConfig
from model_runtime.networks import Networks
from model_runtime.packing import Tensors, int8_products
from model_runtime.weights_folder import (
    CARD_FILE,
    GRAPHS,
    INT8_GRAPHS,
    ModelCard,
    WeightsError,
    read_card,
    read_tensors,
    read_verified,
)

Array = NDArray[np.floating]
Tokens = NDArray[np.int64]

ERRORS_ONLY = 3  # of ONNX Runtime's log
# Encoder and decoder share the RVQ's file: what one of them does not take.
NOT_TAKEN = {"encode": "decoder.", "decode": "encoder."}
LOADED_LATER = ("encode", *INT8_GRAPHS)  # what a first motion does not need


class OnnxNetworks(Networks):
    """The runs of all networks of one weights folder on the CPU. Each is loaded when first used."""

    def __init__(self, card: ModelCard) -> None:
        """Raises WeightsError for a folder that is damaged or incomplete."""
        super().__init__(card)
        self.runs_on = f"CPU (ONNX Runtime {onnxruntime.__version__})"
        onnxruntime.disable_telemetry_events()
        self._sessions = {
            name: self._load(name) for name in card.graphs if name not in LOADED_LATER
        }
        self._is_for_drafts = False

    @classmethod
    def open(cls, folder: Path) -> "OnnxNetworks":
        """Raises WeightsError for a folder that is damaged or incomplete."""
        return cls(read_card(folder))

    def for_drafts(self) -> "OnnxNetworks":
        drafting = copy.copy(self)
        drafting._is_for_drafts = True
        return drafting

    def run_base(self, tokens: Tokens, texts: Array) -> Array:
        return self._run("base", tokens=tokens, text=texts)

    def run_residual(self, tokens: Tokens, layer: int, texts: Array) -> Array:
        q = np.full(len(texts), layer, dtype=np.int64)
        return self._run("residual", tokens=tokens, q=q, text=texts)

    def run_length(self, texts: Array) -> Array:
        return self._run("length", text=texts)

    def run_tower(self, pieces: Tokens) -> Array:
        return self._run("text", ids=pieces)

    def run_encoder(self, normed: Array) -> Tokens:
        return self._run("encode", features=normed)

    def run_decoder(self, tokens: Tokens) -> Array:
        return self._run("decode", tokens=tokens)

    def close(self) -> None:
        self._sessions.clear()
        gc.collect()
        _return_free_memory()

    def _run(self, name: str, **inputs: NDArray) -> NDArray[Any]:
        if self._is_for_drafts and f"{name}_int8" in self.card.graphs:
            name = f"{name}_int8"
        if name not in self._sessions:
            self._sessions[name] = self._load(name)
        return self._sessions[name].run(None, inputs)[0]  # type: ignore[return-value]

    def _load(self, name: str) -> onnxruntime.InferenceSession:
        folder, graph = self.card.folder, self.card.graphs[name]
        weights = self.card.parts[GRAPHS[name]]
        content = read_verified(folder, graph)
        tensors = read_tensors(folder, weights)
        if name in NOT_TAKEN:
            tensors = {k: v for k, v in tensors.items() if not k.startswith(NOT_TAKEN[name])}
        tensors = {k: v for k, v in tensors.items() if v.size}  # two layers share no table
        tensors = int8_products(tensors) if name in INT8_GRAPHS else tensors
        try:
            session = _session(content, tensors, folder / graph.file)
        except Exception as error:  # ONNX Runtime has no common class of its own
            raise WeightsError(
                f"{folder / graph.file} cannot be used with {weights.file} ({_reason(error)}). "
                "Fetch the model again."
            ) from error
        width, expected = session.get_outputs()[0].shape[-1], self._result_width(name)
        if width != expected:
            raise WeightsError(
                f"{folder / graph.file} does not fit {CARD_FILE}: "
                f"it gives {width} numbers instead of {expected}."
            )
        return session

    def _result_width(self, name: str) -> int:
        configs, name = self.configs, INT8_GRAPHS.get(name, name)
        if name == "length":
            assert configs.length
            return configs.length.num_classes
        if name == "text":
            assert configs.text
            tower = configs.text
            return tower.size if isinstance(tower, ClipTowerConfig) else tower.width
        return {
            "base": configs.base.num_codes,
            "residual": configs.residual.num_codes + 1,
            "encode": configs.rvq.num_quantizers,
            "decode": configs.rvq.num_features,
        }[name]


def _session(graph: bytes, tensors: Tensors, file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.enable_cpu_mem_arena = False  # as fast, and memory goes back when it is not needed
    options.intra_op_num_threads = _num_threads()
    # Threads that wait must not burn the cores that Blender draws with.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights that we do not feed would be looked for inside of the graph file: nothing is there.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(file.absolute())
    )
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for tensor in tensors.values()]
    options.add_external_initializers(list(tensors), values)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _num_threads() -> int:
    """0, ONNX Runtime's own choice, unless this process is kept from some of the processors: it
    would bind its threads to them all the same."""
    if not hasattr(os, "sched_getaffinity"):  # not on Windows and macOS
        return 0
    allowed = len(os.sched_getaffinity(0))
    return allowed if allowed < (os.cpu_count() or 1) else 0


def _reason(error: Exception) -> str:
    """ONNX Runtime's message in one line, without its error numbers."""
    return " ".join(str(error).split()).rpartition(" : ")[2][:200]


def _return_free_memory() -> None:
    """glibc keeps what was freed for later; give it to the system."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another C library, or Windows
        return
