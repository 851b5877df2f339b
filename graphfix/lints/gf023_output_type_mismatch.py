"""GF023: a graph output is declared as something else than is computed."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.model import tensor_type


class OutputTypeMismatch(Lint):
    """## What it does
    Compares the declared element type of each graph output with what its operator computes.

    ## Why is this bad?
    ONNX Runtime refuses the file. Which of the two is meant only the author knows, since callers rely on the declaration: no pass changes
    the interface by itself.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (int8[4, 4] w) => (float16[4, 4] y) <float s = {0.5}> { y = DequantizeLinear (w, s) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (int8[4, 4] w) => (float16[4, 4] y) <float s = {0.5}> { y = DequantizeLinear <output_dtype = 10> (w, s) }
    ```

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/IR.md#graphs
    """

    code = "GF023"
    name = "output-type-mismatch"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each output."""
        for value in model.graph.outputs:
            declared, true = tensor_type(value), ctx.computed(value)
            if declared is not None and true is not None and declared != true:
                yield self.finding(ctx, value, f"declared {declared.name} and computed as {true.name}")
