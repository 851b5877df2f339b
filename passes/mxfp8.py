"""mxfp8: MXFP8 operators, which ONNX Runtime's EP lacks, in terms of operators that it has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphfix.base import Change, Context, Pass, documented
from graphfix.facts.trt_ops import CONTRACTS, DOMAIN
from graphfix.inference import Types
from graphfix.model import constant_tensor, int_attribute, opset_version, shape_text, walk_scoped
from graphfix.weight_axes import last_axis
from graphfix_passes.build import Build
from graphfix_passes.folding import Folder, source_of
from graphfix_passes.mx_arithmetic import power, quantize, rounded
from graphfix_passes.rewire import cast_after, drop_unused, take_over

DT = ir.DataType
OPSET = 23  # the first whose blocked DequantizeLinear TensorRT-RTX takes for FP8 weights
QUANTIZE, DEQUANTIZE = "TRT_MXFP8DynamicQuantize", "TRT_MXFP8DequantizeLinear"
FLOATS = frozenset({DT.FLOAT, DT.FLOAT16, DT.BFLOAT16})


@dataclass(frozen=True)
class Options:
    """What becomes of activations."""

    activations: str = documented("rounded", "rounded: to the same MXFP8 values, by arithmetic; float: not quantized (weights only)")


class Mxfp8(Pass):
    """MXFP8 weights behind standard blocked DequantizeLinear; activations rounded to the same values by float arithmetic.

    Why: TensorRT-RTX knows the MXFP8 operators and ONNX Runtime's EP does not register them
    (``trt:TRT_MXFP8DequantizeLinear(-1) is not a registered function/op``), so no file with them loads.

    Before: ``TRT_MXFP8DequantizeLinear(FLOAT8E4M3FN [N, K], UINT8 [N, K/32])`` on weights;
    ``TRT_MXFP8DynamicQuantize(x) -> TRT_MXFP8DequantizeLinear`` on activations.

    After: ``DequantizeLinear{axis=-1, block_size=32}(FLOAT8E4M3FN, FLOAT16 [N, K/32])`` on weights: the exponents as exact powers of
    two. On activations p = 2^ceil(log2(max|block| / 448)) by Log, Ceil, Pow and two comparisons that undo Log's rounding, then x / p to
    FP8 and back by Q/DQ with scale 1 (TensorRT-RTX takes FP8 from no other operator, also not from Cast), times p. On an SD3 export
    onnx's reference evaluator finds the result bit-identical to the original; ONNX Runtime, which drops float16 round trips, 7.6e-4
    (relative) away. It costs 22 small nodes for each quantizer; matrix products are in float16 with half of float16's weight bytes.
    ``activations=float`` has no such nodes and is 2.9e-3 away from the original, on the side of the unquantized model (2.5e-3 from
    it, the original 3.7e-3). FLOAT8E8M0 scales and Casts to FP8 build no engine.

    Leaves alone: everything else. Refused by name: blocks along another axis than the last, or that do not divide it.
    """

    name = "mxfp8"
    summary = "MXFP8 operators replaced by standard ones that the TensorRT-RTX EP loads"
    Options = Options
    after = ("opset", "init-inputs")
    reads_weights = True

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each weight and each activation quantizer."""
        exact = self.options.activations == "rounded"
        if not exact and self.options.activations != "float":
            raise ctx.refuse(model, f"activations={self.options.activations}", "there are two ways: rounded and float")
        nodes = [(s, n) for s, n in walk_scoped(model) if n.domain == DOMAIN and n.op_type in {QUANTIZE, DEQUANTIZE}]
        if not nodes:
            return
        types, folder, build = ctx.types(), Folder(ctx), Build(ctx)
        for scope, node in nodes:
            version = opset_version(scope.opset_imports)
            if version is None or version < OPSET:
                hint = f"--passes opset{OPSET},{self.name}"
                raise ctx.refuse(node, f"MXFP8 at opset {version}", f"its standard form needs opset {OPSET}", hint)
            if node.op_type == DEQUANTIZE:
                maker = node.inputs[0].producer() if node.inputs[0] is not None else None
                if maker is not None and maker.op_type == QUANTIZE and maker.domain == DOMAIN:
                    yield self._activation(maker, node, exact, types, build, ctx)
                else:
                    yield self._weight(node, folder, ctx)
        for _, node in nodes:
            if node.op_type == QUANTIZE and node.graph is not None:
                if any(v.uses() or v.is_graph_output() for v in node.outputs):
                    raise ctx.refuse(node, "MXFP8 values that something else than its DequantizeLinear uses", "they have no standard form")
                node.graph.remove(node, safe=True)

    def _weight(self, node: ir.Node, folder: Folder, ctx: Context) -> Change:
        weight, scales = source_of(node.inputs[0]), source_of(node.inputs[1])
        codes, exponents = constant_tensor(weight), constant_tensor(scales)
        if weight is None or scales is None or codes is None or exponents is None or not isinstance(node.graph, ir.Graph):
            raise ctx.refuse(node, "an operand that is neither a constant nor an MXFP8 activation", "it has no standard form")
        block, dims = self._block(node, codes.shape.numpy(), ctx), list(codes.shape.numpy())
        out = ir.DataType(int_attribute(node, "output_dtype", 0) or codes.dtype)
        parts = [*dims[:-1], dims[-1] // block]
        if codes.dtype in FLOATS:  # a raw export: the weight is not quantized yet
            kind = DT.FLOAT
            new_parts = ((f"{weight.name}_f8", DT.FLOAT8E4M3FN, dims), (f"{weight.name}_scale", kind, parts))
            made = folder.fold(weight, lambda array: quantize(array, block), new_parts, how=block)
        else:
            if list(exponents.shape.numpy()) != parts or exponents.dtype != DT.UINT8:
                given = f"{exponents.dtype.name} {shape_text(ir.Shape(exponents.shape.numpy()))}"
                raise ctx.refuse(node, f"scales {given}", f"E8M0 exponents of shape {shape_text(ir.Shape(parts))} are expected")
            powers = exponents.numpy()
            exact = out == DT.FLOAT16 and powers.min(initial=127) >= 127 - 24 and powers.max(initial=127) <= 127 + 15
            kind = DT.FLOAT16 if exact else DT.FLOAT
            stem = f"{scales.name}_{kind.name.lower()}"
            made = [weight, *folder.fold(scales, lambda array: (power(array).astype(kind.numpy()),), ((stem, kind, parts),), how=kind)]
        old, operands, place = node.outputs[0], list(node.inputs), ctx.where(node)
        new = ir.node("DequantizeLinear", made, attributes={"axis": -1, "block_size": block}, name=node.name)
        new.outputs[0].type, new.outputs[0].shape = ir.TensorType(kind), ir.Shape(dims)
        node.graph.insert_before(node, new)
        take_over(old, new.outputs[0], ctx)
        node.graph.remove(node, safe=True)
        if kind != out:
            cast_after(new.outputs[0], out, ctx)
        list(drop_unused(operands))
        return Change(place, "operator", f"trt::{DEQUANTIZE}", f"DequantizeLinear with {kind.name} scales", "exact powers of two")

    def _activation(self, quantize: ir.Node, node: ir.Node, exact: bool, types: Types, build: Build, ctx: Context) -> Change:
        x = quantize.inputs[0]
        assert x is not None
        known = types.get(x)
        kind, shape = (known.type.dtype, known.shape) if known is not None and known.type is not None else (None, None)
        if kind is None:
            raise ctx.refuse(quantize, "an operand of unknown type", "type inference does not reach it")
        last = shape[-1] if shape is not None else last_axis(node.outputs[0], types)
        if shape is None and last is None:
            raise ctx.refuse(quantize, "an operand of unknown rank", "neither shape inference nor a weight behind it tells its last axis")
        rank = len(shape) if shape is not None else None
        block = self._block(quantize, [*[0] * ((rank or 1) - 1), last if isinstance(last, int) else 0], ctx, ranked=rank is not None)
        out = ir.DataType(int_attribute(node, "output_dtype", 0) or kind)
        place, old = ctx.where(quantize), node.outputs[0]
        build.at(node, quantize.name or "mxfp8")
        new, source = (rounded(build, x, rank, block), DT.FLOAT) if exact else (x, kind)
        if source != out:
            new = build("Cast", new, kind=out, to=out.value)
        if new is x and (old.is_graph_output() or x.is_graph_input()):
            new = build("Identity", x, kind=out)
        if new is not x:
            new.shape = shape
        take_over(old, new, ctx)
        assert node.graph is not None
        node.graph.remove(node, safe=True)
        how = "rounded by arithmetic" if exact else "not quantized"
        return Change(place, "activation", f"trt::{QUANTIZE}", how, "the EP registers no MXFP8 operator")

    def _block(self, node: ir.Node, shape: Sequence[int], ctx: Context, *, ranked: bool = True) -> int:
        defaults = CONTRACTS[node.op_type].attributes
        block = int_attribute(node, "block_size", defaults["block_size"]) or 0
        axis = int_attribute(node, "axis", defaults["axis"])
        if axis not in ({-1, len(shape) - 1} if ranked else {-1}) or block < 1 or shape[-1] % block:
            raise ctx.refuse(
                node, f"blocks of {block} along axis {axis} of {shape_text(ir.Shape(shape))}", "blocks must divide the last axis"
            )
        return block
