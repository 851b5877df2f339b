"""rotary: rotary embeddings that an export froze to the token count it was traced with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx_ir as ir

from graphfix.base import Change, Context, Pass
from graphfix.inference import Types
from graphfix.model import constant, int_attribute, opset_version, walk_scoped
from graphfix_passes.build import Build


class Rotary(Pass):
    """The two Reshapes of a rotary embedding take their leading sizes from their input.

    Why: Flux exported with diffusers 0.35 or newer runs only at the number of tokens that it was traced with, in spite of its dynamic axis:
    at another one ONNX Runtime fails in ``/transformer_blocks.0/attn/Mul_3`` or ``Reshape_20``.

    Before: ``x -> Reshape([2,96,2,16,2]) -> halves along the last axis, one negated, swapped -> Reshape([2,96,2,32])``, sizes traced.

    After: the same with ``Reshape([0,0,0,-1,2])`` and ``Reshape([0,0,0,-1])``, where 0 means: as in the input. It is what
    ``x.reshape(*x.shape[:-1], -1, 2)`` and ``.flatten(-2)`` say.

    Leaves alone: rotary embeddings whose sizes follow the input already; Reshapes outside of this structure.
    """

    name = "rotary"
    summary = "Flux: rotary embeddings frozen to the traced token count follow the input again"

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each Reshape that was thawed."""
        types: Types | None = None
        build = Build(ctx)
        for scope, node in walk_scoped(model):
            if node.op_type != "Reshape" or node.domain or (opset_version(scope.opset_imports) or 0) < 5:
                continue
            for last in _rotated(node):
                types = types or ctx.types()
                rank = _rank(node.outputs[0], node.inputs[1], types)
                if rank is None or not _added_back(node.inputs[0], last.outputs[0]):
                    continue
                yield from self._thaw(node, rank, [0] * (rank - 2) + [-1, 2], build, ctx)
                yield from self._thaw(last, rank - 1, [0] * (rank - 2) + [-1], build, ctx)

    def _thaw(self, node: ir.Node, rank: int, follows: list[int], build: Build, ctx: Context) -> Iterator[Change]:
        sizes = node.inputs[1]
        if _frozen(sizes, rank) and not int_attribute(node, "allowzero", 0):
            array = constant(sizes)
            before = array.tolist() if array is not None else "partly traced"
            node.replace_input_with(1, build.at(node, f"{node.name}/follow").constant(follows, ir.DataType.INT64))
            node.outputs[0].shape = None
            yield ctx.change(node, "sizes", before, follows, "leading sizes follow the input")


def _rank(value: ir.Value, sizes: ir.Value | None, types: Types) -> int | None:
    """The rank that a Reshape makes."""
    array = constant(sizes)
    if array is not None:
        return len(array)
    shape = types[value].shape if value in types else None
    return None if shape is None else len(shape)


def _added_back(x: ir.Value | None, rotated: ir.Value) -> bool:
    """Whether ``x * cos + rotated * sin`` follows: then x and what is made of it have one shape."""
    if x is None:
        return False
    products = [
        {user for through in _through(value, {"Cast"}) for user, _ in through.uses() if user.op_type == "Mul"} for value in (x, rotated)
    ]
    sums = [{user for product in found for user, _ in product.outputs[0].uses() if user.op_type == "Add"} for found in products]
    return bool(sums[0] & sums[1])


def _frozen(sizes: ir.Value | None, rank: int) -> bool:
    """Whether a Reshape to this rank fixes one of the leading sizes to a number."""
    array = constant(sizes)
    if array is not None:
        return len(array) == rank and bool((array[: rank - 2] > 0).any())
    producer = sizes.producer() if sizes is not None else None
    if producer is None or producer.op_type != "Concat" or len(producer.inputs) != rank:
        return False
    return any(part is not None and part.size == 1 and part.reshape(-1)[0] > 0 for part in map(constant, producer.inputs[: rank - 2]))


def _rotated(first: ir.Node) -> Iterator[ir.Node]:
    """The Reshapes at the other end of ``split the last axis in two, negate one half, swap, join``."""
    takers = [user for user, _ in first.outputs[0].uses() if user.op_type in {"Split", "Gather"} and _last_axis(user)]
    halves = [value for taker in takers for value in taker.outputs]
    for half in halves:
        negated = [
            out for value in _through(half, {"Squeeze"}) for user, _ in value.uses() if user.op_type == "Neg" for out in user.outputs
        ]
        for value in negated:
            for raised in _through(value, {"Unsqueeze"}):
                for joined, _ in raised.uses():
                    if joined.op_type == "Concat" and _last_axis(joined):
                        yield from (user for user, index in joined.outputs[0].uses() if user.op_type == "Reshape" and index == 0)


def _through(value: ir.Value, kinds: set[str]) -> Iterator[ir.Value]:
    yield value
    for user, index in value.uses():
        if user.op_type in kinds and index == 0:
            yield user.outputs[0]


def _last_axis(node: ir.Node) -> bool:
    return int_attribute(node, "axis", 0) in {-1, 4}
