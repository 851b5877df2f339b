"""einsum-transpose: an Einsum that only permutes axes, where its type has no Einsum."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from graphfix.base import Change, Context, Pass, documented
from graphfix.model import DEFAULT_DOMAIN, walk
from graphfix_passes.rewire import take_over

DT = ir.DataType
# What Einsum does not take and Transpose does (opset 12 to 28). Source: ONNX operator schemas.
WITHOUT_EINSUM = frozenset({DT.BFLOAT16})


@dataclass(frozen=True)
class Options:
    """Where to do it."""

    always: bool = documented(False, "also where Einsum takes the type")


class EinsumTranspose(Pass):
    """An Einsum of one operand that names every axis of it once in its result becomes a Transpose.

    Why: SD3 puts its patches back into an image by ``einsum("nhwpqc->nchpwq")``. ONNX's Einsum takes no bfloat16, so a bfloat16 export
    is no valid model: ``Type 'tensor(bfloat16)' of input parameter of operator (Einsum) is invalid``.

    Before: ``Einsum{equation="nhwpqc->nchpwq"}(x)`` with x in bfloat16.

    After: ``Transpose{perm=[0, 5, 1, 3, 2, 4]}(x)``: the same elements in the same places.

    Leaves alone: types that Einsum takes, unless ``always``; sums, diagonals, ellipses, two operands.
    """

    name = "einsum-transpose"
    summary = "An Einsum that only permutes axes becomes a Transpose where its type has no Einsum"
    Options = Options
    after = ("opset",)

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each Einsum replaced."""
        nodes = [node for node in walk(model) if node.op_type == "Einsum" and node.domain == DEFAULT_DOMAIN and len(node.inputs) == 1]
        types = ctx.types() if nodes else None
        for node in nodes:
            equation = node.attributes["equation"].as_string() if "equation" in node.attributes else ""
            perm = permutation(equation)
            x = node.inputs[0]
            known = types.get(x) if types is not None and x is not None else None
            kind = known.type.dtype if known is not None and known.type is not None else None
            if x is None or perm is None or (kind not in WITHOUT_EINSUM and not self.options.always) or node.graph is None:
                continue
            place, old = ctx.where(node), node.outputs[0]
            new = ir.node("Transpose", [x], attributes={"perm": perm}, name=node.name)
            new.outputs[0].name, new.outputs[0].type, new.outputs[0].shape = ctx.names.fresh(f"{old.name}_permuted"), old.type, old.shape
            node.graph.insert_before(node, new)
            take_over(old, new.outputs[0], ctx)
            node.graph.remove(node, safe=True)
            yield Change(place, "operator", f"Einsum {equation}", f"Transpose {perm}", "it moves elements only; Einsum takes no bfloat16")


def permutation(equation: str) -> list[int] | None:
    """The ``perm`` of the Transpose that an equation with one operand is; None where it is none."""
    operand, arrow, result = equation.replace(" ", "").partition("->")
    if not arrow or not operand.isalpha() or len(set(operand)) != len(operand) or sorted(operand) != sorted(result):
        return None
    return [operand.index(axis) for axis in result]
