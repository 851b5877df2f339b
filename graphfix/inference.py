"""Types and shapes of every value, by onnx's own shape inference, with the ``trt`` operators known to it and without weights.

What the file declares about intermediate values is left out of the question wherever a schema can answer it, so a stale or wrong
annotation never becomes its own proof. Declarations are kept for graph inputs and for outputs of operators without a schema.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import onnx
import onnx.defs
import onnx.shape_inference
import onnx_ir as ir

from graphfix import schemas
from graphfix.errors import ModelError
from graphfix.model import DEFAULT_DOMAIN, subgraphs

Types = Mapping[ir.Value, ir.TypeAndShape]

_GRAPHS = frozenset({onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS})

# Numbers in one value that inference computes from shapes. A shape has a handful; a Concat of itself, forty times, has 2**40.
MOST_COMPUTED = 1 << 16

# Operators through which onnx carries the numbers of a value (PartialDataPropagationFunction in onnx/defs).
CARRYING = frozenset({"Add", "Cast", "Concat", "Gather", "Identity", "Mul", "Slice", "Squeeze", "Sub", "Unsqueeze"})

# Values up to this size (bytes) stay in the header: shape inference reads axes, shapes and repeats from them.
SMALL = 1024


@contextmanager
def _without_weights(model: ir.Model) -> Iterator[None]:
    """Replace large in-memory initializers by references to nowhere, for as long as the header is being written."""
    swapped: list[tuple[ir.Value, ir.TensorProtocol]] = []
    try:
        for graph in model.graphs():
            for value in graph.initializers.values():
                tensor = value.const_value
                if tensor is None or isinstance(tensor, ir.ExternalTensor):
                    continue
                if tensor.nbytes <= SMALL and not isinstance(tensor, ir.LazyTensor):
                    continue  # computing one part of a folded weight computes all of it
                swapped.append((value, tensor))
                value.const_value = ir.ExternalTensor(
                    "none", 0, tensor.nbytes, tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=value.name or ""
                )
        yield
    finally:
        for value, tensor in swapped:
            value.const_value = tensor


def header(model: ir.Model) -> onnx.ModelProto:
    """The model as a proto whose large initializers have no bytes: for onnx's checker and inference, at any model size."""
    with _without_weights(model):
        return ir.to_proto(model)


def infer(model: ir.Model) -> Types:
    """Infer types and shapes of the main graph and its subgraphs (function bodies have no types of their own).

    Returns:
        For every value that onnx could type: its type and its shape (None where the rank is unknown). Dimensions that inference
        only gave a made-up name are left unnamed.

    Raises:
        ModelError: onnx cannot work on the graph at all.
    """
    with schemas.registered():
        return _infer(model)


def _infer(model: ir.Model) -> Types:
    proto = header(model)
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    versions.setdefault(DEFAULT_DOMAIN, versions.pop("ai.onnx", 1))
    functions = {(f.domain, f.name) for f in proto.functions}
    _forget(proto.graph, versions, functions)
    _growth(proto.graph)
    _long_inputs(proto.graph)
    known = {d.dim_param for v in proto.graph.input for d in v.type.tensor_type.shape.dim if d.dim_param}
    for domain in {node.domain for graph in model.graphs() for node in graph} - versions.keys():
        proto.opset_import.add(domain=domain, version=1)  # inference refuses the whole graph for one missing import
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, check_type=False, strict_mode=False, data_prop=True)
    # ValueError: what C++ says of a length below 0, in operators whose own checks come later. MemoryError: of one beyond all memory.
    except (onnx.shape_inference.InferenceError, ValueError, MemoryError) as error:
        raise ModelError("onnx's shape inference cannot work on this graph", why=str(error)) from error
    types: dict[ir.Value, ir.TypeAndShape] = {}
    _collect(model.graph, inferred.graph, known, types)
    return types


def _growth(graph: onnx.GraphProto) -> None:
    """Refuse a graph in which the numbers that inference carries along multiply."""
    sizes = {t.name: math.prod(t.dims) for t in graph.initializer if t.data_location != onnx.TensorProto.EXTERNAL}
    for node in graph.node:
        made = 0
        if node.op_type == "Shape":
            made = 8
        elif node.op_type == "Constant":
            made = max((math.prod(a.t.dims) if a.HasField("t") else len(a.ints) for a in node.attribute), default=0)
        elif node.op_type in CARRYING:
            given = [sizes.get(name, 0) for name in node.input]
            made = sum(given) if node.op_type == "Concat" else max(given, default=0)
            if made > MOST_COMPUTED and node.op_type == "Concat" and all(given):
                what = "onnx's shape inference cannot work on this graph"
                raise ModelError(what, where=node.name or node.output[0], why=f"a computed shape grows beyond {MOST_COMPUTED:,} numbers")
        if made and node.output:
            sizes[node.output[0]] = made


def _long_inputs(graph: onnx.GraphProto) -> None:
    """Leave open how long a very long input is: onnx takes one of rank 1 for a shape, and makes a dimension of each of its numbers."""
    for info in graph.input:
        dims = info.type.tensor_type.shape.dim
        if len(dims) == 1 and dims[0].dim_value > MOST_COMPUTED:
            dims[0].ClearField("dim_value")


def _shorten(tensor: onnx.TensorProto) -> None:
    """Leave out the numbers of a constant that is too large to be a shape, so that inference does not make dimensions of them."""
    if len(tensor.raw_data) > SMALL or math.prod(tensor.dims) > SMALL:
        for part in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data"):
            tensor.ClearField(part)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="none")


def _forget(graph: onnx.GraphProto, versions: Mapping[str, int], functions: set[tuple[str, str]]) -> None:
    answered: set[str] = set()
    for node in graph.node:
        domain = "" if node.domain == "ai.onnx" else node.domain
        if (domain, node.op_type) in functions or _has_schema(node.op_type, domain, versions):
            answered.update(node.output)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR and node.op_type == "Constant":
                _shorten(attribute.t)
            if attribute.type in _GRAPHS:
                for inner in (*([attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else ()), *attribute.graphs):
                    _forget(inner, versions, functions)
    kept = [info for info in graph.value_info if info.name not in answered and info.type.WhichOneof("value")]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    for info in graph.output:
        if info.name in answered:
            info.ClearField("type")


def _has_schema(op_type: str, domain: str, versions: Mapping[str, int]) -> bool:
    return onnx.defs.has(op_type, max_inclusive_version=versions.get(domain, 1), domain=domain)


def _collect(graph: ir.Graph, proto: onnx.GraphProto, known: set[str], types: dict[ir.Value, ir.TypeAndShape]) -> None:
    found: dict[str, onnx.TypeProto] = {info.name: info.type for info in (*proto.value_info, *proto.output)}
    for value in graph.inputs:
        types[value] = ir.TypeAndShape(value.type, value.shape)
    for value in graph.initializers.values():
        if value.const_value is not None:
            types[value] = ir.TypeAndShape(ir.TensorType(value.const_value.dtype), ir.Shape(value.const_value.shape.numpy()))
    for node, node_proto in zip(graph, proto.node, strict=True):
        for value in node.outputs:
            if value.name in found and (kind := found[value.name]).WhichOneof("value"):
                types[value] = _type_and_shape(kind, known)
        held = tuple(subgraphs(node))
        if not held:
            continue
        inner = {
            key: g
            for a in node_proto.attribute
            for key, g in (
                [(a.name, a.g)] if a.type == onnx.AttributeProto.GRAPH else [(f"{a.name}[{i}]", g) for i, g in enumerate(a.graphs)]
            )
        }
        for name, subgraph in held:
            _collect(subgraph, inner[name], known, types)


def _type_and_shape(kind: onnx.TypeProto, known: set[str]) -> ir.TypeAndShape:
    if kind.HasField("tensor_type") and not kind.denotation:  # nearly all; onnx-ir's general way takes three times as long
        tensor = kind.tensor_type
        dims = [
            d.dim_value if d.HasField("dim_value") else d.dim_param if d.HasField("dim_param") and d.dim_param in known else None
            for d in tensor.shape.dim
        ]
        return ir.TypeAndShape(ir.TensorType(ir.DataType(tensor.elem_type)), ir.Shape(dims) if tensor.HasField("shape") else None)
    shape = ir.serde.deserialize_type_proto_for_shape(kind)
    if shape is not None:
        shape = ir.Shape([d if isinstance(d, int) or str(d.value) in known else None for d in shape])
    return ir.TypeAndShape(ir.serde.deserialize_type_proto_for_type(kind), shape)
