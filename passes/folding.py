"""Constants that are computed when they are saved: what passes that fold weights share.

A folded weight is a set of `onnx_ir.LazyTensor` over the tensor that was read from the file. Nothing is computed until the model is
saved, and only the last weight's result is kept, so memory does not grow with the model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from graphfix.base import Context
from graphfix.errors import PassError
from graphfix.model import constant_tensor

Array = npt.NDArray[Any]

SMALL = 1024  # bytes: results up to this size are kept, because they are written with the header, after all weights


def source_of(value: ir.Value | None) -> ir.Value | None:
    """The constant behind a value, seen through Identity (the exporter's way to share one weight); None where there is none."""
    while value is not None and (node := value.producer()) is not None and node.op_type == "Identity" and node.domain == "":
        value = node.inputs[0]
    return value if constant_tensor(value) is not None else None


class Folder:
    """Makes the lazy tensors of one pass; holds the arrays of the weight that was asked for last."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._last: tuple[object, tuple[Array, ...]] | None = None
        self._made: dict[tuple[ir.Value, Hashable], list[ir.Value]] = {}
        self._functions = {id(function.graph) for function in ctx.model.functions.values()}

    def fold(
        self,
        weight: ir.Value,
        compute: Callable[[Array], tuple[Array, ...]],
        parts: Sequence[tuple[str, ir.DataType, Sequence[int]]],
        how: Hashable,
    ) -> list[ir.Value]:
        """New initializers computed from a constant.

        Args:
            weight: The constant; its values must not be needed elsewhere in memory.
            compute: From the constant's array to one array for each part; 4-bit parts packed in uint8. May raise ValueError.
            parts: Name stem, element type and shape of each new initializer.
            how: What distinguishes this computation: the same one of the same constant is done once.

        Returns:
            The new initializers, registered in the graph that holds ``weight``.

        Raises:
            PassError: The constant is in a local function, which cannot hold initializers.
        """
        if (weight, how) in self._made:
            return self._made[weight, how]
        tensor = constant_tensor(weight)
        assert tensor is not None
        where, name, key = self._ctx.where(weight), self._ctx.pass_name, object()
        small: dict[int, Array] = {}

        def array_of(index: int) -> Array:
            if index in small:
                return small[index]
            if self._last is None or self._last[0] is not key:
                self._last = None
                try:
                    self._last = key, compute(tensor.numpy())
                except ValueError as error:
                    raise PassError(f"{name} cannot quantize a weight", where=where, why=str(error)) from error
                finally:
                    _release(tensor)
                small.update((i, array) for i, array in enumerate(self._last[1]) if array.nbytes <= SMALL)
            return self._last[1][index]

        def part(index: int, kind: ir.DataType, shape: ir.Shape) -> Callable[[], ir.TensorProtocol]:
            def make() -> ir.TensorProtocol:
                array = array_of(index)
                return ir.PackedTensor(array.reshape(-1), kind, shape=shape) if kind.bitwidth == 4 else ir.Tensor(array, dtype=kind)

            return make

        graph = _graph_of(weight)
        if id(graph) in self._functions:
            raise self._ctx.refuse(
                weight, "to fold a weight inside a local function", "a function holds no initializers", "inline the function"
            )
        made = []
        for index, (stem, kind, dims) in enumerate(parts):
            shape = ir.Shape(dims)
            lazy = ir.LazyTensor(part(index, kind, shape), kind, shape, name=self._ctx.names.fresh(stem))
            value = ir.Value(name=lazy.name, const_value=lazy, type=ir.TensorType(kind), shape=shape)
            graph.initializers.add(value)
            made.append(value)
        self._made[weight, how] = made
        return made


def _graph_of(value: ir.Value) -> ir.Graph:
    producer = value.producer()
    graph = producer.graph if producer is not None else value.graph
    assert isinstance(graph, ir.Graph)
    return graph


def _release(tensor: ir.TensorProtocol) -> None:
    """Unmap the file behind an external tensor, so that its pages do not count against this process for longer than needed."""
    if isinstance(tensor, ir.ExternalTensor):
        with contextlib.suppress(BufferError):  # someone else holds the array: the mapping goes when they do
            tensor.release()
