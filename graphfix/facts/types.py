"""Since when an element type exists: the first opset of the default domain whose operators take it, and the IR version that stores it."""

from __future__ import annotations

from collections.abc import Mapping

# Type name -> (opset, IR version). Sources: type constraints of all schemas in onnx.defs (a test derives the opsets again), and the
# comments at TensorProto.DataType in onnx.proto for the IR versions. Types that are not listed have been there from the start.
SINCE: Mapping[str, tuple[int, int]] = {
    "BFLOAT16": (13, 4),
    "FLOAT8E4M3FN": (19, 9),
    "FLOAT8E4M3FNUZ": (19, 9),
    "FLOAT8E5M2": (19, 9),
    "FLOAT8E5M2FNUZ": (19, 9),
    "UINT4": (21, 10),
    "INT4": (21, 10),
    "FLOAT4E2M1": (23, 11),
    "FLOAT8E8M0": (24, 12),
    "UINT2": (25, 13),
    "INT2": (25, 13),
    "FLOAT6E2M3": (28, 14),
    "FLOAT6E3M2": (28, 14),
}
