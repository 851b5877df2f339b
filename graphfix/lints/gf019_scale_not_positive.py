"""GF019: a scale that is zero or negative."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.lints.scales import SCALE, parameters


class ScaleNotPositive(Lint):
    """## What it does
    Looks for constant scales of 0 or less, block scales included. Reads constants of up to 65,536 elements only.

    ## Why is this bad?
    Dividing by 0 gives infinities, and TensorRT-RTX asserts that scales are positive. A zero usually means that the calibration never
    reached the layer, or that the scale was too small for float16.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float[2, 32] x) => (int8[2, 32] y) <float s = {0.0}, int8 z = {0}> { y = QuantizeLinear (x, s, z) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float[2, 32] x) => (int8[2, 32] y) <float s = {0.5}, int8 z = {0}> { y = QuantizeLinear (x, s, z) }
    ```

    ## References
    - https://github.com/onnx/onnx-tensorrt/blob/main/docs/operators.md
    """

    code = "GF019"
    name = "scale-not-positive"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each node."""
        for node, values in parameters(ctx, SCALE):
            bad = values[values <= 0]
            if bad.size:
                yield self.finding(ctx, node, f"{bad.size} of {values.size} scales are 0 or less: {bad.min():g}")
