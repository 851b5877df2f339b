"""symbolic-dims: names for dynamic axes, and sizes back for axes that the weights fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from graphfix.base import Change, Context, Pass, documented, free_options
from graphfix.facts.trt_ops import DOMAIN
from graphfix.inference import Types
from graphfix.model import dim_unknown, int_attribute, shape_text
from graphfix_passes import dims

# Operators behind which the last axis, or axis 1, is still that of their first input.
SAME_SHAPE = frozenset({"Cast", "Identity", "QuantizeLinear", "DequantizeLinear", "TRT_FP8QuantizeLinear", "TRT_FP8DequantizeLinear"})


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
            for axis, size in sorted(set(_fixed_axes(value, value, types))):
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


def _fixed_axes(entry: ir.Value, value: ir.Value, types: Types) -> Iterator[tuple[int, int]]:
    """Axes of a graph input whose size an operator behind it fixes by its weight."""
    rank = len(entry.shape) if entry.shape is not None else 0
    for user, index in value.uses():
        if user.op_type in SAME_SHAPE and user.domain in {"", DOMAIN} and index == 0:
            yield from _fixed_axes(entry, user.outputs[0], types)
        elif not user.domain and index == 0:
            axis, size = _by_weight(user, rank, types)
            if size is not None and -rank <= axis < rank:
                yield axis % rank, size


def _by_weight(node: ir.Node, rank: int, types: Types) -> tuple[int, int | None]:
    """The axis of input 0 that a node's weight fixes, and its size."""
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    known = types[weight].shape if weight is not None and weight in types else None
    if known is None or not all(isinstance(dim, int) for dim in known):
        return 0, None
    shape = [int(dim) for dim in known if isinstance(dim, int)]
    if node.op_type == "Conv" and len(shape) == rank:
        return 1, shape[1] * (int_attribute(node, "group", 1) or 1)
    if node.op_type == "MatMul" and len(shape) >= 2:
        return -1, shape[-2]
    if node.op_type == "Gemm" and len(shape) == 2 and not int_attribute(node, "transA", 0):
        return -1, shape[1 if int_attribute(node, "transB", 0) else 0]
    if node.op_type == "LayerNormalization" and len(shape) == 1:
        return -1, shape[0]
    return 0, None
