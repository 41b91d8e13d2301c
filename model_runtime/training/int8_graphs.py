"""Graphs whose encoder layers multiply in 8 bits: what drafts run on.

ONNX Runtime's DynamicQuantizeMatMul rounds what comes in to 8 bits with one scale per pass, and
multiplies it by 8-bit weights with one scale per column. What leads into the layers and out of them
stays in float32: on the starter it took four fifths of the error and a tenth of the operations.
"""

import onnx

from model_runtime.packing import INT8, SCALE, is_layer_product
from model_runtime.training.graph_weights import fed

DOMAIN = "com.microsoft"  # ONNX Runtime's own operators


def in_int8(graph: bytes) -> bytes:
    """A transformer's graph with its layers' products in 8 bits. Their weights are to be fed as
    `packing.int8_products` gives them."""
    model = onnx.load_from_string(graph)
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    products = {name for name in shapes if is_layer_product(name)}
    for name in products:
        _multiply_in_int8(model.graph, name)
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in products]
    for name in sorted(products):
        rows, columns = shapes[name]
        kept.append(fed(name + INT8, onnx.TensorProto.INT8, [columns, rows]))
        kept.append(fed(name + SCALE, onnx.TensorProto.FLOAT, [rows]))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    return model.SerializeToString(deterministic=True)


def _multiply_in_int8(graph: onnx.GraphProto, weight: str) -> None:
    """x W^T + b, which is three nodes, becomes one."""
    turned = _reader(graph, weight)
    product = _reader(graph, turned.output[0])
    sum_ = _reader(graph, product.output[0])
    bias = next(name for name in sum_.input if name != product.output[0])
    quantized = onnx.helper.make_node(
        "DynamicQuantizeMatMul",
        [product.input[0], weight + INT8, weight + SCALE, "", bias],
        list(sum_.output),
        domain=DOMAIN,
    )
    graph.node.insert(list(graph.node).index(sum_), quantized)
    for node in (turned, product, sum_):
        graph.node.remove(node)


def _reader(graph: onnx.GraphProto, name: str) -> onnx.NodeProto:
    """The only node that reads a value."""
    (reader,) = (node for node in graph.node if name in node.input)
    return reader
