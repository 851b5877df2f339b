"""GF037: a type that TensorRT-RTX takes on no GPU."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.facts.targets import NOT_QUANTIZED, NOWHERE
from graphfix.lints.base import QDQ, Lint, LintContext
from graphfix.model import operand, result


class TypeOnNoTarget(Lint):
    """## What it does
    Looks for default-domain operators that make or read values of types that TensorRT-RTX takes on no GPU: FP8 other than E4M3, E8M0
    scales, UINT4, 16-bit and unsigned integers; and for UINT8 as the quantized side of QuantizeLinear and DequantizeLinear.

    ## Why is this bad?
    The compiler refuses the file: ``Failed to import initializer``, ``Found unsupported input type of UINT8 at (DequantizeLinear)``. Under
    ONNX Runtime such nodes fall to another provider, with copies before and behind them. ONNX Runtime's own quantizer writes UINT8
    activations unless told otherwise.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float[2, 32] x) => (float[2, 32] y) <float s = {0.5}, uint8 z = {0}> {
      q = QuantizeLinear (x, s, z)
      y = DequantizeLinear (q, s, z)
    }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float[2, 32] x) => (float[2, 32] y) <float s = {0.5}, int8 z = {0}> {
      q = QuantizeLinear (x, s, z)
      y = DequantizeLinear (q, s, z)
    }
    ```

    ## References
    - https://docs.nvidia.com/deeplearning/tensorrt-rtx/latest/getting-started/support-matrix.html
    """

    code = "GF037"
    name = "type-on-no-target"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each node."""
        for _, node in ctx.find():
            kinds = {kind.name: None for v in (*node.outputs, *node.inputs) if (kind := ctx.element(v)) is not None}
            bad = [kind for kind in kinds if kind in NOWHERE]
            if node.op_type in QDQ:
                side = ctx.element(result(node) if node.op_type == "QuantizeLinear" else operand(node))
                bad += [side.name] if side is not None and side.name in NOT_QUANTIZED else []
            if bad:
                yield self.finding(
                    ctx, node, f"{', '.join(bad)}: TensorRT-RTX takes no such {'quantized type' if bad == ['UINT8'] else 'type'}"
                )
