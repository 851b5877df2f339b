"""Element types by the type variables of the operators' schemas, in one walk, with a say at every conflict.

onnx's shape inference answers "what type is this value" for a graph that is consistent. This module answers the question that
comes before: where do two inputs that share a type variable disagree, and what does everything behind look like once one of
them is cast. It needs no shapes, works in function bodies, and reads no weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import onnx.defs
import onnx_ir as ir

from graphfix.facts.trt_ops import CONTRACTS, DOMAIN, element_type
from graphfix.model import DEFAULT_DOMAIN, constant_tensor, int_attribute, operand, opset_version, result, scopes, subgraphs, tensor_type

DT = ir.DataType

# Operators whose output type an integer attribute (TensorProto.DataType) decides; the default applies where it is absent,
# None: the type of input 0. Source: the operators' specifications at opset 23.
FROM_ATTRIBUTE: Mapping[str, tuple[str, DT | None]] = {
    "Bernoulli": ("dtype", None),
    "BlackmanWindow": ("output_datatype", DT.FLOAT),
    "Cast": ("to", None),
    "EyeLike": ("dtype", None),
    "HammingWindow": ("output_datatype", DT.FLOAT),
    "HannWindow": ("output_datatype", DT.FLOAT),
    "MelWeightMatrix": ("output_datatype", DT.FLOAT),
    "Multinomial": ("dtype", DT.INT32),
    "RandomNormal": ("dtype", DT.FLOAT),
    "RandomNormalLike": ("dtype", None),
    "RandomUniform": ("dtype", DT.FLOAT),
    "RandomUniformLike": ("dtype", None),
}

# How many operators that only move elements are looked through. Exporters leave one or two; a longer chain, or a ring, is nobody's weight.
MOST_MOVES = 32

QDQ = frozenset({"QuantizeLinear", "DequantizeLinear"})
FLOATS = frozenset({DT.FLOAT, DT.FLOAT16, DT.BFLOAT16, DT.DOUBLE})

Types = dict[ir.Value, DT]


@dataclass(frozen=True)
class Conflict:
    """An input whose type differs from what an earlier input of the same type variable, or the schema, asks for.

    ``known`` holds the types of all values that the walk has passed.
    """

    node: ir.Node
    index: int
    wanted: DT
    found: DT
    known: Mapping[ir.Value, DT]


# Called at each conflict, in order of the walk. It may insert a Cast before an input and return the type that all then agree on.
Resolve = Callable[[Conflict], "DT | None"]


@dataclass(frozen=True)
class _Signature:
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    variadic_input: bool
    variadic_output: bool
    homogeneous: bool

    def input_variable(self, index: int) -> str:
        """The type string of an input port; empty for ports of a heterogeneous variadic tail."""
        if index < len(self.inputs) - (1 if self.variadic_input else 0):
            return self.inputs[index]
        return self.inputs[-1] if self.variadic_input and self.homogeneous else ""

    def output_variable(self, index: int) -> str:
        if index < len(self.outputs):
            return self.outputs[index]
        return self.outputs[-1] if self.variadic_output else ""


@lru_cache(maxsize=4096)
def _signature(op_type: str, domain: str, version: int) -> _Signature | None:
    if domain == DOMAIN and (contract := CONTRACTS.get(op_type)) is not None:
        ports = tuple(f"T{i}" for i in range(len(contract.inputs))), tuple(f"U{i}" for i in range(len(contract.outputs)))
        return _Signature(*ports, variadic_input=False, variadic_output=False, homogeneous=True)
    if not onnx.defs.has(op_type, max_inclusive_version=version, domain=domain):
        return None
    schema = onnx.defs.get_schema(op_type, version, domain)
    variadic = onnx.defs.OpSchema.FormalParameterOption.Variadic
    last_in = schema.inputs[-1] if schema.inputs else None
    last_out = schema.outputs[-1] if schema.outputs else None
    single = {c.type_param_str: c.allowed_type_strs[0] for c in schema.type_constraints if len(c.allowed_type_strs) == 1}
    return _Signature(
        tuple(single.get(port.type_str, port.type_str) for port in schema.inputs),
        tuple(single.get(port.type_str, port.type_str) for port in schema.outputs),
        last_in is not None and last_in.option == variadic,
        last_out is not None and last_out.option == variadic,
        last_in is None or last_in.is_homogeneous,
    )


@lru_cache(maxsize=256)
def _fixed(type_string: str) -> DT | None:
    if not (type_string.startswith("tensor(") and type_string.endswith(")")):
        return None
    return DT.__members__.get(type_string[7:-1].upper())


def element_types(model: ir.Model, resolve: Resolve | None = None) -> Types:
    """Infer the element type of every tensor value from the operators, not from what the file says about them.

    Args:
        model: The model; only ``resolve`` may edit it.
        resolve: Called at every disagreement between inputs of a node.

    Returns:
        The element type of each value that could be typed. Declarations are used for graph inputs, initializers, and outputs of
        operators that have no schema.
    """
    types: Types = {}
    calls = _Calls(model, types)
    for scope in scopes(model):
        if scope.depth == 0:
            _infer_body(scope.body, scope.opset_imports, types, resolve, calls)
    return types


class _Calls:
    """What calls say about the bodies of local functions: a type counts where all calls agree on it."""

    def __init__(self, model: ir.Model, types: Types) -> None:
        self._functions, self._types = model.functions, types
        self._outputs: dict[tuple[object, ...], list[DT | None]] = {}
        self._mixed: set[ir.Value] = set()

    def outputs(self, node: ir.Node, types: Types) -> list[DT | None] | None:
        """The types of a call's outputs; None where ``node`` calls no local function."""
        function = self._functions.get(node.op_identifier())
        if function is None:
            return None
        given = tuple(types.get(value) if value is not None else None for value in node.inputs)
        key = (function.identifier(), given)
        if key not in self._outputs:
            self._outputs[key] = []
            inside: Types = {formal: kind for formal, kind in zip(function.inputs, given, strict=False) if kind is not None}
            _infer_body(function, function.opset_imports, inside, None, self)
            self._outputs[key] = [inside.get(value) for value in function.outputs]
            for value, kind in inside.items():
                if value in self._mixed or self._types.setdefault(value, kind) != kind:
                    self._mixed.add(value)
                    self._types.pop(value, None)
        return self._outputs[key]


def _infer_body(body: ir.Graph | ir.Function, imports: Mapping[str, int], types: Types, resolve: Resolve | None, calls: _Calls) -> None:
    for entering in body.inputs:
        if entering not in types and (declared := tensor_type(entering)) is not None:
            types[entering] = declared
    if isinstance(body, ir.Graph):
        for value in body.initializers.values():
            if value.const_value is not None:
                types[value] = value.const_value.dtype
    for node in tuple(body):
        _infer_node(node, imports, types, resolve, calls)


def _infer_node(node: ir.Node, imports: Mapping[str, int], types: Types, resolve: Resolve | None, calls: _Calls) -> None:
    graphs = tuple(graph for _, graph in subgraphs(node))
    _seed_subgraph_inputs(node, graphs, types)
    for graph in graphs:
        _infer_body(graph, imports, types, resolve, calls)
    returned = calls.outputs(node, types)
    if returned is not None:
        types.update({value: kind for value, kind in zip(node.outputs, returned, strict=False) if kind is not None})
        return
    signature = _signature(node.op_type, node.domain, opset_version(imports, node.domain) or 1)
    if signature is None:
        for unknown in node.outputs:
            if (declared := tensor_type(unknown)) is not None:
                types[unknown] = declared
        return
    bound: dict[str, DT] = {}
    for index, value in enumerate(node.inputs):
        variable = signature.input_variable(index)
        found = types.get(value) if value is not None else None
        if found is None or not variable:
            continue
        wanted = _fixed(variable) or bound.get(variable)
        if wanted is not None and wanted != found and resolve is not None:
            agreed = resolve(Conflict(node, index, wanted, found, types))
            if agreed is not None:
                bound[variable] = agreed
                types.update({v: kind for v in node.inputs if v and v not in types and (kind := tensor_type(v))})
        bound.setdefault(variable, found)
    for port, made in enumerate(node.outputs):
        output = _output_type(node, port, types, graphs)
        if output is None:
            variable = signature.output_variable(port)
            output = _fixed(variable) or bound.get(variable)
        if output is not None:
            types[made] = output


def _output_type(node: ir.Node, port: int, types: Types, graphs: tuple[ir.Graph, ...]) -> DT | None:
    """The type of an output that no type variable of the inputs decides; None to go by the type variable."""
    first = types.get(node.inputs[0]) if node.inputs and node.inputs[0] is not None else None
    if node.op_type in QDQ or node.domain == DOMAIN:
        contract = CONTRACTS.get(node.op_type)
        if contract is None or port >= len(contract.outputs):
            return None
        inputs = [types[v].name.lower() if v is not None and v in types else None for v in node.inputs]
        return _fixed(f"tensor({element_type(contract, port, inputs, lambda name: int_attribute(node, name))})")
    if node.domain != DEFAULT_DOMAIN:
        return None
    if node.op_type in FROM_ATTRIBUTE:
        name, default = FROM_ATTRIBUTE[node.op_type]
        number = int_attribute(node, name, 0)
        return DT(number) if number else (default or first if node.op_type != "Cast" else None)
    if node.op_type == "Constant":
        tensor = constant_tensor(result(node))
        return tensor.dtype if tensor is not None else None
    if node.op_type == "ConstantOfShape":
        value = node.attributes.get("value")
        return DT.FLOAT if value is None else None if value.is_ref() else value.as_tensor().dtype
    if graphs:
        return _from_subgraph(node, port, types, graphs)
    return None


def _seed_subgraph_inputs(node: ir.Node, graphs: tuple[ir.Graph, ...], types: Types) -> None:
    """Loop and Scan hand their inputs to the body: Loop as (iteration, condition, carried...), Scan in order."""
    if node.domain != DEFAULT_DOMAIN or node.op_type not in {"Loop", "Scan"} or not graphs:
        return
    for outer, inner in zip(node.inputs, graphs[0].inputs, strict=False):
        if outer is not None and outer in types:
            types[inner] = types[outer]
    if node.op_type == "Loop":
        for inner, kind in zip(graphs[0].inputs, (DT.INT64, DT.BOOL), strict=False):
            types[inner] = kind


def _from_subgraph(node: ir.Node, port: int, types: Types, graphs: tuple[ir.Graph, ...]) -> DT | None:
    """If, Loop and Scan take their output types from their bodies' outputs (Loop's first body output is its condition)."""
    index = port + 1 if node.op_type == "Loop" else port
    outputs = graphs[0].outputs
    return types.get(outputs[index]) if index < len(outputs) else None


def comes_from_dequantize(value: ir.Value) -> bool:
    """Whether a value is a DequantizeLinear's output, seen through operators that only move elements."""
    for _ in range(MOST_MOVES):
        producer = value.producer()
        if producer is None:
            return False
        if producer.op_type == "DequantizeLinear":
            return True
        if producer.op_type not in {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Slice"}:
            return False
        first = operand(producer)
        if first is None:
            return False
        value = first
    return False


def reconciled(conflict: Conflict) -> tuple[int, DT] | None:
    """Which input a Cast would reconcile with the others, and to which type: one that comes out of a DequantizeLinear, between floats.

    None where no DequantizeLinear is the cause: such a conflict is the author's to resolve.
    """
    node, index = conflict.node, conflict.index
    if conflict.wanted not in FLOATS or conflict.found not in FLOATS or node.op_type in QDQ:
        return None
    value, first = node.inputs[index], node.inputs[0]
    if value is not None and comes_from_dequantize(value):
        return index, conflict.wanted
    if index and first is not None and comes_from_dequantize(first):
        return 0, conflict.found
    return None
