"""fp8-native: FP8 by standard operators, with weights stored in FP8."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from graphfix.base import Change, Context, Pass, documented
from graphfix.facts.trt_ops import DOMAIN
from graphfix.model import DEFAULT_DOMAIN, constant_tensor, int_attribute, opset_version, walk_scoped
from graphfix_passes.build import Build
from graphfix_passes.folding import Folder, source_of
from graphfix_passes.fp8 import Division, quantize
from graphfix_passes.rewire import drop_unused, take_over

DT = ir.DataType
OPSET = 19  # the first whose QuantizeLinear makes FP8
PRECISION = 23  # the first whose QuantizeLinear divides in another type than float32 unless told
QUANTIZE, DEQUANTIZE = "TRT_FP8QuantizeLinear", "TRT_FP8DequantizeLinear"
FLOATS = frozenset({DT.FLOAT, DT.FLOAT16, DT.BFLOAT16})


@dataclass(frozen=True)
class Options:
    """What becomes of activations."""

    activations: str = documented("native", "native: standard Q/DQ; trt: activations stay on the TRT operators, weights are folded")


class Fp8Native(Pass):
    """FP8 pairs become standard QuantizeLinear and DequantizeLinear, and quantized weights are stored in FP8.

    Why: ModelOpt's diffusers path keeps FP8 weights in float16 behind a quantizer that runs each time an engine is built, at twice the
    bytes. SDXL mixes TRT and standard operators in one file. Standard ones run in every ONNX Runtime.

    Before: ``TRT_FP8QuantizeLinear(W float16) -> TRT_FP8DequantizeLinear``, the same on activations, or standard Q/DQ on a float16 weight.

    After: ``DequantizeLinear(FLOAT8E4M3FN W)``; ``QuantizeLinear{precision=FLOAT} -> DequantizeLinear`` on activations. The division is in
    float32, as in the TRT operators and in ONNX Runtime up to opset 22: onnx's reference evaluator finds the same bits, codes included.
    (ONNX Runtime's CPU build drops float16 round trips around functions; there the two forms of an SD3 export are 7e-3 apart.) Weights
    are computed while the model is saved, one in memory at a time.

    Leaves alone: INT8; FP8 weights that are folded already; pairs with a side that other nodes use too, for one side is never converted
    without the other.
    """

    name = "fp8-native"
    summary = "FP8 pairs as standard Q/DQ, weights stored in FP8 (half the bytes)"
    Options = Options
    after = ("opset", "init-inputs")
    reads_weights = True

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each pair."""
        if self.options.activations not in {"native", "trt"}:
            raise ctx.refuse(model, f"activations={self.options.activations}", "there are two ways: native and trt")
        folder, build = Folder(ctx), Build(ctx)
        nodes = [(scope, node) for scope, node in walk_scoped(model) if _makes_fp8(node)]
        for done, (scope, node) in enumerate(nodes):
            ctx.progress("preparing FP8 weights", done, len(nodes))
            version = opset_version(scope.opset_imports) or 0
            if version < OPSET:
                raise ctx.refuse(node, f"FP8 at opset {version}", f"it needs opset {OPSET}", f"--passes opset23,{self.name}")
            users = [(user, index) for user, index in node.outputs[0].uses()]
            if not users or node.outputs[0].is_graph_output() or any(not _dequantizes(u) or i != 0 for u, i in users):
                ctx.note("fp8-pair", node, "its FP8 values have other users than DequantizeLinear: the pair stays as it is")
                continue
            pairs = [user for user, _ in users]
            if source_of(node.inputs[0]) is not None and isinstance(node.graph, ir.Graph):
                yield from self._weight(node, pairs, version, folder, ctx)
            elif self.options.activations == "native" and node.domain == DOMAIN:
                yield from self._activation(node, pairs, version, build, ctx)

    def _weight(self, node: ir.Node, users: list[ir.Node], version: int, folder: Folder, ctx: Context) -> Iterator[Change]:
        weight, scale = source_of(node.inputs[0]), source_of(node.inputs[1])
        tensor, scales = constant_tensor(weight), constant_tensor(scale)
        assert weight is not None
        assert tensor is not None
        if scales is None or tensor.dtype not in FLOATS or int_attribute(node, "saturate", 1) != 1 or int_attribute(node, "block_size", 0):
            return
        dims = list(tensor.shape.numpy())
        division = Division(scales.numpy(), int_attribute(node, "axis", 1) or 0, _divides_in_float32(node, scales.dtype, version))
        parts = ((f"{weight.name}_f8", DT.FLOAT8E4M3FN, dims),)
        how = (division.scale.tobytes(), division.axis, division.in_float32)
        (codes,) = folder.fold(weight, lambda array: (quantize(array, division),), parts, how)
        place, operands = ctx.where(node), list(node.inputs)
        for user in users:
            user.replace_input_with(0, codes)
            if user.domain == DOMAIN:
                user.domain, user.op_type = DEFAULT_DOMAIN, "DequantizeLinear"
        assert node.graph is not None
        node.graph.remove(node, safe=True)
        list(drop_unused(operands))
        before = f"{tensor.dtype.name}, {tensor.nbytes:,} bytes"
        yield Change(place, "weight", before, f"FLOAT8E4M3FN, {tensor.size:,} bytes", "what the quantizer makes of it, stored")

    def _activation(self, node: ir.Node, users: list[ir.Node], version: int, build: Build, ctx: Context) -> Iterator[Change]:
        x, scale = node.inputs
        assert x is not None
        assert scale is not None
        build.at(node, node.name or "fp8")
        zero = build.constant(0, DT.FLOAT8E4M3FN)
        attributes = {"precision": DT.FLOAT.value} if version >= PRECISION else {}
        place, old = ctx.where(node), node.outputs[0]
        new = build("QuantizeLinear", x, scale, zero, kind=DT.FLOAT8E4M3FN, **attributes)
        new.shape = old.shape
        take_over(old, new, ctx)
        for user in users:
            if user.domain == DOMAIN:
                user.domain, user.op_type = DEFAULT_DOMAIN, "DequantizeLinear"
        assert node.graph is not None
        node.graph.remove(node, safe=True)
        yield Change(place, "pair", f"trt::{QUANTIZE}", "QuantizeLinear and DequantizeLinear", "the standard form of the same arithmetic")


def _makes_fp8(node: ir.Node) -> bool:
    if node.domain == DOMAIN:
        return node.op_type == QUANTIZE
    if node.domain != DEFAULT_DOMAIN or node.op_type != "QuantizeLinear":
        return False
    zero = constant_tensor(node.inputs[2]) if len(node.inputs) > 2 else None
    return zero.dtype == DT.FLOAT8E4M3FN if zero is not None else int_attribute(node, "output_dtype", 0) == DT.FLOAT8E4M3FN.value


def _dequantizes(node: ir.Node) -> bool:
    return (node.domain, node.op_type) in {(DOMAIN, DEQUANTIZE), (DEFAULT_DOMAIN, "DequantizeLinear")}


def _divides_in_float32(node: ir.Node, scale: ir.DataType, version: int) -> bool:
    """TRT operators do; QuantizeLinear does up to opset 22, and later by its ``precision``, whose default is the scale's type."""
    if node.domain == DOMAIN or version < PRECISION or scale == DT.FLOAT:
        return True
    return int_attribute(node, "precision", 0) == DT.FLOAT.value
