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
    """The nodes that take a small constant at ``port``, with its values as float32."""
    names = WITH_SCALE if port == SCALE else QDQ
    for nodes in (ctx.find(*QDQ), ctx.find(*names, domain=DOMAIN)):
        for _, node in nodes:
            values = ctx.small_constant(node.inputs[port]) if len(node.inputs) > port else None
            if values is not None:
                yield node, values.astype(np.float32)
