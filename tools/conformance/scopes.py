"""The same node in the main graph, in a branch, in a branch of a branch, and in a local function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

CONDITION = "the_condition"
LOCAL = "local"


def extra_feeds(model: onnx.ModelProto) -> dict[str, Any]:
    """What a wrapped model asks for besides its node's inputs."""
    return {CONDITION: np.array(True)} if any(v.name == CONDITION for v in model.graph.input) else {}


def plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """As it is."""
    return model


def _branch(outputs: list[onnx.ValueInfoProto], nodes: list[onnx.NodeProto], name: str) -> onnx.GraphProto:
    suffixed = {v.name: f"{v.name}_{name}" for v in outputs}
    inner = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for names in (copy.input, copy.output):
            names[:] = [suffixed.get(n, n) for n in names]
        inner.append(copy)
    declared = []
    for value in outputs:
        copied = onnx.ValueInfoProto()
        copied.CopyFrom(value)
        copied.name = suffixed[value.name]
        declared.append(copied)
    return helper.make_graph(inner, name, [], declared)


def _rebuilt(model: onnx.ModelProto, nodes: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    del wrapped.graph.node[:]
    wrapped.graph.node.extend(nodes)
    wrapped.graph.input.extend(inputs)
    return wrapped


def branch(model: onnx.ModelProto, depth: int = 1) -> onnx.ModelProto:
    """In both branches of an If, with its inputs captured."""
    nodes, outputs = list(model.graph.node), list(model.graph.output)
    for level in range(depth):
        branches = {f"{side}_branch": _branch(outputs, nodes, f"{side}{level}") for side in ("then", "else")}
        nodes = [helper.make_node("If", [CONDITION], [v.name for v in outputs], **branches)]
    return _rebuilt(model, nodes, [helper.make_tensor_value_info(CONDITION, TensorProto.BOOL, [])])


def nested(model: onnx.ModelProto) -> onnx.ModelProto:
    """In a branch of a branch."""
    return branch(model, 2)


def function(model: onnx.ModelProto, references: bool = False) -> onnx.ModelProto | None:
    """In a local function with imports of its own."""
    used = list(dict.fromkeys(n for node in model.graph.node for n in node.input if n))
    made = {n for node in model.graph.node for n in node.output}
    inputs = [n for n in used if n not in made]
    outputs = [v.name for v in model.graph.output]
    body, given = [], []
    for node in model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if references:
            for attribute in copy.attribute:
                if attribute.type in {onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS}:
                    return None
                moved = onnx.AttributeProto()
                moved.CopyFrom(attribute)
                moved.name = f"the_{attribute.name}"
                given.append(moved)
                name, kind = attribute.name, attribute.type
                attribute.Clear()
                attribute.name, attribute.type, attribute.ref_attr_name = name, kind, moved.name
        body.append(copy)
    if references and (not given or len(model.graph.node) > 1):
        return None
    imports = [e for e in model.opset_import if e.domain == ""]
    wrapped = _rebuilt(model, [helper.make_node("Wrapped", inputs, outputs, domain=LOCAL)], [])
    wrapped.graph.node[0].attribute.extend(given)
    wrapped.functions.append(helper.make_function(LOCAL, "Wrapped", inputs, outputs, body, imports, [a.name for a in given]))
    wrapped.opset_import.append(helper.make_opsetid(LOCAL, 1))
    wrapped.ir_version = max(wrapped.ir_version, 10)
    return wrapped


def references(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """In a local function whose node refers to the function's attributes."""
    return function(model, True)


WRAPS: Mapping[str, Callable[[onnx.ModelProto], onnx.ModelProto | None]] = {
    "plain": plain,
    "if": branch,
    "nested if": nested,
    "function": function,
    "function with attribute references": references,
}
