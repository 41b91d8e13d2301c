"""Small storage for weights: float16, or 8-bit rows with one scale each.

A packed tensor is one entry under its own name (float16), or two: `NAME.int8` (rows, columns) and
`NAME.scale` (rows, 1). Unpacked weights are float32.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray]

INT8, SCALE = ".int8", ".scale"


def pack(tensors: Tensors, eight_bit: Callable[[str], bool] = lambda _name: False) -> Tensors:
    """float32 tensors by name -> packed ones. `eight_bit(name)` chooses matrices for 8 bits."""
    packed: Tensors = {}
    for name, tensor in tensors.items():
        if eight_bit(name):
            packed[name + INT8], packed[name + SCALE] = quantize_rows(tensor)
        else:
            packed[name] = np.ascontiguousarray(tensor.astype(np.float16))
    return packed


def unpack(packed: Tensors) -> Tensors:
    """Packed or plain tensors by name -> float32 tensors. Raises KeyError for a missing scale."""
    tensors: Tensors = {}
    for name, tensor in packed.items():
        if name.endswith(INT8):
            plain = name.removesuffix(INT8)
            tensors[plain] = tensor.astype(np.float32) * packed[plain + SCALE].astype(np.float32)
        elif not name.endswith(SCALE):
            tensors[name] = tensor.astype(np.float32)
    return tensors


def quantize_rows(matrix: NDArray) -> tuple[NDArray, NDArray]:
    """(rows, columns) -> int8 of the same shape and float32 scales (rows, 1), symmetric."""
    scale = np.abs(matrix).max(axis=1, keepdims=True) / 127.0
    scale = np.where(scale == 0.0, 1.0, scale).astype(np.float32)
    return np.rint(matrix / scale).astype(np.int8), scale
