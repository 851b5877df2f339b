"""GF034: a ``trt`` operator is given a type that it does not take."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.facts.trt_ops import CONTRACTS
from graphfix.lints.base import Lint, LintContext


class TrtOperandType(Lint):
    """## What it does
    Compares the element types of the inputs of ``trt`` operators, and their number, with what the operators take.

    ## Why is this bad?
    Nothing checks it before TensorRT-RTX does: the EP registers its operators without types.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (double[2, 32] x, float s) => (float8e4m3fn[2, 32] y) { y = trt.TRT_FP8QuantizeLinear (x, s) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float[2, 32] x, float s) => (float8e4m3fn[2, 32] y) { y = trt.TRT_FP8QuantizeLinear (x, s) }
    ```

    ## References
    - onnx-tensorrt, onnxOpImporters.cpp
    """

    code = "GF034"
    name = "trt-operand-type"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each operand."""
        for _, node in ctx.trt_nodes():
            contract = CONTRACTS.get(node.op_type)
            if contract is None:
                continue
            for index, (name, allowed, optional) in enumerate(contract.inputs):
                value = node.inputs[index] if index < len(node.inputs) else None
                kind = ctx.element(value)
                if value is None and not optional:
                    yield self.finding(ctx, node, f"input {index} ({name}) is missing")
                elif kind is not None and kind.name.lower() not in allowed:
                    yield self.finding(ctx, node, f"input {index} ({name}) is {kind.name}; it takes {', '.join(allowed)}")
