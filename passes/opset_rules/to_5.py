"""Rewrites that opset 5 makes necessary."""

from __future__ import annotations

from graphfix_passes.opset_rules.edit import Edit


def reshape_input(edit: Edit) -> str:
    """The shape is an input, and ``consumed_inputs`` is gone.

    Source: onnx Changelog, Reshape-5.
    """
    edit.drop("consumed_inputs")
    return "shape moved from an attribute to an input" if edit.move("shape", 1) else ""
