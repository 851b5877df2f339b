"""Rewiring that several passes do: users moved to another value, Casts behind a value, constants that nothing uses any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from graphfix.base import Context


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
