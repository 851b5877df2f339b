"""GF021: operands that must have one type have two."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.element_types import reconciled
from graphfix.lints.base import QDQ, Lint, LintContext


class MixedElementTypes(Lint):
    """## What it does
    Follows element types through the graph, by what the operators compute, and looks for operands that share a type variable and differ.

    ## Why is this bad?
    ONNX Runtime refuses the file: ``Type parameter (T) of Optype (MatMul) bound to different types (tensor(float) and tensor(float16))``;
    TensorRT-RTX says ``must have same input types. But they are of types Float and Half``. Exporters that keep float32 scales in a float16
    graph leave such islands behind each DequantizeLinear.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[2, 4] x, int8[4, 4] w) => (float16[2, 4] y) <float s = {0.5}, float16[4, 4] d> {
      d = DequantizeLinear (w, s)
      y = MatMul (x, d)
    }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[2, 4] x, int8[4, 4] w) => (float16[2, 4] y) <float s = {0.5}, float[4, 4] d, float16[4, 4] c> {
      d = DequantizeLinear (w, s)
      c = Cast <to = 10> (d)
      y = MatMul (x, c)
    }
    ```

    ## References
    - https://github.com/NVIDIA/Model-Optimizer/pull/2415
    """

    code = "GF021"
    name = "mixed-element-types"
    fix = "fp4-qdq"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each operand, none for what follows from it; without a fix where no DequantizeLinear is the cause."""
        for conflict in ctx.conflicts:
            node = conflict.node
            message = f"input {conflict.index} is {conflict.found.name}, the operands before it or the operator want {conflict.wanted.name}"
            # QuantizeLinear and DequantizeLinear have one type variable for both operands up to opset 20, and two from 21 on.
            old = node.op_type in QDQ and (ctx.main_opset or 23) < 23
            yield self.finding(ctx, node, message, fix=self.fix if reconciled(conflict) else "opset23" if old else "")
