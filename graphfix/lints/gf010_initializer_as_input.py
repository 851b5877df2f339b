"""GF010: an initializer is also a graph input."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext


class InitializerAsInput(Lint):
    """## What it does
    Looks for initializers that are listed among the graph inputs, in files of IR version 4 and newer.

    ## Why is this bad?
    The listing makes the weight a default that a caller may override, so no runtime may fold it: ``appears in graph inputs and will not be
    treated as constant value/weight``. ModelOpt's NVFP4 exporter does it to every weight.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float[2] x, float[2] w) => (float[2] y) <float[2] w = {1, 2}> { y = Mul (x, w) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { y = Mul (x, w) }
    ```

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/IR.md#graphs
    """

    code = "GF010"
    name = "initializer-as-input"
    level = "warning"
    fix = "init-inputs"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each initializer."""
        if (model.ir_version or 0) < 4:
            return
        for value in model.graph.inputs:
            if value.name in model.graph.initializers:
                yield self.finding(ctx, value, "a weight that is listed as a graph input")
