"""Rewrites that opset 21 makes necessary."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphfix_passes.opset_rules.edit import Edit, asks


@asks("types", "shapes")
def group_norm_per_channel(edit: Edit) -> str:
    """GroupNormalization-18 has one scale and bias per group, -21 one per channel and a type to normalize in.

    stash_type stays at its default, float32, except for double: ONNX Runtime computes a float16 GroupNormalization-18 in float32 as well
    (measured on 1.32: the same bits), and would lose half of a double's digits.

    Source: onnx Changelog, GroupNormalization-21 ("scale and bias ... shape (C)"), and the function bodies of both versions.
    """
    groups = int(edit.attribute("num_groups") or 0)
    if groups < 1:
        raise edit.refuse("num_groups is missing, or below 1")
    channels = edit.dim(0, 1)
    if channels is not None and channels % groups:
        raise edit.refuse(f"{channels} channels do not divide into {groups} groups")
    if edit.element(0) == ir.DataType.DOUBLE and "stash_type" not in edit.node.attributes:
        edit.set("stash_type", ir.DataType.DOUBLE.value)
    if edit.dim(1, 0) is not None and edit.dim(1, 0) == edit.dim(2, 0) == channels:
        return "scale and bias have one value per channel already; epsilon and num_groups kept"
    repeat: ir.Value | None = None
    for index, what in ((1, "scale"), (2, "bias")):
        array = edit.constant(index)
        if array is not None and channels is not None and array.shape == (groups,):
            edit.set_input(index, edit.const(np.repeat(array, channels // groups), f"{what}_per_channel"))
            continue
        value = edit.input(index)
        if repeat is None:
            count = edit.add("Shape", [edit.input(0)], {"start": 1, "end": 2}, "channels")
            size = edit.add("Shape", [value], None, f"{what}_size")
            repeat = edit.add("Div", [count, size], None, "repeat")
        column = edit.add("Reshape", [value, edit.ints([-1, 1], "column")], None, f"{what}_column")
        rows = edit.add("Expand", [column, repeat], None, f"{what}_rows")
        edit.set_input(index, edit.add("Reshape", [rows, edit.ints([-1], "flat")], None, f"{what}_per_channel"))
    return "scale and bias repeated from one per group to one per channel; epsilon and num_groups kept"
