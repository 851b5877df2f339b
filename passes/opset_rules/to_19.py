"""Rewrites that opset 19 makes necessary."""

from __future__ import annotations

import onnx_ir as ir

from graphfix_passes.opset_rules.edit import Edit, asks


@asks("types")
def quantize_integers(edit: Edit) -> str:
    """The data must have the scale's type; up to opset 18 int32 data went with a float32 scale.

    Source: onnx Changelog, QuantizeLinear-13 and -19.
    """
    if edit.element(0) != ir.DataType.INT32 or edit.element(1) != ir.DataType.FLOAT:
        return ""
    edit.set_input(0, edit.add("Cast", [edit.input(0)], {"to": ir.DataType.FLOAT.value}, "float"))
    return "int32 data cast to the scale's float32, in which the division is done"
