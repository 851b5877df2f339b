"""What is in a model, counted from its header: ``graphfix inspect`` and anything else that wants to know."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from graphfix import io
from graphfix.element_types import element_types
from graphfix.facts.trt_ops import DOMAIN
from graphfix.model import DEFAULT_DOMAIN, constant_tensor, int_attribute, operand, result, scopes, shape_text, walk

DT = ir.DataType
INT4 = frozenset({DT.INT4, DT.UINT4})
INT8 = frozenset({DT.INT8, DT.UINT8})
FP8 = frozenset({DT.FLOAT8E4M3FN, DT.FLOAT8E5M2, DT.FLOAT8E4M3FNUZ, DT.FLOAT8E5M2FNUZ})


@dataclass(frozen=True)
class Inventory:
    """Counts and sizes; every list is sorted so that two inventories can be compared as text."""

    ir_version: int
    producer: str
    opsets: dict[str, int]
    nodes: int
    graphs: int
    functions: int
    provenance: list[dict[str, Any]]
    interface: list[tuple[str, str, str, str]]
    operators: list[tuple[str, str, int]]
    weights: list[tuple[str, int, int, int]]
    activations: list[tuple[str, int]]
    quantization: list[tuple[str, int, int, int]]
    external: list[tuple[str, int, int, int]]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return dataclasses.asdict(self)


def take(model: ir.Model) -> Inventory:
    """Count what is in ``model``; reads no weights."""
    types = element_types(model)
    all_scopes = list(scopes(model))
    operators = Counter((node.domain or "default", node.op_type) for node in walk(model))
    activations = Counter(
        types[v].name if v in types else "unknown" for node in walk(model) for v in node.outputs if v.name and constant_tensor(v) is None
    )
    return Inventory(
        ir_version=model.ir_version or 0,
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
        opsets=dict(model.opset_imports),
        nodes=sum(operators.values()),
        graphs=sum(isinstance(s.body, ir.Graph) for s in all_scopes),
        functions=len(model.functions),
        provenance=io.read_provenance(model),
        interface=[
            (direction, v.name or "", v.dtype.name if v.dtype else "?", shape_text(v.shape))
            for direction, values in (("in", model.graph.inputs), ("out", model.graph.outputs))
            for v in values
            if direction == "out" or v.name not in model.graph.initializers
        ],
        operators=sorted((d, op, n) for (d, op), n in operators.items()),
        weights=_weights(model),
        activations=sorted(activations.items()),
        quantization=_quantization(model, types),
        external=_external(model),
    )


def _weights(model: ir.Model) -> list[tuple[str, int, int, int]]:
    rows: dict[str, list[int]] = {}
    for graph in model.graphs():
        for value in graph.initializers.values():
            if (tensor := value.const_value) is not None:
                row = rows.setdefault(tensor.dtype.name, [0, 0, 0])
                row[0] += 1
                row[1] += tensor.size
                row[2] += tensor.nbytes
    return sorted((name, *row) for name, row in rows.items())  # type: ignore[misc]


def _quantization(model: ir.Model, types: dict[ir.Value, DT]) -> list[tuple[str, int, int, int]]:
    """By format: quantized weights, their bytes as stored, and quantized activations. A quantizer of a constant counts as a weight."""
    rows: dict[str, list[int]] = {}
    for node in walk(model):
        kind = _format(node, types)
        if kind is None:
            continue
        row = rows.setdefault(kind, [0, 0, 0])
        first = node.inputs[0] if node.inputs else None
        tensor = constant_tensor(first) or (first.const_value if first is not None and first.is_initializer() else None)
        if tensor is not None:
            row[0] += 1
            row[1] += tensor.nbytes
        elif _starts(node):
            row[2] += 1
    return sorted((name, *row) for name, row in rows.items())  # type: ignore[misc]


def _starts(node: ir.Node) -> bool:
    return "Dequantize" not in node.op_type


def _format(node: ir.Node, types: dict[ir.Value, DT]) -> str | None:
    """The format that a quantizing or weight-dequantizing node stands for; None for other nodes and for scales of scales."""
    if node.domain == DOMAIN:
        for prefix, name in (("TRT_FP4", "NVFP4"), ("TRT_FP8", "FP8"), ("TRT_MXFP8", "MXFP8"), ("TRT_INT4", "INT4")):
            if node.op_type.startswith(prefix):
                return name
    if node.domain not in {DEFAULT_DOMAIN, DOMAIN} or node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
        return None
    port = result(node) if node.op_type == "QuantizeLinear" else operand(node)
    kind = types.get(port) if port is not None else None
    if kind == DT.FLOAT4E2M1:
        return "NVFP4"
    if kind in FP8:
        uses = [use for value in node.outputs[:1] for use in value.uses()]
        if node.op_type == "DequantizeLinear" and uses and all(user.op_type == "DequantizeLinear" and i == 1 for user, i in uses):
            return None
        return "MXFP8" if int_attribute(node, "block_size", 0) == 32 else "FP8"
    if kind in INT4:
        return "INT4"
    return "INT8" if kind in INT8 else None


def _external(model: ir.Model) -> list[tuple[str, int, int, int]]:
    rows: dict[str, list[int]] = {}
    for tensor in io.external_tensors(model):
        row = rows.setdefault(str(tensor.location), [Path(tensor.path).stat().st_size, 0, 0])
        row[1] += 1
        row[2] += tensor.nbytes
    return sorted((name, *row) for name, row in rows.items())  # type: ignore[misc]
