"""Rewrites that opset 22 makes necessary."""

from __future__ import annotations

from graphfix_passes.opset_rules.edit import Edit


def pool_shapes(edit: Edit) -> str:
    """With ceil_mode=1, shape inference from opset 22 on drops windows that would start in the right padding, as runtimes always did.

    The node stays; a declared shape behind it may become wrong and is left to be inferred again.
    Source: onnx Changelog, AveragePool-22 and MaxPool-22.
    """
    attr = edit.node.attributes.get("ceil_mode")
    if attr is None or (not attr.is_ref() and not attr.as_int()):
        return ""
    edit.stale.extend(edit.node.outputs)
    return "ceil_mode=1: the same windows; declared shapes behind it inferred again"
