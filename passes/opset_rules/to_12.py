"""Rewrites that opset 12 makes necessary."""

from __future__ import annotations

import onnx_ir as ir

from graphfix_passes.opset_rules.edit import Edit


def dropout_ratio(edit: Edit) -> str:
    """The ratio is an input. Without the input ``training_mode`` the operator passes its input on, as before.

    Source: onnx Changelog, Dropout-12.
    """
    return "ratio moved from an attribute to an input" if edit.move("ratio", 1, dtype=ir.DataType.FLOAT, scalar=True) else ""
