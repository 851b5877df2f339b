"""GF002: an operator has an attribute that the imported opset does not define."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.lints.operators import definition, first_opset, migration


class AttributeNewerThanOpset(Lint):
    """## What it does
    Looks for attributes that the operator's definition at the imported opset does not have.

    ## Why is this bad?
    ONNX Runtime refuses the file: ``Unrecognized attribute: block_size for operator DequantizeLinear``. The exporter of ModelOpt 0.46
    leaves opset 20 in files that use attributes of opset 21.

    ## Example
    ```onnx
    <ir_version: 9, opset_import: ["" : 20]>
    g (int8[32, 16] w, float[32, 1] s) => (float[32, 16] y) { y = DequantizeLinear <axis = -1, block_size = 16> (w, s) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (int8[32, 16] w, float[32, 1] s) => (float[32, 16] y) { y = DequantizeLinear <axis = -1, block_size = 16> (w, s) }
    ```

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/Changelog.md#DequantizeLinear-21
    """

    code = "GF002"
    name = "attribute-newer-than-opset"
    fix = "opset23"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each attribute; without a fix where no opset defines it."""
        for scope, node in ctx.find():
            opset = ctx.opset(scope)
            if opset is None or (now := definition(node.op_type, opset)) is None:
                continue
            for name in node.attributes:
                if name in now.attributes:
                    continue
                first = first_opset(node.op_type, opset, lambda d, name=name: name in d.attributes)  # type: ignore[misc]
                known = f"defined from opset {first} on, this is {opset}" if first else f"not defined at opset {opset} or later"
                yield self.finding(ctx, node, f"attribute {name!r} is {known}", fix=migration(first))
