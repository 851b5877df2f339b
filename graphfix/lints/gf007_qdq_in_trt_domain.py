"""GF007: QuantizeLinear or DequantizeLinear in domain ``trt``."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.facts.trt_ops import DOMAIN
from graphfix.lints.base import QDQ, Lint, LintContext


class QdqInTrtDomain(Lint):
    """## What it does
    Looks for ``trt::QuantizeLinear`` and ``trt::DequantizeLinear``.

    ## Why is this bad?
    The EP does not register them: ``trt:DequantizeLinear(-1) is not a registered function/op``. They mean what the default domain's
    operators mean; older ModelOpt releases and its FP8 and INT4 exporters leave the domain behind.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
    g (int8[4, 32] w, float16 s) => (float16[4, 32] y) { y = trt.DequantizeLinear (w, s) }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (int8[4, 32] w, float16 s) => (float16[4, 32] y) { y = DequantizeLinear (w, s) }
    ```

    ## References
    - modelopt, onnx/export/int4_exporter.py and fp8_exporter.py
    """

    code = "GF007"
    name = "qdq-in-trt-domain"
    fix = "fp4-qdq"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each node."""
        for _, node in ctx.find(*QDQ, domain=DOMAIN):
            yield self.finding(ctx, node, f"{node.op_type} belongs to the default domain; the EP has no {DOMAIN}::{node.op_type}")
