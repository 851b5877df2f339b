"""GF015: the axis that is quantized in blocks has no fixed length."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.lints.blocked import blocked_nodes
from graphfix.model import dim_unknown


class DynamicBlockedAxis(Lint):
    """## What it does
    Looks for blocked quantization along an axis whose length is a name instead of a number.

    ## Why is this bad?
    TensorRT-RTX refuses it: ``The input extent in the blocked axis should be known at build time``. It comes from a missing ``axis`` (the
    default of TRT_FP4DynamicQuantize is 1), or from a Reshape whose last dimension is computed. Where inference cannot tell the length at
    all, nothing is reported: the compiler may know more.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[N, K] x, float s) => (float4e2m1[N, K] q, float8e4m3fn[N, B] b) {
      q, b = trt.TRT_FP4DynamicQuantize <axis = -1, block_size = 16, scale_type = 17> (x, s)
    }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[N, 64] x, float s) => (float4e2m1[N, 64] q, float8e4m3fn[N, 4] b) {
      q, b = trt.TRT_FP4DynamicQuantize <axis = -1, block_size = 16, scale_type = 17> (x, s)
    }
    ```

    ## References
    - https://github.com/pytorch/TensorRT/issues/3745
    """

    code = "GF015"
    name = "dynamic-blocked-axis"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each node."""
        for blocked in blocked_nodes(ctx):
            dim = blocked.dim
            if dim is not None and not isinstance(dim, int) and not dim_unknown(dim):
                yield self.finding(ctx, blocked.node, f"axis {blocked.axis} of the input is {dim}; blocks of {blocked.size} need a number")
