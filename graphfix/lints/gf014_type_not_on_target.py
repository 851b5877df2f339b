"""GF014: a type that the chosen GPU generation does not have, or a generation that the execution provider does not run on."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext


class TypeNotOnTarget(Lint):
    """## What it does
    With ``--target sm89``: looks for values of types that TensorRT-RTX cannot compile for that GPU generation, and tells when the EP does
    not run on it at all.

    ## Why is this bad?
    The compiler refuses the file: ``Cannot compile for target(s) sm89, because the model contains HW-specific datatypes: fp4_e2m1``. FP4
    needs an RTX 50 card (sm120), FP8 an RTX 40 (sm89). Quantize to another format for older cards; no pass can do that afterwards.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float4e2m1[32, 16] w, float s) => (float[32, 16] y) { y = DequantizeLinear (w, s) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (int8[32, 16] w, float s) => (float[32, 16] y) { y = DequantizeLinear (w, s) }
    ```

    ## References
    - https://docs.nvidia.com/deeplearning/tensorrt-rtx/latest/getting-started/support-matrix.html
    """

    code = "GF014"
    name = "type-not-on-target"
    needs = "target"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each target that the EP lacks, one for each node that makes or first reads such a type."""
        for target in ctx.targets:
            if not target.ep:
                yield self.finding(ctx, model, f"ONNX Runtime's TensorRT-RTX EP does not run on {target.name} ({target.cards})")
        lacking = [target for target in ctx.targets if target.lacks]
        seen: set[ir.Value] = set()
        for _, node in ctx.nodes if lacking else ():
            for value in (*node.outputs, *node.inputs):
                if value is None or value in seen or (kind := ctx.element(value)) is None:
                    continue
                seen.add(value)
                for target in lacking:
                    if kind.name in target.lacks:
                        yield self.finding(ctx, node, f"{kind.name} is not on {target.name} ({target.cards})")
