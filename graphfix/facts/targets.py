"""The GPU generations that TensorRT-RTX compiles for, the element types that each of them lacks, and those that it takes nowhere.

Measured with TensorRT-RTX 1.7.1, which compiles for a GPU that is not there: a DequantizeLinear of a weight of each type, or a Cast to it,
was compiled for every target. It names what a target lacks: "Cannot compile for target(s) sm89, because the model contains HW-specific
datatypes: fp4_e2m1".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FP4, FP8, INT4, BF16 = "FLOAT4E2M1", "FLOAT8E4M3FN", "INT4", "BFLOAT16"


@dataclass(frozen=True)
class Target:
    """One value of ``--target``.

    Attributes:
        name: As ``tensorrt_rtx.ComputeCapability`` spells it, in lower case.
        cards: What a person would call it.
        lacks: Element types that the compiler refuses for it.
        ep: Whether ONNX Runtime's TensorRT-RTX EP runs on it.
        source: Where the row comes from.
    """

    name: str
    cards: str
    lacks: frozenset[str]
    ep: bool
    source: str


_COMPILED = "types: measured, 1.7.1; "
# IsComputeCapabilitySupported: "Supported compute capabilities are 8.6, 8.9, and 12.0 or newer."
_EP = "EP: its own message, 0.5.0"

TARGETS: Mapping[str, Target] = {
    row.name: row
    for row in (
        Target("sm75", "RTX 20", frozenset({FP4, FP8, INT4, BF16}), False, _COMPILED + _EP),
        Target("sm80", "A100", frozenset({FP4, FP8}), False, _COMPILED + _EP),
        Target("sm86", "RTX 30", frozenset({FP4, FP8}), True, _COMPILED + _EP),
        Target("sm89", "RTX 40", frozenset({FP4}), True, _COMPILED + _EP),
        Target("sm120", "RTX 50", frozenset(), True, _COMPILED + _EP),
        Target("sm121", "GB10", frozenset(), True, _COMPILED + _EP),
    )
}

# Types that no target takes. The messages: "Failed to import initializer", "Unsupported data type for the Cast operator!".
NOWHERE = frozenset({"UINT4", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E4M3FNUZ", "FLOAT8E8M0", "INT16", "UINT16", "UINT32", "UINT64"})
# Types that are taken, but not as the quantized side of Q/DQ: "Found unsupported input type of UINT8 at (DequantizeLinear)".
NOT_QUANTIZED = frozenset({"UINT8"})
