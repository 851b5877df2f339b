"""GF020: a scale that is NaN or infinite."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.lints.scales import SCALE, parameters


class ScaleNotFinite(Lint):
    """## What it does
    Looks for constant scales that are NaN or infinite, block scales included. Reads constants of up to 65,536 elements only.

    ## Why is this bad?
    One such scale turns a whole layer, and then the image, into NaN. It comes from calibrating on data that overflowed float16.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float[2, 32] x) => (int8[2, 32] y) <float s = {nan}, int8 z = {0}> { y = QuantizeLinear (x, s, z) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float[2, 32] x) => (int8[2, 32] y) <float s = {0.5}, int8 z = {0}> { y = QuantizeLinear (x, s, z) }
    ```

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/Operators.md#QuantizeLinear
    """

    code = "GF020"
    name = "scale-not-finite"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each node."""
        for node, values in parameters(ctx, SCALE):
            bad = values[~np.isfinite(values)]
            if bad.size:
                yield self.finding(ctx, node, f"{bad.size} of {values.size} scales are not finite: {bad.flat[0]}")
