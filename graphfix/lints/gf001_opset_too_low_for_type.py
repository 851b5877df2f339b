"""GF001: an operator is given a type that it takes only from a later opset on."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.lints.operators import definition, first_opset, migration


class OpsetTooLowForType(Lint):
    """## What it does
    Looks for default-domain operators with an input or output of a type that their definition does not admit at the imported opset, while
    a later definition does.

    ## Why is this bad?
    ONNX Runtime refuses the file: ``Type 'tensor(float4e2m1)' of input parameter (w) of operator (DequantizeLinear) is invalid``. ModelOpt
    exports diffusion backbones at opset 20 with FP4 tensors that need 23.

    ## Example
    ```onnx
    <ir_version: 9, opset_import: ["" : 20]>
    g (float4e2m1[32, 16] w, float s) => (float[32, 16] y) { y = DequantizeLinear (w, s) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float4e2m1[32, 16] w, float s) => (float[32, 16] y) { y = DequantizeLinear (w, s) }
    ```

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/Changelog.md
    """

    code = "GF001"
    name = "opset-too-low-for-type"
    fix = "opset23"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each port."""
        for scope, node in ctx.find():
            opset = ctx.opset(scope)
            if opset is None or (now := definition(node.op_type, opset)) is None:
                continue
            for direction, values in (("input", node.inputs), ("output", node.outputs)):
                for index, value in enumerate(values):
                    kind = ctx.element(value)
                    if kind is None or now.admits(direction, index, kind):
                        continue
                    first = first_opset(node.op_type, opset, lambda d, at=(direction, index, kind): d.admits(*at))  # type: ignore[misc]
                    if first is not None:
                        message = f"{direction} {index} is {kind.name}: from opset {first} on, this is {opset}"
                        yield self.finding(ctx, node, message, fix=migration(first))
