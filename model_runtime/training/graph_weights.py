"""The weights of a graph: external initializers, which the runtime feeds from safetensors."""

from collections.abc import Sequence

import onnx

FED = "safetensors"  # stands where ONNX wants a file's name; no file of this name is ever read


def fed(name: str, data_type: int, shape: Sequence[int]) -> onnx.TensorProto:
    """A weight that the runtime feeds under this name."""
    tensor = onnx.TensorProto(name=name, data_type=data_type, dims=shape)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=FED)
    return tensor


def feed_from_outside(graph: onnx.GraphProto, prefix: str) -> None:
    """Inputs whose names begin with `prefix` become external initializers without it."""
    weights = [value for value in graph.input if value.name.startswith(prefix)]
    for value in weights:
        graph.input.remove(value)
        kind = value.type.tensor_type
        shape = [size.dim_value for size in kind.shape.dim]
        graph.initializer.append(fed(value.name.removeprefix(prefix), kind.elem_type, shape))
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = name.removeprefix(prefix)
