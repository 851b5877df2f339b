"""What the tests of single passes share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

import graphfix
from graphfix import io
from graphfix.model import scopes


@pytest.fixture
def nodes_of() -> Callable[[ir.Model], list[str]]:
    """The operators of a model in order, constants left out, as ``Op(types of inputs) -> types of outputs``."""

    def kind(value: ir.Value | None) -> str:
        return "-" if value is None else value.dtype.name if value.dtype is not None else "?"

    def listing(model: ir.Model) -> list[str]:
        return [
            f"{n.domain + '::' if n.domain else ''}{n.op_type}({', '.join(map(kind, n.inputs))}) -> {', '.join(map(kind, n.outputs))}"
            for n in model.graph
            if n.op_type != "Constant"
        ]

    return listing


@pytest.fixture
def from_text() -> Callable[..., ir.Model]:
    """An in-memory model from ONNX text, with arrays or tensors by keyword as its initializers."""

    def make(text: str, **weights: np.ndarray | ir.TensorProtocol) -> ir.Model:
        proto = onnx.parser.parse_model(text)
        for name, weight in weights.items():
            tensor = weight if isinstance(weight, ir.TensorProtocol) else ir.Tensor(weight)
            tensor.name = name
            proto.graph.initializer.append(ir.to_proto(tensor))
        return io.from_proto(proto)

    return make


@pytest.fixture
def apply_twice() -> Callable[..., graphfix.Applied]:
    """Apply a pipeline, and hold it to two promises: a second run changes nothing, and no decision depends on a name."""

    def run(model, passes: str) -> graphfix.Applied:
        first = graphfix.apply(model, passes)
        assert graphfix.apply(first.model, passes).changes == []
        renamed = graphfix.apply(rename(graphfix.apply(model, "opset-imports").model), passes)
        summary = [(c.what, c.before, c.after, c.why) for c in first.changes]
        again = [(c.what, c.before, c.after, c.why) for c in renamed.changes]
        assert len(summary) == len(again)
        assert operators(first.model) == operators(renamed.model)
        return first

    return run


def operators(model: ir.Model) -> list[tuple[str, str, list[str]]]:
    return [(n.domain, n.op_type, [str(v.dtype) for v in n.outputs]) for n in model.graph]


def rename(model: ir.Model) -> ir.Model:
    """Give every inner value and node a name that says nothing."""
    keep = {v.name for v in (*model.graph.inputs, *model.graph.outputs)}
    count = 0
    for scope in scopes(model):
        for node in scope.body:
            node.name = f"n{count}"
            count += 1
            for value in node.outputs:
                if value.name and value.name not in keep:
                    value.name = f"v{count}"
                    count += 1
        if isinstance(scope.body, ir.Graph):
            for value in list(scope.body.initializers.values()):
                if value.name not in keep:
                    value.name = f"v{count}"
                    count += 1
    return model
