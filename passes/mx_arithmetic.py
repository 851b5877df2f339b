"""MXFP8 arithmetic: of constants with NumPy, of activations as nodes.

E8M0 exponents are stored as e + 127. e = ceil(log2(max|block| / 448)) is the smallest for which the block fits E4M3; a block of zeros has
-127.
Source: OCP Microscaling Formats 1.0; modelopt/torch/quantization, MXFP8QTensor.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx_ir as ir

from graphfix_passes.build import Build
from graphfix_passes.folding import Array

DT = ir.DataType


def power(exponents: Array) -> Array:
    """2^(u8 - 127) in float32."""
    powers: Array = np.ldexp(np.float32(1), exponents.astype(np.int32) - 127)
    return powers


def quantize(weight: Array, block: int) -> tuple[Array, Array]:
    """MXFP8 along the last axis: float8_e4m3fn of the weight's shape, and float32 powers of two of shape [.., K / block].

    Raises:
        ValueError: A value is not finite.
    """
    blocks = weight.astype(np.float32).reshape(*weight.shape[:-1], -1, block)
    ratio = np.abs(blocks).max(axis=-1) / np.float32(448)
    if not np.isfinite(ratio).all():
        raise ValueError("it holds values that are not finite")
    mantissa, exponent = np.frexp(ratio)
    exponent = np.clip(np.where(ratio == 0, -127, exponent - (mantissa == 0.5)), -127, 127)
    scales = np.ldexp(np.float32(1), exponent)
    return (blocks / scales[..., None]).reshape(weight.shape).astype(ml_dtypes.float8_e4m3fn), scales


def rounded(build: Build, x: ir.Value, rank: int | None, block: int) -> ir.Value:
    """Nodes that round ``x`` to MXFP8 values along its last axis; the result is float32, of x's shape. An unknown rank costs a Shape."""
    f = DT.FLOAT

    def c(number: float) -> ir.Value:
        return build.constant(np.float32(number), f)

    lead = [0] * (rank - 1) if rank else []
    blocks = build("Reshape", build("Cast", x, kind=f, to=f.value), build.constant([*lead, -1, block], DT.INT64), kind=f)
    peak = build("ReduceMax", build("Abs", blocks, kind=f), build.constant([-1], DT.INT64), kind=f, keepdims=1)
    # A block of zeros gets the smallest power instead of 2^-127, which a GPU may flush to zero; zero times anything is zero.
    ratio = build("Max", build("Div", peak, c(448), kind=f), c(2.0**-100), kind=f)
    log = build("Div", build("Log", ratio, kind=f), c(np.log(2.0)), kind=f)
    p = build("Pow", c(2), build("Ceil", log, kind=f), kind=f)
    half = build("Mul", p, c(0.5), kind=f)
    p = build("Where", build("GreaterOrEqual", half, ratio, kind=DT.BOOL), half, p, kind=f)
    p = build("Where", build("Less", p, ratio, kind=DT.BOOL), build("Mul", p, c(2), kind=f), p, kind=f)
    codes = build("QuantizeLinear", build("Div", blocks, p, kind=f), c(1), build.constant(0, DT.FLOAT8E4M3FN), kind=DT.FLOAT8E4M3FN)
    values = build("Mul", build("DequantizeLinear", codes, c(1), kind=f), p, kind=f)
    shape = build.constant([*lead, -1], DT.INT64) if rank else build("Shape", x, kind=DT.INT64)
    return build("Reshape", values, shape, kind=f)
