"""GF005: an output of a ``trt`` operator is declared as something else than the operator makes."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import QDQ, Lint, LintContext
from graphfix.model import tensor_type


class WronglyTypedTrtOutput(Lint):
    """## What it does
    Compares the declared element type of each ``trt`` operator's output with what the operator makes on that port.

    ## Why is this bad?
    The loader believes the file, so a wrong type passes onnx's checker and ONNX Runtime's loader and ends in a refused engine or in wrong
    numbers: a block scale typed FLOAT4E2M1, or FP8 typed UINT8, which is what exporters write because torch had nothing better.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[2, 32] x, float16 s) => (float16[2, 32] y) <uint8[2, 32] q> {
      q = trt.TRT_FP8QuantizeLinear (x, s)
      y = trt.TRT_FP8DequantizeLinear (q, s)
    }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[2, 32] x, float16 s) => (float16[2, 32] y) <float8e4m3fn[2, 32] q> {
      q = trt.TRT_FP8QuantizeLinear (x, s)
      y = trt.TRT_FP8DequantizeLinear (q, s)
    }
    ```

    ## References
    - onnxruntime, nv_execution_provider_custom_ops.cc
    - modelopt, torch/quantization/export_onnx.py
    """

    code = "GF005"
    name = "wrongly-typed-trt-output"
    fix = "trt-types"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each output."""
        outputs = set(model.graph.outputs)
        for _, node in ctx.trt_nodes():
            for value in node.outputs if node.op_type not in QDQ else ():
                declared, true = tensor_type(value), ctx.computed(value)
                if value not in outputs and declared is not None and true is not None and declared != true:
                    yield self.finding(ctx, value, f"declared {declared.name}; the operator makes {true.name}")
