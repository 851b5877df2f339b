"""GF004: an output of a ``trt`` operator has no element type in the file."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.facts.trt_ops import CONTRACTS
from graphfix.lints.base import QDQ, Lint, LintContext
from graphfix.model import tensor_type


class UntypedTrtOutput(Lint):
    """## What it does
    Looks for outputs of ``trt`` operators whose element type the file does not state.

    ## Why is this bad?
    ONNX Runtime's TensorRT-RTX EP registers its operators with outputs of undefined type, so the loader knows only what the file says, and
    refuses one that says nothing: ``(trt::TRT_FP4DynamicQuantize_output_0) type inference failed``.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[2, 32] x, float s) => (float[2, 32] y) {
      q, b = trt.TRT_FP4DynamicQuantize <axis = -1, block_size = 16, scale_type = 17> (x, s)
      d = DequantizeLinear (b, s)
      y = DequantizeLinear <axis = -1, block_size = 16> (q, d)
    }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[2, 32] x, float s) => (float[2, 32] y) <float4e2m1[2, 32] q, float8e4m3fn[2, 2] b> {
      q, b = trt.TRT_FP4DynamicQuantize <axis = -1, block_size = 16, scale_type = 17> (x, s)
      d = DequantizeLinear (b, s)
      y = DequantizeLinear <axis = -1, block_size = 16> (q, d)
    }
    ```

    ## References
    - onnxruntime, nv_execution_provider_custom_ops.cc
    """

    code = "GF004"
    name = "untyped-trt-output"
    fix = "trt-types"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each output; without a fix where the inputs do not determine the type."""
        for _, node in ctx.trt_nodes():
            if node.op_type in QDQ:
                continue
            for value in node.outputs:
                if not value.name or tensor_type(value) is not None:
                    continue
                true = ctx.computed(value) if node.op_type in CONTRACTS else None
                message = f"no element type; the operator makes {true.name}" if true else "no element type, and nothing here determines it"
                yield self.finding(ctx, value, message, fix=self.fix if true else "")
