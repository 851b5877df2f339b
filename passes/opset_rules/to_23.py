"""Rewrites that opset 23 makes necessary."""

from __future__ import annotations

import onnx_ir as ir

from graphfix_passes.opset_rules.edit import Edit, asks


@asks("types")
def quantize_precision(edit: Edit) -> str:
    """Up to opset 22 ONNX Runtime divides in float32 whatever the scale's type; from 23 on in the scale's type, unless `precision` says so.

    Source: onnx Changelog, QuantizeLinear-23 (precision: "If not provided, it will be the same as the type of y_scale").
    """
    if edit.element(1) == ir.DataType.FLOAT or "precision" in edit.node.attributes:
        return ""
    if not edit.options.precision:
        return "precision left off by option: the division moves from float32 to the scale's type, results may differ"
    edit.set("precision", ir.DataType.FLOAT.value)
    kind = edit.element(1)
    return f"precision=FLOAT: the division stays in float32 though the scale is {kind.name if kind else 'of unknown type'}"
