"""GF036: a tensor is quantized in other blocks than it is dequantized in."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.facts.trt_ops import DOMAIN
from graphfix.lints.base import Lint, LintContext
from graphfix.lints.blocked import Blocked, blocked_nodes
from graphfix.model import operand


class MismatchedBlocks(Lint):
    """## What it does
    Compares axis and block size of each dynamic quantizer with those of the DequantizeLinear nodes that read its output.

    ## Why is this bad?
    The scales no longer belong to their values: wrong numbers, or a refused engine where the shapes happen not to fit. A forgotten
    ``axis`` is enough, since TRT_FP4DynamicQuantize takes 1 then and exporters mean -1.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[2, 32, 32] x, float s) => (float[2, 32, 32] y) <float4e2m1[2, 32, 32] q, float8e4m3fn[2, 2, 32] b> {
      q, b = trt.TRT_FP4DynamicQuantize <block_size = 16, scale_type = 17> (x, s)
      d = DequantizeLinear (b, s)
      y = DequantizeLinear <axis = -1, block_size = 16> (q, d)
    }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[2, 32, 32] x, float s) => (float[2, 32, 32] y) <float4e2m1[2, 32, 32] q, float8e4m3fn[2, 32, 2] b> {
      q, b = trt.TRT_FP4DynamicQuantize <axis = -1, block_size = 16, scale_type = 17> (x, s)
      d = DequantizeLinear (b, s)
      y = DequantizeLinear <axis = -1, block_size = 16> (q, d)
    }
    ```

    ## References
    - onnx-tensorrt, onnxOpImporters.cpp
    """

    code = "GF036"
    name = "mismatched-blocks"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each quantizer and reader that disagree."""
        blocked = list(blocked_nodes(ctx))
        quantizers = {b.node.outputs[0]: b for b in blocked if b.node.domain == DOMAIN and len(b.node.outputs) == 2}
        for reader in blocked:
            read = operand(reader.node)
            maker = quantizers.get(read) if read is not None else None
            if maker is None:
                continue
            if maker.size != reader.size:
                yield self.finding(ctx, maker.node, f"blocks of {maker.size}, read by {ctx.where(reader.node)} in blocks of {reader.size}")
            elif _differ(maker, reader):
                yield self.finding(ctx, maker.node, f"blocks along axis {maker.axis}, read by {ctx.where(reader.node)} along {reader.axis}")


def _differ(maker: Blocked, reader: Blocked) -> bool:
    """Whether two axes are not the same one; counted from both ends only where the rank is known."""
    if maker.axis == reader.axis:
        return False
    if (maker.axis < 0) == (reader.axis < 0):
        return True
    rank = len(maker.shape) if maker.shape is not None else 0
    return bool(rank) and maker.axis % rank != reader.axis % rank
