"""Rewrites that opset 3 makes necessary."""

from __future__ import annotations

from graphfix_passes.opset_rules.edit import Edit


def gru_direction(edit: Edit) -> str:
    """The misspelt default of ``direction`` ("foward") was corrected.

    Source: onnx Changelog, GRU-3.
    """
    if edit.attribute("direction", "") != "foward":
        return ""
    edit.set("direction", "forward")
    return "direction spelt right"
