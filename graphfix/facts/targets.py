"""The GPU generations that TensorRT-RTX compiles for, and the element types that each of them lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FP4 = frozenset({"FLOAT4E2M1"})
FP8 = frozenset({"FLOAT8E4M3FN", "FLOAT8E5M2"})
BF16 = frozenset({"BFLOAT16"})


@dataclass(frozen=True)
class Target:
    """One value of ``--target``.

    Attributes:
        name: As TensorRT-RTX spells it, in lower case.
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


_ENUM = "tensorrt_rtx.ComputeCapability of 1.7.1; "
# The EP's IsComputeCapabilitySupported (0.5.0): "Supported compute capabilities are 8.6, 8.9, and 12.0 or newer."
_COMPILED = "measured: the compiler names the types, 'Cannot compile for target(s) ..., because the model contains HW-specific datatypes'"
_MATRIX = "NVIDIA, TensorRT-RTX support matrix, hardware and precision"

TARGETS: Mapping[str, Target] = {
    row.name: row
    for row in (
        Target("sm75", "RTX 20", FP4 | FP8 | BF16, False, _ENUM + _MATRIX),
        Target("sm80", "A100", FP4 | FP8, False, _ENUM + _MATRIX),
        Target("sm86", "RTX 30", FP4 | FP8, True, _ENUM + _COMPILED),
        Target("sm89", "RTX 40", FP4, True, _ENUM + _COMPILED),
        Target("sm120", "RTX 50", frozenset(), True, _ENUM + _COMPILED),
        Target("sm121", "GB10", frozenset(), True, _ENUM + _COMPILED),
    )
}
