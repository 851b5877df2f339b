"""GF017: dynamic FP4 quantization of a tensor that has not two or three dimensions."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.facts.trt_ops import DOMAIN
from graphfix.lints.base import Lint, LintContext
from graphfix.model import operand


class Fp4Rank(Lint):
    """## What it does
    Looks for TRT_FP4DynamicQuantize on tensors of other than two or three dimensions.

    ## Why is this bad?
    TensorRT-RTX refuses it: ``input tensor must be 2D or 3D``. It comes from quantizing attention (four dimensions) or convolutions in
    NVFP4; leave them in FP8 or float16.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[2, 8, 64, 64] x, float s) => (float4e2m1[2, 8, 64, 64] q, float8e4m3fn[2, 8, 64, 4] b) {
      q, b = trt.TRT_FP4DynamicQuantize <axis = -1, block_size = 16, scale_type = 17> (x, s)
    }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[16, 64, 64] x, float s) => (float4e2m1[16, 64, 64] q, float8e4m3fn[16, 64, 4] b) {
      q, b = trt.TRT_FP4DynamicQuantize <axis = -1, block_size = 16, scale_type = 17> (x, s)
    }
    ```

    ## References
    - https://github.com/pytorch/TensorRT/issues/4201
    """

    code = "GF017"
    name = "fp4-rank"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each node."""
        for _, node in ctx.find("TRT_FP4DynamicQuantize", domain=DOMAIN):
            shape = ctx.shape(operand(node))
            if shape is not None and len(shape) not in {2, 3}:
                yield self.finding(ctx, node, f"the input has {len(shape)} dimensions; two or three are possible")
