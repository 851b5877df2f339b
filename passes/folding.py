"""Constants that are computed when they are saved: what passes that fold weights share.

A folded weight is a set of `onnx_ir.LazyTensor` over the tensor that was read from the file. Nothing is computed until the model is
saved, and only the last weight's result is kept, so memory does not grow with the model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
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

    def fold(
        self, weight: ir.Value, compute: Callable[[Array], tuple[Array, ...]], parts: Sequence[tuple[str, ir.DataType, Sequence[int]]]
    ) -> list[ir.Value]:
        """New initializers computed from a constant.

        Args:
            weight: The constant; its values must not be needed elsewhere in memory.
            compute: From the constant's array to one array for each part; 4-bit parts packed in uint8. May raise ValueError.
            parts: Name stem, element type and shape of each new initializer.

        Returns:
            The new initializers, registered in the graph that holds ``weight``.
        """
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
        made = []
        for index, (stem, kind, dims) in enumerate(parts):
            shape = ir.Shape(dims)
            lazy = ir.LazyTensor(part(index, kind, shape), kind, shape, name=self._ctx.names.fresh(stem))
            value = ir.Value(name=lazy.name, const_value=lazy, type=ir.TensorType(kind), shape=shape)
            graph.initializers.add(value)
            made.append(value)
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


def drop_unused(values: Sequence[ir.Value | None]) -> Iterator[ir.Value]:
    """Remove constants (and the Identity nodes in front of them) that nothing uses any more; yields the initializers that went."""
    for value in values:
        if value is None or value.uses() or value.is_graph_output():
            continue
        producer = value.producer()
        if producer is not None:
            if producer.op_type in {"Identity", "Constant"} and producer.graph is not None:
                inputs = list(producer.inputs)
                producer.graph.remove(producer, safe=True)
                yield from drop_unused(inputs)
        elif value.is_initializer() and not value.is_graph_input() and isinstance(value.graph, ir.Graph):
            del value.graph.initializers[value.name]  # type: ignore[arg-type]
            yield value


def cast_after(value: ir.Value, to: ir.DataType, ctx: Context, names: str = "") -> list[ir.Value]:
    """Give the users of a float value a Cast of it; Transposes stay in front of the Cast, where runtimes look for them.

    Returns:
        The outputs of the Casts that were made.
    """
    made: list[ir.Value] = []
    cast: ir.Value | None = None
    for user, index in tuple(value.uses()):
        if user.op_type == "Transpose" and user.domain == "" and not user.outputs[0].is_graph_output():
            user.outputs[0].type = value.type
            made += cast_after(user.outputs[0], to, ctx, names)
            continue
        if cast is None:
            stem = f"{value.name}_{'f16' if to == ir.DataType.FLOAT16 else 'bf16' if to == ir.DataType.BFLOAT16 else to.name.lower()}"
            node = ir.node("Cast", [value], attributes={"to": to.value}, name=ctx.names.fresh(f"{stem}_Cast"))
            cast = node.outputs[0]
            cast.name, cast.type, cast.shape = ctx.names.fresh(stem), ir.TensorType(to), value.shape
            producer = value.producer()
            assert producer is not None
            assert producer.graph is not None
            producer.graph.insert_after(producer, node)
            made.append(cast)
        user.replace_input_with(index, cast)
    return made


def take_over(old: ir.Value, new: ir.Value, ctx: Context) -> None:
    """Let every user of ``old`` use ``new``; a graph output keeps its name."""
    name = old.name
    output = old.is_graph_output()
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    if output:
        old.name = ctx.names.fresh(f"{name}_replaced")
        new.name = name
