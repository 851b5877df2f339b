"""GF018: a zero point that is not zero."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.lints.scales import ZERO_POINT, parameters


class NonzeroZeroPoint(Lint):
    """## What it does
    Looks for QuantizeLinear and DequantizeLinear with a constant zero point other than 0. Reads constants of up to 65,536 elements only.

    ## Why is this bad?
    TensorRT-RTX quantizes symmetrically and refuses the rest: ``Non-zero zero point is not supported``. Calibrate with a symmetric scheme.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float[2, 32] x) => (uint8[2, 32] y) <float s = {0.5}, uint8 z = {128}> { y = QuantizeLinear (x, s, z) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float[2, 32] x) => (int8[2, 32] y) <float s = {0.5}, int8 z = {0}> { y = QuantizeLinear (x, s, z) }
    ```

    ## References
    - https://github.com/onnx/onnx-tensorrt/blob/main/docs/operators.md
    """

    code = "GF018"
    name = "nonzero-zero-point"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each node."""
        for node, values in parameters(ctx, ZERO_POINT):
            if values.any():
                yield self.finding(ctx, node, f"zero point {values.ravel()[values.ravel().nonzero()][0]:g}; only 0 is supported")
