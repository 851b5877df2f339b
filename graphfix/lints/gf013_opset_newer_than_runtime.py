"""GF013: the opset is newer than the chosen ONNX Runtime knows."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.facts.runtimes import newest
from graphfix.lints.base import Lint, LintContext
from graphfix.model import opset_version


class OpsetNewerThanRuntime(Lint):
    """## What it does
    With ``--ort 1.22``: compares the imported opset with the newest that this release of ONNX Runtime knows.

    ## Why is this bad?
    The release refuses the file: ``ONNX Runtime only *guarantees* support for models stamped with official released onnx opset versions``.
    A graph cannot be taken back to an older opset with a proof; the runtime has to be newer (FP4 needs opset 23, hence 1.23).

    ## Example
    ```onnx
    <ir_version: 10, opset_import: ["" : 27]>
    g (float16[2, 32] x) => (float16[2, 32] y) { y = Relu (x) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 10, opset_import: ["" : 21]>
    g (float16[2, 32] x) => (float16[2, 32] y) { y = Relu (x) }
    ```

    ## References
    - https://onnxruntime.ai/docs/reference/compatibility.html
    """

    code = "GF013"
    name = "opset-newer-than-runtime"
    needs = "ort"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """At most one finding."""
        limits, opset = newest(ctx.ort) if ctx.ort else None, opset_version(model.graph.opset_imports)
        if ctx.ort and limits and (opset or 0) > limits[0]:
            release = ".".join(map(str, ctx.ort))
            yield self.finding(ctx, model, f"opset {opset}; ONNX Runtime {release} knows up to {limits[0]}")
