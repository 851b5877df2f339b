"""Rewrites that opset 18 makes necessary (the reductions' axes: see ``to_13.axes_input``)."""

from __future__ import annotations

from graphfix_passes.opset_rules.edit import Edit


def split_count(edit: Edit) -> str:
    """Without sizes, the number of outputs must be written down.

    Source: onnx Changelog, Split-18.
    """
    if edit.input(1) is not None or edit.given("num_outputs"):
        return ""
    edit.set("num_outputs", len(edit.node.outputs))
    return "num_outputs written down, as there are no sizes"
