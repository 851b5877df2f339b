"""GF008: a node's domain is not imported."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.model import DEFAULT_DOMAIN, opset_version


class MissingDomainImport(Lint):
    """## What it does
    Looks for nodes of a domain that the model, or the local function around them, does not import.

    ## Why is this bad?
    Neither onnx's checker nor ONNX Runtime takes the file: ``No opset import for domain 'trt'``. Rebuilding a model with
    ``onnx.helper.make_model`` leaves it behind.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[2, 32] x, float16 s) => (float16[2, 32] y) <float8e4m3fn[2, 32] q> {
      q = trt.TRT_FP8QuantizeLinear (x, s)
      y = trt.TRT_FP8DequantizeLinear (q, s)
    }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[2, 32] x, float16 s) => (float16[2, 32] y) <float8e4m3fn[2, 32] q> {
      q = trt.TRT_FP8QuantizeLinear (x, s)
      y = trt.TRT_FP8DequantizeLinear (q, s)
    }
    ```

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/IR.md#operator-sets
    """

    code = "GF008"
    name = "missing-domain-import"
    fix = "opset-imports"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each node; without a fix for the default domain, whose version nothing says."""
        for scope, node in ctx.nodes:
            if opset_version(scope.opset_imports, node.domain) is None:
                fix = "" if node.domain == DEFAULT_DOMAIN else self.fix
                yield self.finding(ctx, node, f"domain {node.domain!r} is not imported", fix=fix)
