"""GF003: a default-domain operator that the imported opset does not have."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.lints.operators import definition, first_opset, migration


class OperatorNotInOpset(Lint):
    """## What it does
    Looks for default-domain operators that the imported opset does not define: those that came later, and those that never existed.

    ## Why is this bad?
    No runtime loads the file: ``No Op registered for Gelu with domain_version of 19``. An operator that never existed usually lost its
    domain.

    ## Example
    ```onnx
    <ir_version: 8, opset_import: ["" : 18]>
    g (float16[2, 32] x) => (float16[2, 32] y) { y = Gelu (x) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[2, 32] x) => (float16[2, 32] y) { y = Gelu (x) }
    ```

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/Operators.md
    """

    code = "GF003"
    name = "operator-not-in-opset"
    fix = "opset23"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each node; without a fix where no opset has the operator."""
        for scope, node in ctx.find():
            opset = ctx.opset(scope)
            if opset is None or definition(node.op_type, opset) is not None:
                continue
            first = first_opset(node.op_type, opset, lambda _: True)
            known = f"defined from opset {first} on, this is {opset}" if first else "no operator of the default domain"
            yield self.finding(ctx, node, f"{node.op_type} is {known}", fix=migration(first))
