"""What a proto must be before anything works on it: one rule for every verb, so that no pass and no lint has to expect the impossible.

Refused is what no reader of ONNX can use, and what is built to exhaust its reader. What is merely invalid (types that conflict, an import
that is missing, nodes in the wrong order) goes through: mending such files is what passes are for.

Source of the structural rules: the ONNX IR specification (docs/IR.md) and onnx's checker; of attributes: the operators' schemas.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import onnx
import onnx_ir as ir

from graphfix.element_types import FROM_ATTRIBUTE
from graphfix.errors import ModelError
from graphfix.model import ALIAS, DEFAULT_DOMAIN, opset_version
from graphfix.ports import ports_of

# The largest backbones have some 20,000 nodes: a hundred times that is not a model, and each part takes about a kilobyte of memory.
MOST_PARTS = 2_000_000
MOST_OPSET = 1000  # of the default domain, which counts to 28 after ten years
MOST_DIMENSIONS = 64  # numpy's own limit
MOST_DEPTH = 64  # graphs within graphs, functions that call functions
MOST_FUNCTIONS = 10_000  # onnx's own limit
MOST_INLINED = 5_000_000  # nodes, once every call of a local function is written out

Kind = onnx.AttributeProto
GRAPH_KINDS = (Kind.GRAPH, Kind.GRAPHS)
_TYPES = {t.value for t in ir.DataType} - {ir.DataType.UNDEFINED.value}


def check(proto: onnx.ModelProto, name: str) -> None:
    """Refuse a model that nothing can be done with.

    Raises:
        ModelError: With what, where and why.
    """
    _Guard(proto, name).run()


class _Guard:
    def __init__(self, proto: onnx.ModelProto, name: str) -> None:
        self.proto, self.name, self.parts = proto, name, 0
        self.functions = {(f.domain, f.name) for f in proto.functions}
        self.calls: dict[tuple[str, str], Counter[tuple[str, str]]] = {}
        self.devices = {c.name for c in proto.configuration}
        self.nodes: Counter[tuple[str, str]] = Counter()

    def refuse(self, what: str, where: str = "", why: str = "") -> ModelError:
        """The error to raise: the model's name leads, for a command may read two."""
        return ModelError(f"{self.name}: {what}", where=where, why=why, hint="export the model again")

    def run(self) -> None:
        proto = self.proto
        self._words(proto.producer_name, proto.producer_version, proto.domain, proto.doc_string, where="model")
        if len(proto.functions) > MOST_FUNCTIONS:
            raise self.refuse(f"{len(proto.functions):,} local functions, at most {MOST_FUNCTIONS:,} are possible")
        self._many(len(proto.functions) + len(proto.metadata_props) + len(proto.opset_import))
        self._notes(proto, "model")
        imports = self._imports(proto.opset_import, "model")
        self._body(proto.graph, imports, ("", ""))
        twice = _first_twice((f.domain, f.name, f.overload) for f in proto.functions)
        if twice is not None:
            raise self.refuse(f"the function {twice[0]}::{twice[1]} is defined twice")
        for function in proto.functions:
            where = f"function {function.domain!r}::{function.name!r}"
            self._words(
                function.domain, function.name, function.overload, *function.input, *function.output, *function.attribute, where=where
            )
            self._notes(function, where)
            for info in function.value_info:
                self._words(info.name, where=where)
                self._notes(info, where)
                self._type(info.type, where)
            self._function(function, {**imports, **self._imports(function.opset_import, where)}, where)
        for row in proto.training_info:
            for graph in (row.initialization, row.algorithm):
                for tensor in graph.initializer:
                    self._nowhere(tensor, "a training graph")
        self._inlined()

    def _imports(self, entries: Iterable[onnx.OperatorSetIdProto], where: str) -> dict[str, int]:
        found = {}
        for entry in entries:
            self._words(entry.domain, where=where)
            most = MOST_OPSET if entry.domain in {DEFAULT_DOMAIN, ALIAS} else 2**31 - 1
            if not 1 <= entry.version <= most:
                raise self.refuse(
                    f"there is no opset {entry.version} of domain {entry.domain!r}", where, f"opsets are numbered 1 to {most:,}"
                )
            found[DEFAULT_DOMAIN if entry.domain == ALIAS else entry.domain] = entry.version
        return found

    def _notes(self, holder: Any, where: str) -> None:
        """The texts that a message carries beside what it says."""
        self._words(holder.doc_string, where=where)
        for entry in holder.metadata_props:
            self._words(entry.key, entry.value, where=where)

    def _many(self, parts: int) -> None:
        self.parts += parts
        if self.parts > MOST_PARTS:
            raise self.refuse("the header is too crowded", why=f"it has more than {MOST_PARTS:,} nodes, values, tensors and attributes")

    def _words(self, *words: Any, where: str) -> None:
        for word in words:
            if isinstance(word, bytes):  # what protobuf gives where a string is not UTF-8
                shown = word[:40].decode(errors="backslashreplace")
                raise self.refuse(f"a name or text is not UTF-8: {shown}", where)

    def _body(self, graph: onnx.GraphProto, imports: Mapping[str, int], owner: tuple[str, str]) -> None:
        pending = [(graph, 0, "main graph")]
        while pending:
            graph, depth, where = pending.pop()
            if depth > MOST_DEPTH:
                raise self.refuse(f"graphs are nested more than {MOST_DEPTH} deep", where)
            self._many(len(graph.node) + len(graph.input) + len(graph.output) + len(graph.initializer) + len(graph.value_info))
            self._words(graph.name, where=where)
            self._notes(graph, where)
            for row in graph.quantization_annotation:
                self._words(
                    row.tensor_name, *(word for entry in row.quant_parameter_tensor_names for word in (entry.key, entry.value)), where=where
                )
            for info in (*graph.input, *graph.output, *graph.value_info):
                self._words(info.name, where=where)
                self._notes(info, where)
                self._type(info.type, f"{where}, value {info.name!r}")
            for tensor in graph.initializer:
                self._tensor(tensor, where)
                if not tensor.name:
                    self._nowhere(tensor, "an initializer without a name")
            twice = _first_twice(t.name for t in graph.initializer if t.name)
            if twice is not None:
                raise self.refuse(f"the initializer {twice!r} is defined twice", where, "readers take different ones")
            for sparse in graph.sparse_initializer:
                for tensor in (sparse.values, sparse.indices):
                    self._tensor(tensor, where)
                    self._nowhere(tensor, "a sparse initializer")
            for index, node in enumerate(graph.node):
                pending += [(inner, depth + 1, f"{where}/{label}") for label, inner in self._node(node, index, imports, where, owner)]

    def _function(self, function: onnx.FunctionProto, imports: Mapping[str, int], where: str) -> None:
        owner = function.domain, function.name
        self._many(len(function.node) + len(function.value_info))
        for index, node in enumerate(function.node):
            for label, graph in self._node(node, index, imports, where, owner):
                del label
                self._body(graph, imports, owner)

    def _node(
        self, node: onnx.NodeProto, index: int, imports: Mapping[str, int], where: str, owner: tuple[str, str]
    ) -> Iterator[tuple[str, onnx.GraphProto]]:
        inputs, outputs, op_type, domain, label = node.input, node.output, node.op_type, node.domain, node.name
        self._many(len(inputs) + len(outputs) + len(node.attribute) + len(node.metadata_props))
        self._words(op_type, domain, label, node.overload, *inputs, *outputs, where=where)
        self._notes(node, where)
        place = f"{where}, {label or f'node {index}'} ({op_type})" if where != "main graph" else f"{label or f'node {index}'} ({op_type})"
        if not op_type:
            raise self.refuse("a node has no operator", place)
        if domain == ALIAS:
            domain = DEFAULT_DOMAIN
        self.nodes[owner] += 1
        local = (domain, op_type) in self.functions
        if local:
            self.calls.setdefault(owner, Counter())[domain, op_type] += 1
        ports = None if local else ports_of(domain, op_type, opset_version(imports, domain) or 0)
        for device in node.device_configurations:
            if device.configuration_id not in self.devices or not device.configuration_id:
                raise self.refuse(f"the device configuration {device.configuration_id!r} is not defined", place)
            for spec in device.sharding_spec:
                if spec.tensor_name not in {*inputs, *outputs} or not spec.tensor_name:
                    raise self.refuse(f"a sharding of {spec.tensor_name!r}, which the node neither reads nor makes", place)
        seen = set()
        for attribute in node.attribute:
            name, kind = attribute.name, attribute.type
            self._words(name, attribute.ref_attr_name, attribute.doc_string, where=place)
            if name in seen:
                raise self.refuse(f"attribute {name!r} is given twice", place)
            seen.add(name)
            if kind == Kind.UNDEFINED:
                raise self.refuse(f"attribute {name!r} has no kind", place)
            if ports is not None and name in ports.attributes and ports.attributes[name] != kind:
                wanted, found = Kind.AttributeType.Name(ports.attributes[name]), Kind.AttributeType.Name(kind)
                raise self.refuse(f"attribute {name} of {op_type} is {found}, not {wanted}", place)
            if attribute.ref_attr_name and kind in GRAPH_KINDS:
                raise self.refuse(f"attribute {name} refers to a graph of the function, which graphfix cannot carry", place)
            if attribute.ref_attr_name or kind <= Kind.STRING:
                if name == FROM_ATTRIBUTE.get(op_type, ("",))[0] and kind == Kind.INT and not domain:
                    self._element(attribute, op_type, place)
                continue
            if kind == Kind.TENSOR:
                self._tensor(attribute.t, place)
            elif kind in GRAPH_KINDS:
                graphs = [attribute.g] if kind == Kind.GRAPH else attribute.graphs
                if not graphs:
                    raise self.refuse(f"attribute {name!r} is a list of no graphs", place)
                yield from ((f"{label or index}/{name}", graph) for graph in graphs)
            else:
                self._rest(attribute, kind, place)

    def _element(self, attribute: onnx.AttributeProto, op_type: str, place: str) -> None:
        if not attribute.ref_attr_name and attribute.i not in _TYPES and attribute.i:
            raise self.refuse(f"attribute {attribute.name} of {op_type} is {attribute.i}, which is no element type", place)

    def _rest(self, attribute: onnx.AttributeProto, kind: int, place: str) -> None:
        self._many(len(attribute.tensors) + len(attribute.strings) + len(attribute.type_protos))
        if kind == Kind.TENSORS:
            for tensor in attribute.tensors:
                self._tensor(tensor, place)
                self._nowhere(tensor, "a list of tensors")
        elif kind in (Kind.SPARSE_TENSOR, Kind.SPARSE_TENSORS):
            raise self.refuse(f"attribute {attribute.name} is a sparse tensor, which graphfix cannot carry", place)
        elif kind == Kind.STRINGS:
            for text in attribute.strings:
                try:
                    text.decode()
                except UnicodeDecodeError:
                    raise self.refuse(f"attribute {attribute.name} is not UTF-8", place) from None
        elif kind in (Kind.TYPE_PROTO, Kind.TYPE_PROTOS):
            for given in (attribute.tp, *attribute.type_protos):
                self._type(given, place)

    def _nowhere(self, tensor: onnx.TensorProto, place: str) -> None:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise self.refuse(f"{place} keeps its values in another file", tensor.name, "only named initializers and TENSOR attributes may")

    def _type(self, given: onnx.TypeProto, place: str) -> None:
        while True:
            self._words(given.denotation, where=place)
            kind = given.WhichOneof("value")
            if kind == "tensor_type" or kind == "sparse_tensor_type":
                found = given.tensor_type if kind == "tensor_type" else given.sparse_tensor_type
                self._shape(found.shape, place)
                if found.elem_type not in _TYPES and found.elem_type:
                    raise self.refuse(f"{found.elem_type} is no element type", place)
                return
            if kind not in {"sequence_type", "optional_type"}:
                return
            given = getattr(given, kind).elem_type

    def _shape(self, shape: onnx.TensorShapeProto, place: str) -> None:
        dims = shape.dim
        if len(dims) > MOST_DIMENSIONS:
            raise self.refuse(f"{len(dims):,} dimensions, at most {MOST_DIMENSIONS} are possible", place)
        for dim in dims:
            self._words(dim.dim_param, dim.denotation, where=place)
            if dim.dim_value < 0:
                raise self.refuse(f"a dimension of {dim.dim_value} is negative", place)

    def _tensor(self, tensor: onnx.TensorProto, where: str) -> None:
        self._words(tensor.name, where=where)
        self._notes(tensor, where)
        place, dims = f"{where}, tensor {tensor.name!r}" if where != "main graph" else f"tensor {tensor.name!r}", tensor.dims
        if tensor.data_type not in _TYPES:
            raise self.refuse(f"{tensor.data_type} is no element type", place)
        if len(dims) > MOST_DIMENSIONS:
            raise self.refuse(f"{len(dims):,} dimensions, at most {MOST_DIMENSIONS} are possible", place)
        size = 1
        for dim in dims:
            if dim < 0:
                raise self.refuse(f"a dimension of {dim} is negative", place)
            size *= dim
        if tensor.HasField("segment"):
            raise self.refuse("a tensor in segments, which no reader supports", place)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            self._entries(tensor, place)
        else:
            self._held_inline(tensor, size, place)

    def _entries(self, tensor: onnx.TensorProto, place: str) -> None:
        for entry in tensor.external_data:
            self._words(entry.key, entry.value, where=place)
            if entry.key in {"offset", "length"}:
                text = entry.value
                if not (text.isascii() and text.isdecimal() and len(text) <= 20):
                    raise self.refuse(f"the {entry.key} of its external data is {text[:40]!r}, not a number", place)
        twice = _first_twice(entry.key for entry in tensor.external_data)
        if twice is not None:
            raise self.refuse(f"its external data have two entries {twice!r}", place)

    def _held_inline(self, tensor: onnx.TensorProto, size: int, place: str) -> None:
        kind = ir.DataType(tensor.data_type)
        if kind == ir.DataType.STRING:
            held, needed, unit = len(tensor.string_data), size, "strings"
        elif tensor.HasField("raw_data"):
            held, needed, unit = len(tensor.raw_data), -(-size * kind.bitwidth // 8), "bytes"
        else:
            field = _field(kind)
            other = next((name for name in _FIELDS if name != field and len(getattr(tensor, name))), None)
            if other is not None:
                raise self.refuse(f"the tensor is {kind.name} and holds {other}", place, f"its numbers belong into {field}")
            held, needed, unit = len(getattr(tensor, field)), _entries_needed(kind, size), "numbers"
            if not held:
                held, needed, unit = 0, -(-size * kind.bitwidth // 8), "bytes"
        if held != needed:
            raise self.refuse(f"the tensor holds {held:,} {unit}, its shape needs {needed:,}", place)
        if kind != ir.DataType.STRING and kind.bitwidth == 6:  # the one width with bits that must be zero
            try:
                ir.serde.TensorProtoTensor(tensor).tobytes()
            except ValueError as error:
                raise self.refuse("the tensor's numbers are not of its type", place, str(error)) from error

    def _inlined(self) -> None:
        """How many nodes there are once functions are written out; depth-first without recursion, callees before callers."""
        total: dict[tuple[str, str], int] = {}
        depth: dict[tuple[str, str], int] = {}
        state: dict[tuple[str, str], int] = {}
        pending = [*self.functions, ("", "")]
        while pending:
            current = pending[-1]
            callees = self.calls.get(current, Counter())
            if state.setdefault(current, 0) == 0:
                state[current] = 1
                for callee in callees:
                    if state.get(callee, 0) == 1:
                        raise self.refuse(f"the function {callee[0]}::{callee[1]} calls itself", why="ONNX has no recursion")
                    if callee not in state:
                        pending.append(callee)
                continue
            pending.pop()
            if state[current] == 2:
                continue
            state[current] = 2
            depth[current] = 1 + max((depth[c] for c in callees), default=0)
            total[current] = self.nodes[current] + sum(n * total[c] for c, n in callees.items())
            if depth[current] > MOST_DEPTH:
                raise self.refuse(f"functions that call each other more than {MOST_DEPTH} deep", f"{current[0]}::{current[1]}")
            if total[current] > MOST_INLINED:
                where = f"{current[0]}::{current[1]}" if any(current) else "main graph"
                raise self.refuse(f"more than {MOST_INLINED:,} nodes once its functions are written out", where)


def _first_twice(items: Iterable[Any]) -> Any:
    seen = set()
    for item in items:
        if item in seen:
            return item
        seen.add(item)
    return None


_COMPLEX = {ir.DataType.COMPLEX64, ir.DataType.COMPLEX128}


_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def _field(kind: ir.DataType) -> str:
    """The field that holds numbers of an element type (onnx.proto, TensorProto)."""
    if kind in {ir.DataType.FLOAT, ir.DataType.COMPLEX64}:
        return "float_data"
    if kind in {ir.DataType.DOUBLE, ir.DataType.COMPLEX128}:
        return "double_data"
    if kind == ir.DataType.INT64:
        return "int64_data"
    if kind in {ir.DataType.UINT32, ir.DataType.UINT64}:
        return "uint64_data"
    return "int32_data"


def _entries_needed(kind: ir.DataType, size: int) -> int:
    if kind in _COMPLEX:
        return 2 * size
    return -(-size * kind.bitwidth // 8) if kind.bitwidth < 6 else size  # narrow numbers are packed; those of 6 bits are not


def too_deep(blob: bytes) -> bool:
    """Whether a file that protobuf refused is nested more than its limit of 100 messages; looks at no more than a million fields."""
    limit = 100
    pending: list[tuple[int, int, Any, int]] = [(0, len(blob), onnx.ModelProto.DESCRIPTOR, 0)]
    for _ in range(1_000_000):
        if not pending:
            return False
        at, end, kind, depth = pending.pop()
        if depth > limit:
            return True
        if at >= end:
            continue
        try:
            tag, at = _varint(blob, at)
            number, wire = tag >> 3, tag & 7
            size, at = _varint(blob, at) if wire == 2 else (0, at)
            if wire == 0:
                _, at = _varint(blob, at)
        except IndexError:
            continue
        if wire in (1, 5):
            at += 8 if wire == 1 else 4
        elif wire not in (0, 2):
            continue
        pending.append((at + size, end, kind, depth))
        field = kind.fields_by_number.get(number)
        if wire == 2 and field is not None and field.message_type is not None:
            pending.append((at, min(at + size, end), field.message_type, depth + 1))
    return False


def _varint(blob: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = blob[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128 or shift > 63:
            return value, at
