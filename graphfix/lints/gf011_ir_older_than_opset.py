"""GF011: the IR version is older than the opset or the stored types."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.facts.opsets import IR_VERSION
from graphfix.lints.base import Lint, LintContext
from graphfix.model import opset_version


class IrOlderThanOpset(Lint):
    """## What it does
    Compares the file's IR version with the one that came with its opset.

    ## Why is this bad?
    Readers that trust the IR version do not expect what the opset brings, such as FP4 tensors before IR 11. Converters forget it: both
    ``onnx.version_converter`` and onnxscript's leave IR 9 in a file of opset 23. ONNX Runtime does not mind today.

    ## Example
    ```onnx
    <ir_version: 9, opset_import: ["" : 23]>
    g (float16[2, 32] x) => (float16[2, 32] y) { y = Relu (x) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[2, 32] x) => (float16[2, 32] y) { y = Relu (x) }
    ```

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/Versioning.md#released-versions
    """

    code = "GF011"
    name = "ir-older-than-opset"
    level = "warning"
    fix = "opset23"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """At most one finding."""
        opset = opset_version(model.graph.opset_imports)
        wanted = IR_VERSION.get(opset or 0, 0)
        if (model.ir_version or 0) < wanted:
            yield self.finding(ctx, model, f"IR version {model.ir_version}; opset {opset} came with {wanted}", fix=f"opset{opset}")
