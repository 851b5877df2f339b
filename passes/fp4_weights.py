"""fp4-weights: weights behind TRT_FP4QDQ are stored in FP4."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Change, Context, Pass
from graphfix.facts.trt_ops import CONTRACTS, DOMAIN
from graphfix.model import constant_tensor, int_attribute, opset_version, shape_text, walk_scoped
from graphfix_passes import nvfp4
from graphfix_passes.folding import Folder, source_of
from graphfix_passes.rewire import cast_after, drop_unused

DT = ir.DataType
OPSET = 23  # the first whose DequantizeLinear takes FLOAT4E2M1


class Fp4Weights(Pass):
    """Weights behind ``trt::TRT_FP4QDQ`` become packed FP4 behind two DequantizeLinear.

    Why: ``TRT_FP4QDQ`` is a placeholder in what torch exports. No runtime has it; ModelOpt's NVFP4 exporter replaces it, at a pace of
    five million weights a second and with every weight in memory.

    Before: ``TRT_FP4QDQ(W [N, K] in float16, bfloat16 or float32)``.

    After: ``DequantizeLinear(FLOAT8E4M3FN [N, K/16], FLOAT [1])`` gives the block scales, ``DequantizeLinear{axis=-1, block_size=16}
    (FLOAT4E2M1 [N, K], scales)`` the weight in float32, and a Cast its former type. Tensors are bit-equal to those of ModelOpt 0.47,
    computed while the model is saved, one weight in memory at a time. A Transpose stays between the weight and its Cast, where ModelOpt
    has it.

    Leaves alone: weights that are folded already; other users of the same weight, which keep the original. Refused by name: a weight
    that is no constant, or whose last axis the block does not divide (TensorRT-RTX takes no partial blocks).
    """

    name = "fp4-weights"
    summary = "Weights behind TRT_FP4QDQ stored in FP4, as ModelOpt's own folding, streamed"
    after = ("opset", "init-inputs")
    reads_weights = True

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each folded weight."""
        folder = Folder(ctx)
        nodes = [(scope, node) for scope, node in walk_scoped(model) if node.domain == DOMAIN and node.op_type == "TRT_FP4QDQ"]
        for done, (scope, node) in enumerate(nodes):
            ctx.progress("preparing FP4 weights", done, len(nodes))
            version = opset_version(scope.opset_imports)
            if version is None or version < OPSET:
                hint = f"--passes opset{OPSET},{self.name}"
                raise ctx.refuse(node, f"to fold an FP4 weight at opset {version}", f"FLOAT4E2M1 needs opset {OPSET}", hint)
            yield self._fold(node, folder, ctx)

    def _fold(self, node: ir.Node, folder: Folder, ctx: Context) -> Change:
        weight = source_of(node.inputs[0])
        tensor = constant_tensor(weight)
        block = int_attribute(node, "block_size", CONTRACTS[node.op_type].attributes["block_size"])
        if weight is None or tensor is None or not isinstance(node.graph, ir.Graph):
            hint = "--passes init-inputs,fp4-weights" if node.inputs[0] is not None and node.inputs[0].is_graph_input() else ""
            raise ctx.refuse(node, "to fold an operand that is not a constant", "TRT_FP4QDQ stands for a weight known in advance", hint)
        if tensor.dtype not in {DT.FLOAT16, DT.BFLOAT16, DT.FLOAT}:
            raise ctx.refuse(node, f"a weight of type {tensor.dtype.name}", "NVFP4 is defined for float16, bfloat16 and float32")
        if node.outputs[0].is_graph_output():
            raise ctx.refuse(node, "to fold a weight that is a graph output", "the output would change its type")
        dims = tensor.shape.numpy()
        if not block or block % 2 or not dims or dims[-1] % block:
            raise ctx.refuse(
                node,
                f"a weight of shape {shape_text(ir.Shape(dims))}",
                f"blocks of {block} do not divide its last axis, and TensorRT-RTX takes no partial blocks",
                "leave this layer unquantized in ModelOpt",
            )
        stem = weight.name or "weight"
        lead = dims[:-1]
        codes, scales, scale = folder.fold(
            weight,
            lambda array: nvfp4.quantize(array, block),
            (
                (f"{stem}_f4", DT.FLOAT4E2M1, dims),
                (f"{stem}_f8_scale", DT.FLOAT8E4M3FN, (*lead, dims[-1] // block)),
                (f"{stem}_f8_scale_f32_scale", DT.FLOAT, (1,)),
            ),
            how=block,
        )
        place = ctx.where(node)
        inner = _dequantize([scales, scale], f"{stem}_f32_scale", {}, ctx)
        outer = _dequantize([codes, inner.outputs[0]], f"{stem}_f32", {"axis": -1, "block_size": block}, ctx)
        old, new = node.outputs[0], outer.outputs[0]
        node.graph.insert_before(node, [inner, outer])
        old.replace_all_uses_with(new)
        if tensor.dtype != DT.FLOAT:
            cast_after(new, tensor.dtype, ctx)
        operand = node.inputs[0]
        node.graph.remove(node, safe=True)
        list(drop_unused([operand]))
        return Change(
            place,
            "weight",
            f"{tensor.dtype.name} {shape_text(ir.Shape(dims))}, {tensor.nbytes:,} bytes",
            f"FLOAT4E2M1 in blocks of {block}, {codes.const_value.nbytes + scales.const_value.nbytes + 4:,} bytes",  # type: ignore[union-attr]
            "no runtime has TRT_FP4QDQ; this is ModelOpt's own folded form",
        )


def _dequantize(inputs: list[ir.Value], stem: str, attributes: dict[str, int], ctx: Context) -> ir.Node:
    node = ir.node("DequantizeLinear", inputs, attributes=attributes, name=ctx.names.fresh(f"{stem}_DequantizeLinear"))
    output = node.outputs[0]
    output.name, output.type, output.shape = ctx.names.fresh(stem), ir.TensorType(DT.FLOAT), inputs[0].shape
    return node
