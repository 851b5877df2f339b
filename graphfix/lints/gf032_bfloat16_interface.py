"""GF032: a graph input or output is bfloat16."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.model import tensor_type


class Bfloat16Interface(Lint):
    """## What it does
    Looks for graph inputs and outputs of type BFLOAT16.

    ## Why is this bad?
    numpy has no bfloat16, so ONNX Runtime's Python interface and the pipelines on it (optimum, diffusers) cannot feed or read such a
    model. Inside the graph bfloat16 is fine.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (bfloat16[2, 32] x) => (bfloat16[2, 32] y) { y = Relu (x) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[2, 32] x) => (float16[2, 32] y) {
      a = Cast <to = 16> (x)
      b = Relu (a)
      y = Cast <to = 10> (b)
    }
    ```

    ## References
    - https://github.com/huggingface/optimum-onnx (modeling_diffusion.py feeds float16 and float32)
    """

    code = "GF032"
    name = "bfloat16-interface"
    level = "warning"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each input and output."""
        for kind, values in (("input", model.graph.inputs), ("output", model.graph.outputs)):
            for value in values:
                if tensor_type(value) == ir.DataType.BFLOAT16 and value.name not in model.graph.initializers:
                    yield self.finding(ctx, value, f"{kind} {value.name!r} is BFLOAT16; callers from Python need FLOAT16 or FLOAT")
