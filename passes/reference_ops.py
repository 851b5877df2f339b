"""What the ``trt`` operators compute, as ONNX functions in onnxscript: for ONNX Runtime's CPU build and for onnx's reference evaluator.

The arithmetic is ModelOpt's CPU arithmetic (modelopt/torch/quantization: NVFP4QTensor, MXFP8QTensor, the FP8 fake quantizer). Blocks lie
along the last axis. E2M1 values are returned in the type that ``element`` names: FLOAT4E2M1, or FLOAT8E4M3FN as a proxy, in which all
fifteen of them are exact and for which ONNX Runtime has kernels.
"""
# ruff: noqa: ARG001 - a node's attributes must all be declared, also those that the arithmetic does not need
# mypy: ignore-errors

from __future__ import annotations

import onnx
from onnxscript import opset23 as op
from onnxscript import script
from onnxscript.values import Opset

from graphfix.facts.trt_ops import DOMAIN

TRT = Opset(DOMAIN, 1)
FLOAT, UINT8, INT64, FP8, FP4 = 1, 2, 7, 17, 23  # TensorProto.DataType
OPSET = 23  # of the function bodies


@script(TRT, default_opset=op)
def TRT_FP8QuantizeLinear(x, y_scale):
    """q = e4m3(saturate(x / s)); the division is in float32 whatever the type of s."""
    return op.Cast(op.Cast(x, to=1) / op.Cast(y_scale, to=1), to=17, saturate=1)


@script(TRT, default_opset=op)
def TRT_FP8DequantizeLinear(x, x_scale):
    """y = q s, rounded once, to the type of s."""
    return op.CastLike(op.Cast(x, to=1) * op.Cast(x_scale, to=1), x_scale)


@script(TRT, default_opset=op)
def TRT_FP4DynamicQuantize(x, scale, axis: int = -1, block_size: int = 16, scale_type: int = 17, element: int = 17):
    """Block scale s = e4m3(clip(max|block| / (6 g), 2^-9, 448)), 1 for a block of zeros; q = e2m1(x / (s g)) with ties to even."""
    shape = op.Shape(x)
    lead = op.Slice(shape, [0], [-1])
    size = op.Reshape(op.Constant(value_int=block_size), [1])
    blocks = op.Reshape(op.Cast(x, to=1), op.Concat(lead, [-1], size, axis=0))
    g = op.Cast(scale, to=1)
    peak = op.ReduceMax(op.Abs(blocks), [-1], keepdims=1)
    ratio = peak / (6.0 * g)
    ratio = op.Where(ratio == 0.0, op.Constant(value_float=1.0), ratio)
    s = op.Cast(op.Clip(ratio, 0.001953125, 448.0), to=17, saturate=1)
    v = blocks / (op.Cast(s, to=1) * g)
    a = op.Abs(v)
    low = op.Round(a * 2.0) / 2.0
    high = op.Min(op.Round(a / 2.0) * 2.0, op.Constant(value_float=6.0))
    q = op.Where(a < 2.0, low, op.Where(a < 4.0, op.Round(a), high)) * op.Sign(v)
    return op.Cast(op.Reshape(q, shape), to=element), op.Reshape(s, op.Concat(lead, [-1], axis=0))


@script(TRT, default_opset=op)
def TRT_MXFP8DynamicQuantize(x, axis: int = -1, block_size: int = 32, output_dtype: int = 17):
    """Exponent e = ceil(log2(max|block| / 448)) clipped to +-127, stored as e + 127; q = e4m3(x 2^-e)."""
    shape = op.Shape(x)
    lead = op.Slice(shape, [0], [-1])
    size = op.Reshape(op.Constant(value_int=block_size), [1])
    blocks = op.Reshape(op.Cast(x, to=1), op.Concat(lead, [-1], size, axis=0))
    ratio = op.ReduceMax(op.Abs(blocks), [-1], keepdims=1) / 448.0
    guess = op.Ceil(op.Log(ratio) / 0.6931471805599453)
    guess = op.Clip(guess, -127.0, 127.0)
    # Log is not exact at powers of two: step to the smallest exponent that still covers the block.
    guess = op.Where(op.Pow(op.Constant(value_float=2.0), guess - 1.0) >= ratio, guess - 1.0, guess)
    guess = op.Where(op.Pow(op.Constant(value_float=2.0), guess) < ratio, guess + 1.0, guess)
    e = op.Clip(guess, -127.0, 127.0)
    q = op.Cast(blocks * op.Pow(op.Constant(value_float=2.0), -e), to=17, saturate=1)
    return op.Reshape(q, shape), op.Reshape(op.Cast(e + 127.0, to=2), op.Concat(lead, [-1], axis=0))


@script(TRT, default_opset=op)
def TRT_MXFP8DequantizeLinear(x, x_scale, axis: int = -1, block_size: int = 32, output_dtype: int = 10):
    """y = q 2^(u8 - 127)."""
    shape = op.Shape(x)
    lead = op.Slice(shape, [0], [-1])
    size = op.Reshape(op.Constant(value_int=block_size), [1])
    blocks = op.Reshape(op.Cast(x, to=1), op.Concat(lead, [-1], size, axis=0))
    exponents = op.Unsqueeze(op.Cast(x_scale, to=1), [-1]) - 127.0
    y = blocks * op.Pow(op.Constant(value_float=2.0), exponents)
    return op.Cast(op.Reshape(y, shape), to=output_dtype)


FUNCTIONS = {
    f.name: f
    for f in (
        TRT_FP8QuantizeLinear,
        TRT_FP8DequantizeLinear,
        TRT_FP4DynamicQuantize,
        TRT_MXFP8DynamicQuantize,
        TRT_MXFP8DequantizeLinear,
    )
}


def function_proto(op_type: str, *, proxy: bool) -> onnx.FunctionProto:
    """The function for an operator; with ``proxy`` E2M1 values come as FLOAT8E4M3FN.

    Raises:
        KeyError: There is no reference for this operator.
    """
    proto = FUNCTIONS[op_type].to_function_proto()
    # onnx's evaluator does not apply the defaults of function attributes, so this one is filled in.
    for attribute in (a for node in proto.node for a in node.attribute if a.ref_attr_name == "element"):
        attribute.ref_attr_name = ""
        attribute.i = FP8 if proxy else FP4
    kept = [a for a in proto.attribute_proto if a.name != "element"]
    del proto.attribute_proto[:]
    proto.attribute_proto.extend(kept)
    return proto
