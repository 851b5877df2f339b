"""FP8 arithmetic for constant tensors: E4M3 codes as QuantizeLinear and TRT_FP8QuantizeLinear make them."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np

from graphfix_passes.folding import Array

LARGEST = np.float32(448)  # of E4M3; what is larger saturates
CHUNK = 1 << 18  # elements: intermediate arrays stay in the processor's cache


@dataclass(frozen=True)
class Division:
    """How a tensor is scaled: by one scale or by one for each slice along an axis, and whether the quotient is formed in float32."""

    scale: Array
    axis: int
    in_float32: bool


def quantize(weight: Array, how: Division) -> Array:
    """float8_e4m3fn(saturate(weight / scale)), ties to even.

    Args:
        weight: float16, bfloat16 or float32, any shape.
        how: The scale, of shape [], [1] or [weight.shape[axis]].

    Raises:
        ValueError: The scales do not fit the axis.
    """
    if how.scale.size == 1:
        scale = how.scale.reshape(())
        if weight.dtype.itemsize == 2:  # 65,536 possible values: look them up
            every = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
            table = _round(every.view(weight.dtype), scale, how.in_float32).view(np.uint8)
            codes: Array = table[np.ascontiguousarray(weight).view(np.uint16)]
            return codes.view(ml_dtypes.float8_e4m3fn)
        flat = np.ascontiguousarray(weight).reshape(-1)
        parts = [_round(flat[i : i + CHUNK], scale, how.in_float32) for i in range(0, flat.size, CHUNK)]
        return np.concatenate(parts).reshape(weight.shape) if parts else weight.astype(ml_dtypes.float8_e4m3fn)
    if how.scale.ndim != 1 or not -weight.ndim <= how.axis < weight.ndim or how.scale.size != weight.shape[how.axis]:
        raise ValueError(f"scales of shape {list(how.scale.shape)} do not fit axis {how.axis} of {list(weight.shape)}")
    shape = [1] * weight.ndim
    shape[how.axis] = -1
    return _round(weight, how.scale.reshape(shape), how.in_float32)


def _round(x: Array, scale: Array, in_float32: bool) -> Array:
    kind = np.float32 if in_float32 else scale.dtype
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        quotient = (x.astype(kind) / scale.astype(kind)).astype(np.float32)
        codes: Array = np.clip(quotient, -LARGEST, LARGEST).astype(ml_dtypes.float8_e4m3fn)
    return codes
