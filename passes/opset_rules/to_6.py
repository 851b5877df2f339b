"""Rewrites that opset 6 makes necessary."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphfix_passes.opset_rules.edit import Edit, asks


def consumed_inputs(edit: Edit) -> str:
    """``consumed_inputs`` allowed a runtime to overwrite inputs; it never changed a result.

    Source: onnx Changelog, the opset-1 and opset-6 versions of each operator.
    """
    edit.drop("consumed_inputs")
    return ""


def selu_constants(edit: Edit) -> str:
    """The defaults of ``alpha`` and ``gamma`` got more digits.

    Source: onnx Changelog, Selu-6.
    """
    edit.drop("consumed_inputs")
    before = {"alpha": 1.6732, "gamma": 1.0507}
    missing = [name for name in before if not edit.given(name)]
    for name in missing:
        edit.set(name, before[name])
    return f"{' and '.join(missing)} written down as the old default" if missing else ""


def cast_by_number(edit: Edit) -> str:
    """``to`` is a number of TensorProto.DataType, no longer its name.

    Source: onnx Changelog, Cast-6.
    """
    to = edit.attribute("to")
    if not isinstance(to, str):
        return ""
    kind = ir.DataType.__members__.get(to.upper())
    if kind is None:
        raise edit.refuse(f"to={to!r} is no type")
    edit.set("to", kind.value)
    return "to as a number"


@asks("shapes")
def tile_repeats(edit: Edit) -> str:
    """One count and one axis became a count for every axis.

    Source: onnx Changelog, Tile-6.
    """
    if edit.input(2) is None:
        return ""
    tiles, axis, rank = edit.constant(1), edit.constant(2), edit.rank(0)
    if tiles is None or axis is None or rank is None:
        raise edit.refuse("the count, the axis or the rank of the input is not known before run time")
    repeats = np.ones(rank, np.int64)
    repeats[int(axis.item())] = int(tiles.item())
    edit.set_input(1, edit.ints(repeats.tolist(), "repeats"))
    edit.node.resize_inputs(2)
    return "count and axis replaced by a count for every axis"
