"""NVFP4 arithmetic for constant tensors: packed E2M1 codes, E4M3 block scales and one float32 scale, as ModelOpt 0.47 computes them.

Source: modelopt/onnx/export/nvfp4_exporter.py and modelopt/onnx/quantization/quant_utils.py. With g the tensor's scale and s the block's:
g = max|w| / 2688, s = e4m3(clip(max|block| / (6 g), 2^-9, 448)), code = e2m1(w / (s g)) with ties to even; every step in float32.

A block scale has 126 values, so the quotient is never formed for each element: for every scale the seven magnitudes at which the code steps
up are found once, exactly, and elements are compared with them as integers, for magnitudes of IEEE floats are ordered like their bits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

BLOCK = 16
CHUNK = 1 << 14  # blocks: the intermediate arrays of a chunk stay in the processor's cache

# A code steps up where the quotient passes the middle between two E2M1 values; a tie goes to the even code.
MIDDLES = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0], np.float32)
TIE_GOES_UP = np.array([False, True, False, True, False, True, False])

Array = npt.NDArray[Any]


def quantize(weight: Array, block: int = BLOCK) -> tuple[Array, Array, Array]:
    """Quantize along the last axis.

    Args:
        weight: float16, bfloat16 or float32 of shape [.., K], K divisible by ``block``; all values finite.
        block: Elements that share a scale; even.

    Returns:
        Packed codes, uint8 of shape [.., K / 2] with the even element in the low nibble; block scales, float8_e4m3fn of shape
        [.., K / block]; the tensor's scale, float32 of shape [1].

    Raises:
        ValueError: A value is not finite, or K is not divisible.
    """
    if block % 2 or weight.shape[-1] % block:
        raise ValueError(f"the last axis has {weight.shape[-1]} elements, which blocks of {block} do not divide")
    word = np.dtype(f"uint{8 * weight.dtype.itemsize}").type
    sign = word(1 << (8 * weight.dtype.itemsize - 1))
    blocks = np.ascontiguousarray(weight).view(word).reshape(-1, block)
    # The elements of a block lie a row apart: every operation on a chunk of columns is one long loop.
    columns = np.empty((block, len(blocks)), word)
    codes = np.empty((len(blocks), block // 2), np.uint8)
    peaks = np.empty(len(blocks), word)

    def find_peaks(chunk: slice) -> None:
        columns[:, chunk] = blocks[chunk].T
        (columns[:, chunk] & ~sign).max(axis=0, initial=0, out=peaks[chunk])

    _in_parallel(find_peaks, len(blocks))
    amax = peaks.view(weight.dtype).astype(np.float32)
    if not np.isfinite(amax).all():
        raise ValueError("it holds values that are not finite")
    scale = np.float32(amax.max(initial=0)) / np.float32(6.0 * 448.0) or np.float32(1.0)
    scales = np.empty(len(blocks), ml_dtypes.float8_e4m3fn)
    steps = _steps(scale, weight.dtype, word)

    def find_codes(chunk: slice) -> None:
        ratio = amax[chunk] / (np.float32(6.0) * scale)
        ratio[ratio == 0] = 1.0
        scales[chunk] = np.clip(ratio, np.float32(2**-9), np.float32(448.0)).astype(ml_dtypes.float8_e4m3fn)
        magnitudes = columns[:, chunk]
        beyond = np.greater(magnitudes, sign)  # a negative zero counts as zero
        code = beyond.view(np.uint8) + beyond.view(np.uint8)
        code += code
        code += code  # the sign is worth 8
        magnitudes &= ~sign
        for step in np.take(steps, scales[chunk].view(np.uint8), axis=1, mode="clip"):
            np.greater_equal(magnitudes, step, out=beyond)
            code += beyond.view(np.uint8)
        code[::2] |= code[1::2] << np.uint8(4)
        codes[chunk] = code[::2].T

    _in_parallel(find_codes, len(blocks))
    lead = weight.shape[:-1]
    return codes.reshape(*lead, -1), scales.reshape(*lead, -1), np.array([scale], np.float32)


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    # The cores that this process may use: a container or a batch's worker has fewer than the machine.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ThreadPoolExecutor(cores, thread_name_prefix="nvfp4")


def _in_parallel(work: Callable[[slice], None], blocks: int) -> None:
    """Call ``work`` with each chunk; NumPy lets go of the interpreter lock, so threads use all cores."""
    for _ in _threads().map(work, [slice(i, i + CHUNK) for i in range(0, blocks, CHUNK)]):
        pass


def _steps(scale: np.float32, kind: np.dtype[Any], word: Any) -> Array:
    """For each middle and each E4M3 byte: the bits of the smallest magnitude whose quotient is beyond the middle. Found by bisection."""
    step = np.arange(127, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float32) * scale
    low = np.zeros((len(MIDDLES), len(step)), word)
    high = np.full_like(low, np.array(np.inf, kind).view(word))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(8 * kind.itemsize):
            middle = low + (high - low) // word(2)
            quotient = middle.view(kind).astype(np.float32) / step
            beyond = np.where(TIE_GOES_UP[:, None], quotient >= MIDDLES[:, None], quotient > MIDDLES[:, None])
            high = np.where(beyond, middle, high)
            low = np.where(beyond | (low == high), low, middle + word(1))
    return high
