"""static-shapes: dynamic axes get fixed sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from graphfix.base import Change, Context, Pass, free_options
from graphfix.model import dim_unknown, shape_text
from graphfix_passes import dims


@dataclass(frozen=True)
class Options:
    """Inputs with their sizes, ``hidden_states=2x16x128x128`` (``*`` leaves an axis), or axes by name, ``batch_size=2``."""

    sizes: dict[str, str] = free_options()


class StaticShapes(Pass):
    """Dynamic axes of inputs get the sizes that the options name, and every axis of the same name with them.

    Why: an engine built for one shape is faster and smaller, and runtimes that build optimization profiles need not guess.

    Before: ``hidden_states [batch_size, 16, height, width]``.

    After: ``static-shapes{hidden_states=2x16x128x128}``: ``hidden_states [2, 16, 128, 128]``, and ``batch_size`` is 2 in every other input,
    output and annotation too.

    Leaves alone: axes that no option reaches; the graph itself: shapes that it computes from its inputs stay computed. Refused: a size that
    contradicts a fixed one, and two sizes for one name.
    """

    name = "static-shapes"
    summary = "Dynamic axes get fixed sizes: static-shapes{hidden_states=2x16x128x128}"
    Options = Options
    changes_interface = True

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each input and output whose shape was fixed."""
        inputs = {value.name: value for value in model.graph.inputs}
        known = dims.names(model)
        if not self.options.sizes:
            raise ctx.refuse(model, "to guess sizes", "no option names any", f"{self.name}{{{next(iter(inputs), 'input')}=2x16x128x128}}")
        sizes: dict[str, int] = {}
        for key, text in self.options.sizes.items():
            if key in inputs:
                yield from self._input(inputs[key], text, sizes, ctx)
            elif key in known and text.isdecimal() and int(text) > 0:
                self._agree(key, int(text), sizes, model, ctx)
            elif text.isdecimal() and key not in known:
                ctx.note("no-such-axis", model, f"no input or output has an axis {key!r} (any more)")
            else:
                names = ", ".join(sorted({*filter(None, inputs), *known}))
                raise ctx.refuse(model, f"{key}={text}", f"inputs and axes of this model: {names}; sizes are positive whole numbers")
        yield from dims.substitute(model, sizes, "an axis of that name has that size", ctx)

    def _input(self, value: ir.Value, text: str, sizes: dict[str, int], ctx: Context) -> Iterator[Change]:
        given = text.split("x")
        shape = value.shape
        if shape is None or len(shape) != len(given) or not all(g == "*" or (g.isdecimal() and int(g) > 0) for g in given):
            raise ctx.refuse(value, f"{text} for {shape_text(shape)}", "one positive number or * for each axis, with x between them")
        new: list[int | ir.SymbolicDim] = []
        for size, dim in zip(given, shape, strict=True):
            name = dims.name_of(dim)
            if size == "*":
                new.append(dim)
            elif isinstance(dim, int) and dim != int(size):
                raise ctx.refuse(value, f"{text} for {shape_text(shape)}", f"an axis of fixed size {dim} cannot become {size}")
            elif name is not None:
                self._agree(name, int(size), sizes, value, ctx)
                new.append(dim)
            else:
                new.append(int(size))
        if any(dim_unknown(dim) for dim in shape) and new != list(shape):
            value.shape = ir.Shape(new)
            yield ctx.change(value, "shape", shape_text(shape), shape_text(value.shape), "set by the option")

    def _agree(self, name: str, size: int, sizes: dict[str, int], where: ir.Value | ir.Model, ctx: Context) -> None:
        if sizes.setdefault(name, size) != size:
            raise ctx.refuse(where, f"{name}={size}", f"another option makes it {sizes[name]}")
