"""The way down from opsets 12 to 17, and from inputs to the attributes they were."""

from __future__ import annotations

import numpy as np

from graphfix_passes.opset_rules.edit import Edit, asks
from graphfix_passes.opset_rules.narrow import narrow


def _to_attribute(edit: Edit, index: int, name: str) -> str:
    """Turn a constant input into a list attribute."""
    if edit.input(index) is None:
        return ""
    values = edit.constant(index)
    if values is None:
        raise edit.refuse(f"{name} is computed at run time, and an attribute cannot hold it")
    edit.set(name, [int(v) for v in values.reshape(-1)])
    edit.node.resize_inputs(index)
    return f"{name} became an attribute"


@asks("types")
def axes_attribute(edit: Edit) -> str:
    """The axes were an attribute.

    Source: onnx Changelog, ReduceSum-13, Squeeze-13, Unsqueeze-13; ReduceL1-18 and the other reductions.
    """
    noop = edit.attribute("noop_with_empty_axes", 0)
    edit.drop("noop_with_empty_axes")
    axes = edit.constant(1)
    if edit.input(1) is None or (axes is not None and axes.size == 0):
        if noop:
            raise edit.refuse("noop_with_empty_axes=1 without axes has no older form")
        edit.node.resize_inputs(1)
        return narrow(edit)
    return "; ".join(filter(None, (_to_attribute(edit, 1, "axes"), narrow(edit))))


@asks("types")
def split_attribute(edit: Edit) -> str:
    """The sizes were an attribute.

    Source: onnx Changelog, Split-13.
    """
    return "; ".join(filter(None, (_to_attribute(edit, 1, "split"), narrow(edit))))


@asks("types", "shapes")
def softmax_matrix(edit: Edit) -> str:
    """Up to opset 12 the input was a matrix, split at ``axis``: the same where that is the last one.

    Source: onnx Changelog, Softmax-11 and -13; LogSoftmax and Hardmax alike.
    """
    axis, rank = int(edit.attribute("axis", -1)), edit.rank(0)
    if axis == -1 or (rank is not None and axis == rank - 1):
        edit.set("axis", -1)
        return "; ".join(filter(None, ("axis=-1 written down", narrow(edit))))
    if rank is None:
        raise edit.refuse("axis must be moved to the end, and the rank of the input is unknown")
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    edit.set_input(0, edit.add("Transpose", [edit.input(0)], {"perm": order}, "axis_last"))
    edit.set("axis", -1)
    narrow(edit)
    edit.wrap_output(0, lambda y: edit.add_after("Transpose", [y], {"perm": order}, "axis_back"))
    return "axis moved to the end and back (Transpose)"


@asks("types")
def roi_align_mode(edit: Edit) -> str:
    """Up to opset 15 the operator works as ``output_half_pixel`` does.

    Source: onnx Changelog, RoiAlign-10 and -16.
    """
    if edit.attribute("coordinate_transformation_mode", "half_pixel") != "output_half_pixel":
        raise edit.refuse("coordinate_transformation_mode is not output_half_pixel, which is all that opset 15 does")
    edit.drop("coordinate_transformation_mode")
    return "; ".join(filter(None, ("output_half_pixel is what the operator does", narrow(edit))))


@asks("types")
def shape_slice(edit: Edit) -> str:
    """Start and end were a Slice behind it.

    Source: onnx Changelog, Shape-13 and -15.
    """
    start, end = edit.attribute("start", 0), edit.attribute("end")
    edit.drop("start")
    edit.drop("end")
    narrow(edit)
    if start == 0 and end is None:
        return ""
    bounds = [edit.ints([start], "start"), edit.ints([np.iinfo(np.int64).max if end is None else end], "end")]
    edit.wrap_output(0, lambda y: edit.add_after("Slice", [y, *bounds], None, "slice"))
    return "start and end became a Slice"


@asks("types")
def inference_norm(edit: Edit) -> str:
    """Training was asked for by naming five outputs, two of which are gone.

    Source: onnx Changelog, BatchNormalization-9 and -14.
    """
    if edit.attribute("training_mode", 0) or len(edit.node.outputs) > 1:
        raise edit.refuse("training has another form up to opset 13")
    return narrow(edit)


@asks("types")
def resize_inputs(edit: Edit) -> str:
    """Region and scales could not be left out.

    Source: onnx Changelog, Resize-11 and -13.
    """
    filled = [i for i in (1, 2) if edit.input(i) is None]
    for i in filled:
        edit.set_input(i, edit.const(np.zeros(0, np.float32), "empty"))
    return "; ".join(filter(None, ("empty inputs written down" if filled else "", narrow(edit))))
