"""GF033: the graph does not hold together."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.errors import ModelError
from graphfix.lints.base import Lint, LintContext
from graphfix.model import check_structure


class BrokenGraph(Lint):
    """## What it does
    Checks that names are unique in their scope, that every value is made before it is used, and that every output is made. Tells the first
    fault.

    ## Why is this bad?
    Nothing can load or repair such a file. Hand-made edits and scripts that remove nodes leave it behind.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[2, 32] x) => (float16[2, 32] y) {
      y = Relu (a)
      a = Abs (x)
    }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[2, 32] x) => (float16[2, 32] y) {
      a = Abs (x)
      y = Relu (a)
    }
    ```

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/IR.md#graphs
    """

    code = "GF033"
    name = "broken-graph"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """At most one finding."""
        try:
            check_structure(model)
        except ModelError as error:
            yield self.finding(ctx, error.where or "model", ": ".join(filter(None, (error.what, error.why))))
