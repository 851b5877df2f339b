"""A small builder for passes that put several nodes in front of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphfix.base import Context


class Build:
    """Inserts default-domain nodes before a node; equal constants of a graph are one Constant node at its beginning.

    One builder serves a whole pass; `at` moves it.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._constants: dict[tuple[int, str, bytes, tuple[int, ...]], ir.Value] = {}
        self._anchor: ir.Node | None = None
        self._stem = ""

    def at(self, anchor: ir.Node, stem: str) -> Build:
        """Insert before ``anchor`` from now on, with names that begin with ``stem``."""
        self._anchor, self._stem = anchor, stem
        return self

    def __call__(self, op_type: str, *inputs: ir.Value, kind: ir.DataType, **attributes: Any) -> ir.Value:
        """One node; returns its output, typed ``kind``."""
        assert self._anchor is not None
        assert self._anchor.graph is not None
        node = ir.node(op_type, list(inputs), attributes=attributes, name=self._ctx.names.fresh(f"{self._stem}/{op_type}"))
        output = node.outputs[0]
        output.name, output.type = self._ctx.names.fresh(f"{node.name}_output_0"), ir.TensorType(kind)
        self._anchor.graph.insert_before(self._anchor, node)
        return output

    def constant(self, array: npt.ArrayLike, kind: ir.DataType) -> ir.Value:
        """A constant of an element type."""
        assert self._anchor is not None
        graph = self._anchor.graph
        assert graph is not None
        values = np.asarray(array).astype(kind.numpy())
        key = (id(graph), kind.name, values.tobytes(), values.shape)
        if key not in self._constants:
            tensor = ir.Tensor(values, dtype=kind)
            name = self._ctx.names.fresh(f"{self._ctx.pass_name}/Constant")
            node = ir.node("Constant", [], attributes={"value": tensor}, name=name)
            output = node.outputs[0]
            output.name, output.type, output.shape = self._ctx.names.fresh(f"{name}_output_0"), ir.TensorType(kind), tensor.shape
            graph.insert_before(graph[0], node)
            self._constants[key] = output
        return self._constants[key]
