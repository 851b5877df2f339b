"""GF035: shape inference cannot work on the graph, so rules about shapes had nothing to go by."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext


class ShapesNotInferred(Lint):
    """## What it does
    Tells that onnx's shape inference refused the whole graph. The rules about blocked axes, ranks and token counts then judged only by the
    declared shapes.

    ## Why is this bad?
    The silence of the other rules proves less than usual, and runtimes infer shapes too. Below, a shape of two numbers is joined until it
    has 85,750. Mend what the other rules tell, then run again.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[2, 32] x) => (float16[2, 32] y) {
      s = Shape (x)
      a = Concat <axis = 0> (s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s)
      b = Concat <axis = 0> (a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a)
      c = Concat <axis = 0> (b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b)
      y = Expand (x, c)
    }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[2, 32] x) => (float16[2, 32] y) { y = Abs (x) }
    ```

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/ShapeInference.md
    """

    code = "GF035"
    name = "shapes-not-inferred"
    level = "warning"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """At most one finding."""
        ctx.types()
        if ctx.inference_error is not None:
            yield self.finding(ctx, model, (ctx.inference_error.why or ctx.inference_error.what).splitlines()[0])
