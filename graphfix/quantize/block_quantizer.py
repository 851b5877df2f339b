"""ModelOpt's dynamic block quantizers as one torch operator that runs on any device.

ModelOpt computes NVFP4 and MXFP8 on CUDA only: on a CPU its quantizers raise, and MXFP8 compiles a CUDA extension at first use. What stands
here is the arithmetic of ModelOpt's own packed tensors (modelopt/torch/quantization/qtensor), which is what the exported operators compute;
`tests/quantize/test_block_quantizer.py` holds one against the other bit for bit. It has to be a single operator of torch's dispatcher: the
exporter traces what it is made of otherwise, and fails.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

FP4_MAX, FP8_MAX = 6.0, 448.0
NVFP4, MXFP8 = (4, 2, 8, 4), (8, 4, 9, 8)  # bits and exponent bits of an element, and of a scale, as ModelOpt counts them


@torch.library.custom_op("graphfix::dynamic_block_quantize", mutates_args=())  # type: ignore[untyped-decorator]
def dynamic_block_quantize(
    inputs: torch.Tensor,
    block_size: int,
    amax: torch.Tensor | None,
    num_bits: int,
    exponent_bits: int,
    scale_num_bits: int,
    scale_exponent_bits: int,
) -> torch.Tensor:
    """A tensor rounded to a block format and back.

    Args:
        inputs: Any floating type; blocks lie along its last axis.
        block_size: Elements that share a scale.
        amax: NVFP4's calibrated largest magnitude, from which the tensor's own scale follows; None or 0 for a scale of 1.
        num_bits: Bits of an element, ``exponent_bits`` of which are its exponent.
        exponent_bits: See ``num_bits``.
        scale_num_bits: Bits of a block's scale, ``scale_exponent_bits`` of which are its exponent.
        scale_exponent_bits: See ``scale_num_bits``.

    Returns:
        Shape and type of ``inputs``.

    Raises:
        NotImplementedError: Neither NVFP4 nor MXFP8.
    """
    asked = (num_bits, exponent_bits, scale_num_bits, scale_exponent_bits)
    blocks = inputs.to(torch.float32).reshape(*inputs.shape[:-1], -1, block_size)
    if asked == NVFP4:
        rounded = _nvfp4(blocks, amax)
    elif asked == MXFP8:
        rounded = _mxfp8(blocks)
    else:
        raise NotImplementedError(f"blocks of elements and scales with these bits: {asked}")
    return rounded.reshape(inputs.shape).to(inputs.dtype)


@dynamic_block_quantize.register_fake  # type: ignore[untyped-decorator]
def _(inputs: torch.Tensor, *_: object) -> torch.Tensor:
    return torch.empty_like(inputs)


def _nvfp4(blocks: torch.Tensor, amax: torch.Tensor | None) -> torch.Tensor:
    largest = 0.0 if amax is None else float(amax.max())
    whole = torch.tensor(largest, dtype=torch.float32, device=blocks.device) / (FP4_MAX * FP8_MAX) if largest else blocks.new_ones(())
    scale = blocks.abs().amax(-1, keepdim=True) / (FP4_MAX * whole)
    scale = torch.where(scale == 0, 1.0, scale).clamp(2.0**-9, FP8_MAX).to(torch.float8_e4m3fn).to(torch.float32) * whole
    x = blocks / scale
    size = x.abs()
    # torch.round ties to even, as E2M1 does: steps of a half below 2, of one below 4, of two up to 6.
    steps = torch.where(size < 2, (size * 2).round() / 2, torch.where(size < 4, size.round(), ((size / 2).round() * 2).clamp(max=FP4_MAX)))
    return torch.copysign(steps, x) * scale


def _mxfp8(blocks: torch.Tensor) -> torch.Tensor:
    ratio = blocks.abs().amax(-1, keepdim=True) / FP8_MAX
    # frexp is exact where log2 is not: ratio = mantissa * 2**exponent with mantissa in [0.5, 1).
    mantissa, exponent = torch.frexp(ratio)
    power = torch.where(mantissa == 0.5, exponent - 1, exponent)
    power = torch.where(ratio == 0, -127, power).clamp(-127, 127)
    scaled = torch.ldexp(blocks, -power).clamp(-FP8_MAX, FP8_MAX)
    return torch.ldexp(scaled.to(torch.float8_e4m3fn).to(torch.float32), power)


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """ModelOpt computes with the operator above while this is open."""
    from modelopt.torch.quantization import tensor_quant

    before = tensor_quant.dynamic_block_quantize_op
    tensor_quant.dynamic_block_quantize_op = torch.ops.graphfix.dynamic_block_quantize
    try:
        yield
    finally:
        tensor_quant.dynamic_block_quantize_op = before
