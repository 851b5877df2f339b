"""GF009: a domain is imported twice."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.model import DUPLICATES


class DuplicateDomainImport(Lint):
    """## What it does
    Looks for domains that are imported more than once, counting ``ai.onnx`` and the empty name as the one domain that they are.

    ## Why is this bad?
    Tools disagree on which entry counts. ONNX Runtime takes the last one, others the first or the highest.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "ai.onnx" : 21]>
    g (float16[2, 32] x) => (float16[2, 32] y) { y = Relu (x) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[2, 32] x) => (float16[2, 32] y) { y = Relu (x) }
    ```

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/IR.md#operator-sets
    """

    code = "GF009"
    name = "duplicate-domain-import"
    level = "warning"
    fix = "opset-imports"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each domain."""
        for domain, versions, last in model.meta.get(DUPLICATES, ()):
            yield self.finding(ctx, model, f"domain {domain!r} is imported as {versions}; ONNX Runtime takes {last}")
