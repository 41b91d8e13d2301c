"""Small storage for weights: float16, or 8-bit rows with one scale each.

A packed tensor is one entry under its own name (float16), or two: `NAME.int8` (..., columns) and
`NAME.scale` (..., 1). Unpacked weights are float32.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray]

INT8, SCALE = ".int8", ".scale"
# Linear layers of nets/transformer.EncoderLayer: nine tenths of a transformer's operations.
LAYER_PRODUCTS = ("qkv", "out", "expand", "contract")
# Processors without VNNI add two products in 16 bits: 2 x 255 x 64 fits, 2 x 255 x 127 does not.
LARGEST_FACTOR = 64


def pack(tensors: Tensors, eight_bit: Callable[[str], bool] = lambda _name: False) -> Tensors:
    """float32 tensors by name -> packed ones. `eight_bit(name)` chooses those for 8 bits."""
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


def quantize_rows(matrix: NDArray, largest: int = 127) -> tuple[NDArray, NDArray]:
    """(..., columns) -> int8 of the same shape, at most `largest`, and float32 scales (..., 1),
    symmetric."""
    scale = np.abs(matrix).max(axis=-1, keepdims=True) / largest
    scale = np.where(scale == 0.0, 1.0, scale).astype(np.float32)
    return np.rint(matrix / scale).astype(np.int8), scale


def is_layer_product(name: str) -> bool:
    """Whether a weight is a matrix that drafts multiply in 8 bits."""
    return ".layers." in name and name.endswith(tuple(f".{p}.weight" for p in LAYER_PRODUCTS))


def int8_products(tensors: Tensors) -> Tensors:
    """float32 weights of a transformer -> the same with its layers' matrices (out, in) as small
    whole numbers: `NAME.int8` (in, out) and `NAME.scale` (out,)."""
    made: Tensors = {}
    for name, tensor in tensors.items():
        if is_layer_product(name):
            rows, scale = quantize_rows(tensor, LARGEST_FACTOR)
            made[name + INT8] = np.ascontiguousarray(rows.T)
            made[name + SCALE] = scale[:, 0]
        else:
            made[name] = tensor
    return made
