"""Named dimensions: what passes that fix, rename or recover them share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx_ir as ir

from graphfix.base import Change, Context
from graphfix.model import scopes, shape_text

Dim = int | str


def name_of(dim: int | ir.SymbolicDim) -> str | None:
    """A dimension's name; None where it has a value, or neither."""
    return None if isinstance(dim, int) else dim.value


def names(model: ir.Model) -> set[str]:
    """The names of dimensions of graph inputs and outputs."""
    ends = (*model.graph.inputs, *model.graph.outputs)
    return {name for value in ends if value.shape is not None for dim in value.shape if (name := name_of(dim)) is not None}


def substitute(model: ir.Model, new: Mapping[str, Dim], why: str, ctx: Context) -> Iterator[Change]:
    """Give a value or another name to every dimension of a name, wherever it is declared; one change for each graph input and output."""
    ends = {id(value) for value in (*model.graph.inputs, *model.graph.outputs)}
    seen: set[int] = set()
    for scope in scopes(model):
        held = (*scope.body.inputs, *(v for node in scope.body for v in node.outputs))
        for value in held:
            if value.shape is None or id(value) in seen:
                continue
            seen.add(id(value))
            dims = [new.get(name_of(dim) or "", dim) for dim in value.shape]
            if dims != list(value.shape):
                before, value.shape = value.shape, ir.Shape(dims)
                if id(value) in ends:
                    yield ctx.change(value, "shape", shape_text(before), shape_text(value.shape), why)
