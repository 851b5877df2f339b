"""GF006: an operator of domain ``trt`` that the execution provider does not register."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.facts.trt_ops import CONTRACTS, DOMAIN
from graphfix.lints.base import QDQ, Lint, LintContext


class UnregisteredTrtOperator(Lint):
    """## What it does
    Looks for operators of domain ``trt`` other than the three that ONNX Runtime's TensorRT-RTX EP registers: TRT_FP4DynamicQuantize,
    TRT_FP8QuantizeLinear, TRT_FP8DequantizeLinear.

    ## Why is this bad?
    ONNX Runtime refuses the file: ``trt:TRT_MXFP8DynamicQuantize(-1) is not a registered function/op``. That TensorRT-RTX's own compiler
    takes some of them (MXFP8) does not help, and ``TRT_FP4QDQ`` is a placeholder that no runtime has: the export was not finished.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (float16[2, 32] x) => (float16[2, 32] y) { y = trt.TRT_FP4QDQ <block_size = 16> (x) }
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
    - onnxruntime, nv_execution_provider_custom_ops.cc
    """

    code = "GF006"
    name = "unregistered-trt-operator"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each node."""
        for _, node in ctx.trt_nodes():
            contract = CONTRACTS.get(node.op_type)
            if node.op_type not in QDQ and not (contract is not None and contract.ep_registers):
                known = "" if contract is not None else ", and graphfix knows no such operator"
                yield self.finding(ctx, node, f"the EP does not register {DOMAIN}::{node.op_type}{known}")
