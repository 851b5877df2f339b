"""int4-native: INT4 weights behind a standard DequantizeLinear with the axis and the scale type that fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphfix.base import Change, Context, Pass, documented
from graphfix.element_types import Types, element_types
from graphfix.facts.trt_ops import DOMAIN
from graphfix.model import DEFAULT_DOMAIN, constant_tensor, int_attribute, opset_version, shape_text, walk_scoped
from graphfix_passes.folding import Array, Folder, source_of
from graphfix_passes.rewire import drop_unused

DT = ir.DataType
FLOATS = frozenset({DT.FLOAT, DT.FLOAT16, DT.BFLOAT16})
MOVES = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
OPSET = 21  # the first whose DequantizeLinear takes INT4 and blocks


@dataclass(frozen=True)
class Options:
    """What becomes of scales in another float type than the graph around them."""

    scales: str = documented("graph", "graph: stored in the type of the operands they meet; keep: as they are, with a Cast behind")


class Int4Native(Pass):
    """INT4 weights dequantize in the default domain, along the axis that their scales divide, in the type that the graph computes in.

    Why: ModelOpt's INT4 exporter writes ``trt::DequantizeLinear``, which ONNX Runtime's EP does not register; float32 scales into float16
    graphs; and axis 0 on Gemm weights that are stored transposed. onnx's checker passes all of it.

    Before: ``trt::DequantizeLinear{axis=0, block_size=128}(INT4 [768, 128], FLOAT [768, 1]) -> FLOAT16 [512, 128]``.

    After: ``DequantizeLinear{axis=1, block_size=128}(INT4 [768, 128], FLOAT16 [768, 1]) -> FLOAT16 [768, 128]``. The axis is the one for
    which the shapes of weight and scales agree. Scales take the float type of the other operand of their users, because that is the form
    TensorRT-RTX fuses with the MatMul; rounding them moves the output of an SD3 export by 4e-4 (relative), half of what the file is away
    from the torch module (8e-4). ``scales=keep`` leaves their bits alone and lets ``fp4-qdq`` cast the product.

    Leaves alone: INT4 weights that are consistent already; codes and zero points. Refused by name: shapes that fit no axis.
    """

    name = "int4-native"
    summary = "INT4 weights behind standard DequantizeLinear: domain, axis, scale type"
    Options = Options
    after = ("opset", "init-inputs", "int4-weights")
    reads_weights = True

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """Changes for domains, axes, scales and annotations."""
        if self.options.scales not in {"graph", "keep"}:
            raise ctx.refuse(
                model, f"scales={self.options.scales}", "there are two ways", f"{self.name}{{scales=graph}} or {{scales=keep}}"
            )
        folder, types = Folder(ctx), element_types(model)
        for scope, node in walk_scoped(model):
            if node.op_type != "DequantizeLinear" or node.domain not in {DEFAULT_DOMAIN, DOMAIN}:
                continue
            codes = constant_tensor(source_of(node.inputs[0]))
            if codes is None or codes.dtype not in {DT.INT4, DT.UINT4}:
                continue
            version = opset_version(scope.opset_imports)
            if version is None or version < OPSET:
                raise ctx.refuse(node, f"INT4 at opset {version}", f"it needs opset {OPSET}", f"--passes opset23,{self.name}")
            yield from self._settle(node, codes, folder, types, ctx)

    def _settle(self, node: ir.Node, codes: ir.TensorProtocol, folder: Folder, types: Types, ctx: Context) -> Iterable[Change]:
        if node.domain == DOMAIN:
            node.domain = DEFAULT_DOMAIN
            yield ctx.change(node, "domain", DOMAIN, "default", "the EP registers no such operator; the meaning is the same")
        shape = codes.shape.numpy()
        scale = constant_tensor(source_of(node.inputs[1]))
        block = int_attribute(node, "block_size", 0)
        if scale is None:
            raise ctx.refuse(node, "INT4 with scales that are no constants", "nothing proves which axis they divide")
        if block:
            axis = int_attribute(node, "axis", 1)
            true = fitting_axis(shape, scale.shape.numpy(), block)
            if true is None:
                shapes = f"INT4 {shape_text(ir.Shape(shape))} with scales {shape_text(ir.Shape(scale.shape.numpy()))}"
                raise ctx.refuse(node, shapes, f"blocks of {block} along one axis do not give these shapes")
            if axis is None or axis % len(shape) != true:
                node.attributes["axis"] = ir.AttrInt64("axis", true)
                yield ctx.change(node, "axis", axis, true, f"the only one along which blocks of {block} give the scales' shape")
        wanted = operand_type(node.outputs[0], types)
        if self.options.scales == "graph" and wanted not in {None, scale.dtype} and not int_attribute(node, "output_dtype", 0):
            yield self._convert(node, scale, wanted, folder, ctx)
        output, declared = node.outputs[0], node.outputs[0].shape
        if declared is not None and shape_text(declared) != shape_text(ir.Shape(shape)):
            output.shape = ir.Shape(shape)
            yield ctx.change(output, "shape", shape_text(declared), shape_text(output.shape), "the shape of input 0")

    def _convert(self, node: ir.Node, scale: ir.TensorProtocol, to: ir.DataType, folder: Folder, ctx: Context) -> Change:
        source = source_of(node.inputs[1])
        assert source is not None

        def rounded(array: Array) -> tuple[Array]:
            with np.errstate(over="ignore"):
                result = array.astype(to.numpy())
            if not np.isfinite(result.astype(np.float32)).all() or ((result == 0) & (array != 0)).any():
                raise ValueError(f"scales leave the range of {to.name}; use {self.name}{{scales=keep}}")
            return (result,)

        old = node.inputs[1]
        (new,) = folder.fold(source, rounded, ((f"{source.name}_{to.name.lower()}", to, scale.shape.numpy()),), how=to)
        node.replace_input_with(1, new)
        node.outputs[0].type = ir.TensorType(to)
        list(drop_unused([old]))
        return ctx.change(node, "scales", scale.dtype.name, to.name, "the type of the operands that the weight meets")


def fitting_axis(weight: Sequence[int], scales: Sequence[int], block: int) -> int | None:
    """The axis along which blocks of this size turn the weight's shape into the scales'; None where there is none."""
    if len(weight) != len(scales):
        return None
    fits = [a for a in range(len(weight)) if list(scales) == [*weight[:a], -(-weight[a] // block), *weight[a + 1 :]]]
    return fits[0] if len(fits) == 1 else None


def operand_type(value: ir.Value, types: Types) -> ir.DataType | None:
    """The one float type of what a weight meets in its users, seen through operators that only move elements; None where they differ."""
    found: set[ir.DataType] = set()
    for user, index in value.uses():
        if user.op_type in MOVES and user.domain == DEFAULT_DOMAIN and index == 0:
            inner = operand_type(user.outputs[0], types)
            found |= {inner} if inner is not None else set()
        elif user.op_type in {"MatMul", "Gemm", "Conv"}:
            other = user.inputs[1 - index] if index < 2 else None
            kind = types.get(other) if other is not None else None
            found |= {kind} if kind in FLOATS else set()
    return found.pop() if len(found) == 1 else None
