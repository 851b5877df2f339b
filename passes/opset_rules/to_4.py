"""Rewrites that opset 4 makes necessary."""

from __future__ import annotations

from graphfix_passes.opset_rules.edit import Edit


def concat_axis(edit: Edit) -> str:
    """``axis`` lost its default, 1, and must be written down.

    Source: onnx Changelog, Concat-4.
    """
    if edit.given("axis"):
        return ""
    edit.set("axis", 1)
    return "axis=1, which was the default"
