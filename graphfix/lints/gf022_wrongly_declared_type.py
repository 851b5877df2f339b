"""GF022: a value is declared as something else than its operator computes."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.facts.trt_ops import DOMAIN
from graphfix.lints.base import QDQ, Lint, LintContext
from graphfix.model import scopes, tensor_type


class WronglyDeclaredType(Lint):
    """## What it does
    Compares the declared element type of every value with what its operator computes, and of every initializer with what is stored.
    Outputs of ``trt`` operators are GF005's, outputs of the graph GF023's.

    ## Why is this bad?
    ONNX Runtime refuses the file: ``Type (tensor(float16)) of output arg (d) of node (dq) does not match expected type (tensor(float))``.
    Exporters annotate a DequantizeLinear with the type of the graph around it instead of its scale's.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (int8[4, 4] w) => (float16[4, 4] y) <float s = {0.5}, float16[4, 4] d> {
      d = DequantizeLinear (w, s)
      y = Cast <to = 10> (d)
    }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (int8[4, 4] w) => (float16[4, 4] y) <float s = {0.5}, float[4, 4] d> {
      d = DequantizeLinear (w, s)
      y = Cast <to = 10> (d)
    }
    ```

    ## References
    - https://github.com/NVIDIA/Model-Optimizer/pull/513
    """

    code = "GF022"
    name = "wrongly-declared-type"
    fix = "fp4-qdq"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each value; without a fix in a model that is not quantized, which the pass leaves alone."""
        quantized = any(True for domain in ("", DOMAIN) for _ in ctx.find(*QDQ, domain=domain))
        fix = self.fix if quantized else ""
        outputs = set(model.graph.outputs)
        for scope in scopes(model):
            for value in scope.body.initializers.values() if isinstance(scope.body, ir.Graph) else ():
                stored = value.const_value.dtype if value.const_value is not None else None
                if stored is not None and (declared := tensor_type(value)) is not None and declared != stored:
                    yield self.finding(ctx, value, f"declared {declared.name}, stored as {stored.name}", fix=fix)
        for _, node in ctx.nodes:
            for value in node.outputs if node.domain != DOMAIN or node.op_type in QDQ else ():
                declared, true = tensor_type(value), ctx.computed(value)
                if value not in outputs and declared is not None and true is not None and declared != true:
                    yield self.finding(ctx, value, f"declared {declared.name}; {node.op_type} computes {true.name}", fix=fix)
