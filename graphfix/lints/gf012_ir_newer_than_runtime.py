"""GF012: the IR version is newer than the chosen ONNX Runtime reads."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.facts.runtimes import newest
from graphfix.lints.base import Lint, LintContext


class IrNewerThanRuntime(Lint):
    """## What it does
    With ``--ort 1.30``: compares the file's IR version with the newest that this release of ONNX Runtime reads.

    ## Why is this bad?
    The release refuses the file: ``Unsupported model IR version: 14, max supported IR version: 13``. ``onnx.helper.make_model`` stamps the
    newest IR version that the installed onnx knows, needed or not.

    ## Example
    ```onnx
    <ir_version: 14, opset_import: ["" : 23]>
    g (float16[2, 32] x) => (float16[2, 32] y) { y = Relu (x) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[2, 32] x) => (float16[2, 32] y) { y = Relu (x) }
    ```

    ## References
    - https://onnxruntime.ai/docs/reference/compatibility.html
    """

    code = "GF012"
    name = "ir-newer-than-runtime"
    fix = "ir-version"
    needs = "ort"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """At most one finding."""
        limits = newest(ctx.ort) if ctx.ort else None
        if ctx.ort and limits and (model.ir_version or 0) > limits[1]:
            release = ".".join(map(str, ctx.ort))
            yield self.finding(ctx, model, f"IR version {model.ir_version}; ONNX Runtime {release} reads up to {limits[1]}")
