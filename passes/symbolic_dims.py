"""symbolic-dims: names for dynamic axes, and sizes back for axes that the weights fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from graphfix.base import Change, Context, Pass, documented, free_options
from graphfix.model import dim_unknown, shape_text
from graphfix.weight_axes import fixed_axes
from graphfix_passes import dims


@dataclass(frozen=True)
class Options:
    """Axes to rename as ``old=new``."""

    recover: bool = documented(True, "give fixed sizes back to axes that a Conv, Gemm, MatMul or LayerNormalization fixes")
    names: dict[str, str] = free_options()


class SymbolicDims(Pass):
    """Axes of inputs that the weights fix get their size back; others get the names that the options give.

    Why: ModelOpt marks even the channels dynamic. A blocked axis must be static for TensorRT-RTX, and an optimization profile cannot be
    built without guessing a size that the first weight has known all along.

    Before: ``hidden_states [batch_size, num_channels, height, width]`` in front of a Conv with weight ``[64, 16, 2, 2]``.

    After: ``hidden_states [batch_size, 16, height, width]``, and ``num_channels`` is 16 wherever it is declared. With
    ``symbolic-dims{steps=batch_size}`` every axis called ``steps`` is called ``batch_size``.

    Leaves alone: axes that no weight fixes. A name for which two weights want different sizes is a finding.
    """

    name = "symbolic-dims"
    summary = "Axes that weights fix get their size back; others can be renamed"
    Options = Options
    after = ("fp4-weights", "int4-native", "mxfp8", "fp4-qdq", "trt-types")
    changes_interface = True

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each input and output with a new shape."""
        known = dims.names(model)
        for old in self.options.names.keys() - known:
            if self.options.names[old] not in known:
                raise ctx.refuse(model, f"to rename axis {old!r}", f"axes of this model: {', '.join(sorted(known)) or 'none has a name'}")
        yield from dims.substitute(model, self.options.names, "set by the option", ctx)
        if self.options.recover:
            yield from self._recover(model, ctx)

    def _recover(self, model: ir.Model, ctx: Context) -> Iterator[Change]:
        types = ctx.types()
        sizes: dict[str, int] = {}
        torn: set[str] = set()
        for value in model.graph.inputs:
            for axis, size in sorted(fixed_axes(value, types)):
                assert value.shape is not None
                dim = value.shape[axis]
                name = dims.name_of(dim)
                if name is not None:
                    if sizes.setdefault(name, size) != size:
                        torn.add(name)
                        ctx.note("axis-size", value, f"axis {name!r} is {sizes[name]} by one weight and {size} by another")
                elif dim_unknown(dim):
                    before = value.shape
                    value.shape = ir.Shape([*before[:axis], size, *before[axis + 1 :]])
                    yield ctx.change(value, "shape", shape_text(before), shape_text(value.shape), "the weight behind it has that size")
        fixed = {name: size for name, size in sizes.items() if name not in torn}
        yield from dims.substitute(model, fixed, "the weight behind it has that size", ctx)
