"""The in-memory model: one walk, names, places, constants, and the checks that must hold between passes.

The model is onnx-ir's. Nothing here reads weights unless asked for a constant's value, and nothing touches the file system.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphfix.errors import ModelError

DEFAULT_DOMAIN = ""
ALIAS = "ai.onnx"  # the default domain's second spelling

# Keys of `ir.Model.meta` and `ir.Graph.meta` for what onnx-ir does not model itself.
DUPLICATES = "graphfix.duplicate_imports"  # list of (domain, before, after)
SPARSE = "graphfix.sparse_initializers"  # name -> SparseTensorProto
TRAINING = "graphfix.training_info"  # list of TrainingInfoProto

Owner = ir.Graph | ir.Function


_GRAPH_TYPES = frozenset({ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS})


@dataclass(frozen=True)
class Scope:
    """A graph, subgraph or function body.

    Attributes:
        body: What holds the nodes.
        owner: The main graph or the function whose ``opset_imports`` govern the body.
        path: How a person finds it; empty for the main graph.
        depth: 0 for the main graph and for function bodies.
    """

    body: ir.Graph | ir.Function
    owner: ir.Graph | ir.Function
    path: str
    depth: int

    @property
    def opset_imports(self) -> MutableMapping[str, int]:
        """The imports that give this body's operators their versions."""
        return self.owner.opset_imports


def opset_version(imports: Mapping[str, int], domain: str = DEFAULT_DOMAIN) -> int | None:
    """The version of a domain in a list of imports, under either spelling of the default one; None where not imported."""
    if domain == DEFAULT_DOMAIN:
        return imports.get(DEFAULT_DOMAIN, imports.get(ALIAS))
    return imports.get(domain)


def subgraphs(node: ir.Node) -> Iterator[tuple[str, ir.Graph]]:
    """The graphs held by a node's attributes, with the attribute's name (``branches[1]`` for lists)."""
    for attr in node.attributes.data.values():  # the plain dict behind it: this loop is every walk's innermost
        if attr.type not in _GRAPH_TYPES or attr.is_ref():
            continue
        if attr.type == ir.AttributeType.GRAPH:
            yield attr.name, attr.as_graph()
        else:
            for i, graph in enumerate(attr.as_graphs()):
                yield f"{attr.name}[{i}]", graph


def scopes(model: ir.Model) -> Iterator[Scope]:
    """The main graph, every subgraph of every node (custom domains too), every function body. Outer before inner."""
    functions = [Scope(f, f, f"function {f.domain}::{f.name}", 0) for f in model.functions.values()]
    pending = [*reversed(functions), Scope(model.graph, model.graph, "", 0)]
    while pending:
        scope = pending.pop()
        yield scope
        inner = [
            Scope(graph, scope.owner, "/".join(filter(None, (scope.path, _label(node), attribute))), scope.depth + 1)
            for node in scope.body
            for attribute, graph in subgraphs(node)
        ]
        pending.extend(reversed(inner))


def walk(model: ir.Model) -> Iterator[ir.Node]:
    """Every node of the model, in any scope. The list of a scope's nodes is taken first, so a pass may edit as it goes."""
    for scope in scopes(model):
        yield from tuple(scope.body)


def walk_scoped(model: ir.Model) -> Iterator[tuple[Scope, ir.Node]]:
    """Every node with the scope that holds it."""
    for scope in scopes(model):
        for node in tuple(scope.body):
            yield scope, node


def _label(node: ir.Node) -> str:
    if node.name:
        return node.name
    output = next((value.name for value in node.outputs if value.name), None)
    return f"(unnamed, makes {output!r})" if output else "(unnamed)"


def operator(node: ir.Node) -> str:
    """``Op`` in the default domain, ``domain::Op`` elsewhere."""
    return f"{node.domain}::{node.op_type}" if node.domain else node.op_type


class Locator:
    """Turns nodes, values and graphs into places that a person can search for."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._paths: dict[int, str] = {}

    def _path(self, graph: object) -> str:
        key = id(graph)
        if key not in self._paths:
            for scope in scopes(self._model):
                self._paths[id(scope.body)] = scope.path
                if isinstance(scope.body, ir.Function):
                    self._paths[id(scope.body.graph)] = scope.path
            self._paths.setdefault(key, "")  # a removed node's: do not search for it again
        return self._paths[key]

    def where(self, item: ir.Node | ir.Value | ir.Graph | ir.Function | ir.Model) -> str:
        """The place of ``item``."""
        if isinstance(item, ir.Node):
            return "/".join(filter(None, (self._path(item.graph), f"{_label(item)} ({operator(item)})")))
        if isinstance(item, ir.Value):
            producer = item.producer()
            return f"{self.where(producer)} output {item.index()}" if producer is not None else f"{item.name}"
        if isinstance(item, ir.Model):
            return "model"
        return self._path(item) or "main graph"


class Names:
    """Fresh names for values and nodes, unique across every scope so that nothing is shadowed or captured by accident."""

    def __init__(self, model: ir.Model) -> None:
        self._taken: set[str] = set()
        for scope in scopes(model):
            self._taken.update(v.name for v in scope.body.inputs if v.name)
            if isinstance(scope.body, ir.Graph):
                self._taken.update(scope.body.initializers)
            for node in scope.body:
                if node.name:
                    self._taken.add(node.name)
                self._taken.update(v.name for v in node.inputs if v is not None and v.name)
                self._taken.update(v.name for v in node.outputs if v.name)
        self._next: dict[str, int] = {}

    def fresh(self, stem: str) -> str:
        """``stem`` itself if free, else ``stem_1``, ``stem_2``... The same calls on the same model give the same names."""
        name, n = stem, self._next.get(stem, 0)
        while name in self._taken:
            n += 1
            name = f"{stem}_{n}"
        self._next[stem] = n
        self._taken.add(name)
        return name


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor behind a value that no caller can override: a Constant's, or an initializer that is not a graph input.

    Values of attributes such as ``value_float`` and ``value_ints`` count too.
    """
    if value is None:
        return None
    producer = value.producer()
    if producer is None:
        return value.const_value if value.is_initializer() and not value.is_graph_input() else None
    if producer.op_type != "Constant" or producer.domain != DEFAULT_DOMAIN:
        return None
    for name, attr in producer.attributes.items():
        if attr.is_ref():
            return None
        if name == "value" and attr.type == ir.AttributeType.TENSOR:
            # Not as_tensor(): it asks whether a structural type fits, and this is called for every constant of every walk.
            tensor: ir.TensorProtocol = attr.value
            return tensor
        if name in {"value_float", "value_floats"}:
            return ir.tensor(np.asarray(attr.value, np.float32))
        if name in {"value_int", "value_ints"}:
            return ir.tensor(np.asarray(attr.value, np.int64))
    return None


def constant(value: ir.Value | None, limit: int = 1 << 20) -> np.ndarray | None:
    """The array behind a constant value, or None where there is none or it holds more than ``limit`` elements."""
    tensor = constant_tensor(value)
    if tensor is None or tensor.size > limit:
        return None
    array: np.ndarray = tensor.numpy()
    return array


def operand(node: ir.Node, index: int = 0) -> ir.Value | None:
    """An input of a node; None where it is left out or the node has fewer, as nodes of broken files may."""
    return node.inputs[index] if index < len(node.inputs) else None


def result(node: ir.Node, index: int = 0) -> ir.Value | None:
    """An output of a node; None where the node has fewer."""
    return node.outputs[index] if index < len(node.outputs) else None


def int_attribute(node: ir.Node, name: str, default: int | None = None) -> int | None:
    """An integer attribute, its default where absent; None for a reference to a function's attribute.

    Raises:
        ModelError: It is of another kind, as it may be where no schema says what it is.
    """
    attr = node.attributes.get(name)
    if attr is None:
        return default
    if attr.is_ref():
        return None
    if attr.type != ir.AttributeType.INT:
        raise ModelError(
            f"attribute {name} of {operator(node)} is {attr.type.name}, not INT", where=_label(node), hint="export the model again"
        )
    return attr.as_int()


def tensor_type(value: ir.Value) -> ir.DataType | None:
    """The declared element type of a tensor value; None where unknown, UNDEFINED, or not a tensor."""
    if isinstance(value.type, ir.TensorType) and value.type.dtype != ir.DataType.UNDEFINED:
        return value.type.dtype
    return None


def data_type(name: str | int) -> ir.DataType | None:
    """A data type by its ONNX name or number, None where there is no such type."""
    try:
        return ir.DataType[name.upper()] if isinstance(name, str) else ir.DataType(name)
    except (KeyError, ValueError):
        return None


def shape_text(shape: ir.Shape | None) -> str:
    """``[2,?,64]``; ``[...]`` where not even the rank is known."""
    if shape is None:
        return "[...]"
    return "[" + ",".join("?" if dim_unknown(d) else str(d) for d in shape) + "]"


def dim_unknown(dim: int | ir.SymbolicDim) -> bool:
    """Whether a dimension has neither a value nor a name."""
    return not isinstance(dim, int) and dim.value is None


# The names of a scope in order of definition, how many of them an inner scope sees, and the same of the scope around it.
_Names = tuple[dict[str, int], int, "_Names | None"]


def _defined(name: str, above: _Names | None) -> bool:
    while above is not None:
        names, seen, above = above
        if names.get(name, seen) < seen:
            return True
    return False


def check_structure(model: ir.Model) -> None:
    """Raise `ModelError` unless the graph holds together: what every pass must leave behind.

    Names are unique in their scope, every value is defined before it is used, every scope's outputs exist. This is the part of
    the ONNX checker that does not depend on schemas, so it also holds for files that are invalid as declared.
    """
    locate = Locator(model).where
    outside: dict[int, _Names] = {}
    for scope in scopes(model):
        body = scope.body
        local: dict[str, int] = {}
        above = outside.pop(id(body), None)

        def define(name: str | None, by: str | ir.Node, local: dict[str, int] = local) -> None:
            if not name:
                return
            if name in local:
                place = by if isinstance(by, str) else locate(by)
                raise ModelError(f"the name {name!r} is defined twice in one scope", where=place)
            local[name] = len(local)

        for entering in body.inputs:
            define(entering.name, "inputs")
        if isinstance(body, ir.Graph):
            for name in body.initializers:
                if name not in local:
                    define(name, "initializers")
            for name in body.meta.get(SPARSE, {}):
                local.setdefault(name, len(local))
        for node in body:
            for value in node.inputs:
                if value is not None and value.name and value.name not in local and not _defined(value.name, above):
                    raise ModelError(
                        f"input {value.name!r} is used before anything defines it",
                        where=locate(node),
                        why="the graph is not sorted, or a node that made this value is gone",
                    )
            for _, graph in subgraphs(node):
                outside[id(graph)] = local, len(local), above
            for value in node.outputs:
                define(value.name, node)
        for value in body.outputs:
            if value.name not in local and not _defined(value.name or "", above):
                raise ModelError(f"output {value.name!r} is not made by any node", where=locate(body))
