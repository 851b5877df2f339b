"""Scales and zero points as several lints look at them: only constants that are small are read, never a weight."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from graphfix.facts.trt_ops import DOMAIN
from graphfix.lints.base import QDQ, LintContext

WITH_SCALE = (*QDQ, "TRT_FP4DynamicQuantize", "TRT_FP8QuantizeLinear", "TRT_FP8DequantizeLinear")
SCALE, ZERO_POINT = 1, 2


def parameters(ctx: LintContext, port: int) -> Iterator[tuple[ir.Node, np.ndarray]]:
    """The nodes that take a small constant at ``port``, with its values as float32; each constant is read once."""
    read: dict[ir.Value, np.ndarray | None] = {}
    names = WITH_SCALE if port == SCALE else QDQ
    for nodes in (ctx.find(*QDQ), ctx.find(*names, domain=DOMAIN)):
        for _, node in nodes:
            value = node.inputs[port] if len(node.inputs) > port else None
            if value is None:
                continue
            if value not in read:
                array = ctx.small_constant(value)
                read[value] = None if array is None else array.astype(np.float32)
            found = read[value]
            if found is not None:
                yield node, found
