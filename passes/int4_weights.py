"""int4-weights: weights behind a raw trt::DequantizeLinear are stored in INT4."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx_ir as ir

from graphfix.base import Change, Context, Pass
from graphfix.facts.trt_ops import DOMAIN
from graphfix.model import DEFAULT_DOMAIN, constant, constant_tensor, int_attribute, opset_version, shape_text, walk_scoped
from graphfix_passes.folding import Array, Folder, source_of
from graphfix_passes.rewire import drop_unused, take_over

DT = ir.DataType
FLOATS = frozenset({DT.FLOAT, DT.FLOAT16, DT.BFLOAT16})
OPSET = 21  # the first whose DequantizeLinear takes INT4 and blocks


class Int4Weights(Pass):
    """Weights behind ``trt::DequantizeLinear`` on floats become packed INT4, with their Reshape and Transpose folded in.

    Why: what torch exports dequantizes a weight that nobody quantized: ``trt::DequantizeLinear`` on float16. No runtime takes that;
    ModelOpt's INT4 exporter makes the codes, with every weight in memory, and asserts a node order that diffusion models do not have.

    Before: ``trt::DequantizeLinear{block_size=128}(W [N*K/128, 128] in float16, S [N*K/128, 1]) -> Reshape [N, K] -> Transpose -> MatMul``.

    After: ``trt::DequantizeLinear{axis=0, block_size=128}(INT4 [K, N], S [K/128, N]) -> MatMul``; where no Transpose follows (Gemm),
    ``axis=1`` and ``INT4 [N, K]``. Codes are clip(round(W / S), -8, 7) with ties to even, as ModelOpt 0.47 computes them, while the
    model is saved, one weight in memory at a time. ``int4-native`` settles domain and scale type.

    Leaves alone: weights that are INT4 already; other users of the same weight. Refused by name: a weight or scales that are no
    constants, a Reshape that does not give blocks along the last axis.
    """

    name = "int4-weights"
    summary = "Raw INT4 weights stored in INT4, as ModelOpt's own folding, streamed"
    after = ("opset", "init-inputs")
    reads_weights = True

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each folded weight."""
        folder = Folder(ctx)
        for scope, node in [*walk_scoped(model)]:
            if node.op_type != "DequantizeLinear" or node.domain != DOMAIN or not int_attribute(node, "block_size", 0):
                continue
            weight = source_of(node.inputs[0])
            tensor = constant_tensor(weight)
            if weight is None or tensor is None or tensor.dtype not in FLOATS:
                continue
            version = opset_version(scope.opset_imports)
            if version is None or version < OPSET:
                hint = f"--passes opset23,{self.name}"
                raise ctx.refuse(node, f"to fold an INT4 weight at opset {version}", f"it needs opset {OPSET}", hint)
            yield self._fold(node, weight, tensor, folder, ctx)

    def _fold(self, node: ir.Node, weight: ir.Value, tensor: ir.TensorProtocol, folder: Folder, ctx: Context) -> Change:
        block = int_attribute(node, "block_size", 0) or 0
        scales = constant(node.inputs[1], 1 << 31)
        if scales is None or not isinstance(node.graph, ir.Graph):
            raise ctx.refuse(node, "to fold a weight whose scales are no constants", "its codes follow from them")
        last, dims = _reshaped(node.outputs[0], tensor.shape.numpy())
        if not dims or dims[-1] % block or scales.size * block != tensor.size:
            given = f"{shape_text(ir.Shape(tensor.shape.numpy()))} with {scales.size} scales, then {shape_text(ir.Shape(dims))}"
            raise ctx.refuse(node, f"a weight {given}", f"blocks of {block} along the last axis do not give these shapes")
        turned = _transposes(last)
        parts = [*dims[:-1], dims[-1] // block]
        shape, part_shape = (dims[::-1], parts[::-1]) if turned else (dims, parts)

        def compute(array: Array) -> tuple[Array, Array]:
            blocks = array.reshape(-1, block).astype(np.float32) / scales.reshape(-1, 1).astype(np.float32)
            codes = np.clip(np.rint(blocks), -8, 7).astype(np.int8).reshape(dims)
            held = scales.reshape(parts)
            codes, held = (codes.T, held.T) if turned else (codes, held)
            flat = np.ascontiguousarray(codes).reshape(-1)
            return (flat[0::2] & 15 | (flat[1::2] << 4)).view(np.uint8), np.ascontiguousarray(held)

        stem, kind = weight.name or "weight", ir.DataType.from_numpy(scales.dtype)
        codes, made = folder.fold(
            weight, compute, ((f"{stem}_i4", DT.INT4, shape), (f"{stem}_i4_scale", kind, part_shape)), how=(block, bool(turned))
        )
        place, operands = ctx.where(node), list(node.inputs)
        axis = 0 if turned else len(dims) - 1
        new = ir.node("DequantizeLinear", [codes, made], domain=DOMAIN, attributes={"axis": axis, "block_size": block}, name=node.name)
        new.outputs[0].type, new.outputs[0].shape = ir.TensorType(tensor.dtype), ir.Shape(shape)
        node.graph.insert_before(node, new)
        new.outputs[0].name = ctx.names.fresh(f"{stem}_dequantized")
        for old in turned or [last]:
            take_over(old, new.outputs[0], ctx)
        _remove(node, last, turned)
        list(drop_unused(operands))
        return Change(
            place,
            "weight",
            f"{tensor.dtype.name} {shape_text(ir.Shape(dims))}, {tensor.nbytes:,} bytes",
            f"INT4 {shape_text(ir.Shape(shape))} in blocks of {block}, {tensor.size // 2 + scales.nbytes:,} bytes",
            "no runtime dequantizes floats; this is ModelOpt's own folded form",
        )


def _reshaped(value: ir.Value, dims: Sequence[int]) -> tuple[ir.Value, list[int]]:
    """Where a weight gets its shape back after blocks were laid out: the value behind the Reshape, and that shape."""
    uses = tuple(value.uses())
    if len(uses) == 1 and uses[0].node.op_type == "Reshape" and uses[0].node.domain == DEFAULT_DOMAIN:
        wanted = constant(uses[0].node.inputs[1])
        if wanted is not None and (wanted > 0).all() and np.prod(wanted) == np.prod(dims):
            return uses[0].node.outputs[0], [int(d) for d in wanted]
    return value, list(dims)


def _transposes(value: ir.Value) -> list[ir.Value]:
    """The outputs of the Transposes that all users of a matrix are; empty where there is another user."""
    found = []
    for user, _ in value.uses():
        perm = user.attributes.get("perm")
        if user.op_type != "Transpose" or user.domain != DEFAULT_DOMAIN or (perm is not None and list(perm.as_ints()) != [1, 0]):
            return []
        found.append(user.outputs[0])
    return [] if value.is_graph_output() else found


def _remove(node: ir.Node, last: ir.Value, turned: Sequence[ir.Value]) -> None:
    """Take out what led from the weight to its users."""
    for value in (*turned, last, node.outputs[0]):
        producer = value.producer()
        if producer is not None and producer.graph is not None and not any(v.uses() for v in producer.outputs):
            inputs = list(producer.inputs)
            producer.graph.remove(producer, safe=True)
            list(drop_unused(inputs))
