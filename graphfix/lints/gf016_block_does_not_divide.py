"""GF016: the blocked axis is not a whole number of blocks."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.lints.blocked import blocked_nodes


class BlockDoesNotDivide(Lint):
    """## What it does
    Looks for blocked quantization along an axis that the input does not have, or whose length the block size does not divide.

    ## Why is this bad?
    TensorRT-RTX refuses it: ``The given block size does not divide the input extent in axis 2 Input extent = 40, block size = 16``. Leave
    such a layer unquantized.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[N, 40] x, float s) => (float4e2m1[N, 40] q, float8e4m3fn[N, 3] b) {
      q, b = trt.TRT_FP4DynamicQuantize <axis = -1, block_size = 16, scale_type = 17> (x, s)
    }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[N, 48] x, float s) => (float4e2m1[N, 48] q, float8e4m3fn[N, 3] b) {
      q, b = trt.TRT_FP4DynamicQuantize <axis = -1, block_size = 16, scale_type = 17> (x, s)
    }
    ```

    ## References
    - https://github.com/pytorch/TensorRT/issues/4201
    """

    code = "GF016"
    name = "block-does-not-divide"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each node."""
        for blocked in blocked_nodes(ctx):
            dim = blocked.dim
            if blocked.shape is not None and not blocked.in_range:
                yield self.finding(ctx, blocked.node, f"axis {blocked.axis} does not exist: the input has {len(blocked.shape)} dimensions")
            elif isinstance(dim, int) and dim % blocked.size:
                yield self.finding(ctx, blocked.node, f"axis {blocked.axis} has {dim} elements, which is no multiple of {blocked.size}")
