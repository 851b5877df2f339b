"""Axes of a graph input whose size the weight behind them fixes, whatever an exporter declared."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from graphfix.facts.trt_ops import DOMAIN
from graphfix.inference import Types
from graphfix.model import int_attribute

# Operators behind which the last axis, or axis 1, is still that of their first input.
SAME_SHAPE = frozenset({"Cast", "Identity", "QuantizeLinear", "DequantizeLinear", "TRT_FP8QuantizeLinear", "TRT_FP8DequantizeLinear"})


def fixed_axes(value: ir.Value, types: Types) -> set[tuple[int, int]]:
    """(axis, size) pairs of a graph input, by the Conv, MatMul, Gemm or LayerNormalization that it meets first.

    Args:
        value: The input; its rank must be known for anything to be found.
        types: Of the whole model, see `graphfix.inference.infer`.
    """
    return set(_fixed_axes(value, types))


def last_axis(value: ir.Value, types: Types) -> int | None:
    """The size of a value's last axis, whatever its rank, by the MatMul, Gemm or LayerNormalization behind it; None where none is."""
    return next((size for axis, size in _met(value, 0, types) if axis == -1), None)


def _fixed_axes(entry: ir.Value, types: Types) -> Iterator[tuple[int, int]]:
    rank = len(entry.shape) if entry.shape is not None else 0
    for axis, size in _met(entry, rank, types):
        if -rank <= axis < rank:
            yield axis % rank, size


def _met(entry: ir.Value, rank: int, types: Types) -> Iterator[tuple[int, int]]:
    """Axes, and their sizes by the weights that a value meets first, seen through what keeps its shape."""
    pending, seen = [entry], {entry}
    while pending:
        for user, index in pending.pop().uses():
            if index:
                continue
            if user.op_type in SAME_SHAPE and user.domain in {"", DOMAIN}:
                pending += {*user.outputs[:1]} - seen
                seen.update(user.outputs[:1])
            elif not user.domain:
                axis, size = _by_weight(user, rank, types)
                if size is not None:
                    yield axis, size


def _by_weight(node: ir.Node, rank: int, types: Types) -> tuple[int, int | None]:
    """The axis of input 0 that a node's weight fixes, and its size."""
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    known = types[weight].shape if weight is not None and weight in types else None
    if known is None or not all(isinstance(dim, int) for dim in known):
        return 0, None
    shape = [int(dim) for dim in known if isinstance(dim, int)]
    if node.op_type == "Conv" and len(shape) == rank:
        return 1, shape[1] * (int_attribute(node, "group", 1) or 1)
    if node.op_type == "MatMul" and len(shape) >= 2:
        return -1, shape[-2]
    if node.op_type == "Gemm" and len(shape) == 2 and not int_attribute(node, "transA", 0):
        return -1, shape[1 if int_attribute(node, "transB", 0) else 0]
    if node.op_type == "LayerNormalization" and len(shape) == 1:
        return -1, shape[0]
    return 0, None
