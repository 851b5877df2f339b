"""fp4-qdq: quantize and dequantize nodes in the default domain, with the types that the operators define."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx_ir as ir

from graphfix.base import Change, Context, Pass
from graphfix.element_types import QDQ, Conflict, Types, element_types, reconciled
from graphfix.facts.trt_ops import DOMAIN
from graphfix.model import DEFAULT_DOMAIN, opset_version, scopes, shape_text, walk_scoped

# The first opset of the default domain whose Q/DQ has the attribute. Source: onnx Changelog, QuantizeLinear and DequantizeLinear.
ATTRIBUTE_SINCE = {"block_size": 21, "output_dtype": 21, "precision": 23, "saturate": 19, "axis": 13}


class Fp4Qdq(Pass):
    """Q/DQ nodes of the ``trt`` domain become default-domain ones, and every tensor around them gets its true type.

    Why: the EP does not register ``trt::DequantizeLinear`` or ``trt::QuantizeLinear``; ONNX Runtime answers
    ``trt:DequantizeLinear(-1) is not a registered function/op``. Older ModelOpt releases and its FP8 and INT4 exporters leave them
    behind, annotated with the type of the graph around them instead of the type that they compute.

    Before: ``trt::DequantizeLinear(FLOAT4E2M1, FLOAT scale) -> FLOAT16``; FLOAT8E4M3FN tensors annotated UINT8, FLOAT or UNDEFINED.

    After: ``DequantizeLinear -> FLOAT`` (``output_dtype``, else the scale's type), annotations behind it re-inferred, and one Cast
    where an operator mixes it with another float type: the graph computes what its annotations said it did.

    Leaves alone: nodes that are in the default domain and consistent already; conflicts that no Q/DQ node causes; values.
    """

    name = "fp4-qdq"
    summary = "Q/DQ nodes leave domain 'trt' and get true types; Casts only where needed"
    after = ("opset",)

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """Changes for moved nodes, inserted Casts and corrected annotations."""
        moved = list(self._move(model, ctx))
        yield from moved
        casts: list[Change] = []
        types = element_types(model, resolve=_Casts(ctx, casts))
        yield from casts
        quantized = any(node.op_type in QDQ for _, node in walk_scoped(model))
        if quantized:
            yield from self._retype(model, types, ctx)

    def _move(self, model: ir.Model, ctx: Context) -> Iterator[Change]:
        for scope, node in walk_scoped(model):
            if node.domain != DOMAIN or node.op_type not in QDQ:
                continue
            version = opset_version(scope.opset_imports)
            for name in node.attributes:
                since = ATTRIBUTE_SINCE.get(name, 13)
                if version is None or version < since:
                    raise ctx.refuse(
                        node,
                        f"to move the node to the default domain at opset {version}",
                        f"attribute {name} is defined from opset {since} on",
                        f"--passes opset{max(since, 23)},{self.name}",
                    )
            node.domain = DEFAULT_DOMAIN
            yield ctx.change(node, "domain", DOMAIN, "default", "the EP registers no such operator; the meaning is the same")

    def _retype(self, model: ir.Model, types: Types, ctx: Context) -> Iterator[Change]:
        inferred = None
        for scope in scopes(model):
            for value in scope.body.initializers.values() if isinstance(scope.body, ir.Graph) else ():
                stored = value.const_value.dtype if value.const_value is not None else None
                if stored is not None and value.dtype != stored:
                    yield ctx.change(value, "element type", value.dtype and value.dtype.name, stored.name, "what is stored")
                    value.type = ir.TensorType(stored)
            for node in scope.body:
                if node.domain == DOMAIN:
                    continue  # trt-types owns these
                for value in node.outputs:
                    true, declared = types.get(value), value.type
                    if true is None or declared is None or not isinstance(declared, ir.TensorType) or declared.dtype == true:
                        continue
                    if value.is_graph_output() and scope.depth == 0:
                        ctx.note(
                            "GF023",
                            value,
                            f"the graph output is declared {declared.dtype.name} and computed as {true.name}",
                        )
                        continue
                    value.type = ir.TensorType(true)
                    yield ctx.change(value, "element type", declared.dtype.name, true.name, "what the operator computes")
                    if value.shape is None:
                        inferred = inferred if inferred is not None else ctx.types()
                        shape = inferred[value].shape if value in inferred else None
                        if shape is not None:
                            value.shape = shape
                            yield ctx.change(value, "shape", "[...]", shape_text(shape), "follows from the inputs")


class _Casts:
    """Resolves a conflict by casting the operand that comes out of a DequantizeLinear to the type of the other."""

    def __init__(self, ctx: Context, changes: list[Change]) -> None:
        self._ctx, self._changes = ctx, changes
        self._made: dict[tuple[int, ir.Value, ir.DataType], ir.Value] = {}

    def __call__(self, conflict: Conflict) -> ir.DataType | None:
        node, place = conflict.node, reconciled(conflict)
        if place is None:
            return None
        index, target = place
        value, source = node.inputs[index], conflict.found if target == conflict.wanted else conflict.wanted
        assert value is not None
        cast = self._made.get((id(node.graph), value, target)) or self._insert(node, value, source, target)
        node.replace_input_with(index, cast)
        return target

    def _insert(self, node: ir.Node, value: ir.Value, source: ir.DataType, target: ir.DataType) -> ir.Value:
        ctx = self._ctx
        stem = f"{value.name}_{target.name.lower()}"
        cast = ir.node("Cast", [value], attributes={"to": target.value}, name=ctx.names.fresh(f"{stem}_Cast"))
        output = cast.outputs[0]
        output.name = ctx.names.fresh(stem)
        output.type, output.shape = ir.TensorType(target), value.shape
        assert node.graph is not None
        node.graph.insert_before(node, cast)
        self._made[id(node.graph), value, target] = output
        self._changes.append(
            ctx.change(
                node,
                "Cast inserted",
                source.name,
                target.name,
                f"input {value.name!r} meets {target.name} operands here",
            )
        )
        return output
