"""GF030: FP4 weights of a ModelOpt release that rounded them wrongly."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix import io
from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext


class Modelopt046Weights(Lint):
    """## What it does
    Looks for FLOAT4E2M1 initializers in a file of an opset below 23, which is how ModelOpt 0.46 and older export NVFP4.

    ## Why is this bad?
    That exporter divided the weights by block scales that were not rounded yet, so the stored values do not belong to the stored scales:
    an error of 9.8e-2 instead of 2.6e-2. No pass can repair it, because the original weights are gone.
    Migrating the opset does not change that: graphfix notes the exported opset in the file's provenance, and this lint reads it there.

    ## Example
    ```onnx
    <ir_version: 9, opset_import: ["" : 20, "trt" : 1]>
    g (float16[16] x) => (float[16] y) <float4e2m1[16] w = {1, 2, 3, 4, 5, 6, 7, 0}, float s = {0.5}> { y = DequantizeLinear (w, s) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[16] x) => (float[16] y) <float4e2m1[16] w = {1, 2, 3, 4, 5, 6, 7, 0}, float s = {0.5}> { y = DequantizeLinear (w, s) }
    ```

    ## References
    - https://github.com/NVIDIA/Model-Optimizer/pull/2243
    """

    code = "GF030"
    name = "modelopt-046-weights"
    level = "warning"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each tensor."""
        history = io.read_provenance(model)
        if any("fp4-weights" in entry.get("changed_by", ()) for entry in history):
            return  # folded by graphfix from the original weights, with rounded scales
        opsets = [ctx.main_opset, *(entry.get("input_opset") for entry in history)]
        exported = min((opset for opset in opsets if isinstance(opset, int)), default=23)
        for graph in model.graphs() if exported < 23 else ():
            for value in graph.initializers.values():
                if value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT4E2M1:
                    yield self.finding(ctx, value, f"FP4 weight exported at opset {exported}: export again with ModelOpt 0.47 or newer")
