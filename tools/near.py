"""Whether two models are one graph whose numbers differ by rounding only: processors round matrix products each in their own way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir


def distance(a: Path, b: Path) -> float:
    """How far the numbers of two models lie apart.

    Args:
        a: A model.
        b: Another one.

    Returns:
        The largest relative L2 distance between two tensors, signs aside, which a singular value decomposition leaves open; for codes
        of few bits the share that differs; infinity where the graphs are not the same, names, types and shapes included.
    """
    left, right = onnx.load(a), onnx.load(b)
    pairs = list(zip(_tensors(left), _tensors(right), strict=False))
    far = max((_apart(x, y) for x, y in pairs), default=0.0)
    for model in (left, right):
        for tensor in _tensors(model):
            _empty(tensor)
    return far if left == right else float("inf")


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        yield from (attribute.t for attribute in node.attribute if attribute.type == onnx.AttributeProto.TENSOR)


def _apart(a: onnx.TensorProto, b: onnx.TensorProto) -> float:
    if a.SerializeToString() == b.SerializeToString():
        return 0.0
    if (a.data_type, list(a.dims)) != (b.data_type, list(b.dims)):
        return float("inf")
    x, y = (ir.from_proto(tensor).numpy() for tensor in (a, b))
    if ir.DataType(a.data_type).bitwidth <= 8:
        return float(np.mean(x.view(np.uint8) != y.view(np.uint8)))
    if not ir.DataType(a.data_type).is_floating_point():
        return float("inf")
    x, y = np.abs(x.astype(np.float64)), np.abs(y.astype(np.float64))
    return float(np.linalg.norm(x - y) / (np.linalg.norm(x) or 1.0))


def _empty(tensor: onnx.TensorProto) -> None:
    for field in ("raw_data", "float_data", "int32_data", "double_data"):
        if tensor.data_type != onnx.TensorProto.INT64:
            tensor.ClearField(field)
