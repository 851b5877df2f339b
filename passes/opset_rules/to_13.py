"""Rewrites that opset 13 makes necessary."""

from __future__ import annotations

import onnx_ir as ir

from graphfix_passes.opset_rules.edit import Edit, asks


@asks("shapes")
def softmax_axis(edit: Edit) -> str:
    """Up to opset 12 the input was a matrix, split at ``axis`` (default 1); from 13 on the operator works along one axis (default -1).

    Source: onnx Changelog, Softmax-11 ("coerced into a 2-dimensional tensor") and Softmax-13; LogSoftmax and Hardmax alike.
    """
    attr = edit.node.attributes.get("axis")
    rank = edit.rank(0)
    axis = 1 if attr is None else None if attr.is_ref() else attr.as_int()
    if axis == -1 or (rank is not None and axis == rank - 1):
        edit.set("axis", -1)
        return "axis=-1: the input was split before its last axis"
    shape = edit.add("Shape", [edit.input(0)], None, "shape")
    flat = edit.add("Flatten", [edit.input(0)], {} if attr is None else {"axis": attr}, "matrix")
    edit.set_input(0, flat)
    edit.set("axis", -1)
    edit.wrap_output(0, lambda rows: edit.add_after("Reshape", [rows, shape], None, "restored"))
    return "the input is made a matrix explicitly (Flatten, Reshape), because axis is not its last one"


def axes_input(edit: Edit) -> str:
    """The axes are an input.

    Source: onnx Changelog, ReduceSum-13, Squeeze-13, Unsqueeze-13; ReduceL1-18 and the other reductions.
    """
    attr = edit.node.attributes.get("axes")
    if attr is not None and not attr.is_ref() and not attr.value and edit.node.op_type != "Unsqueeze":
        edit.drop("axes")
        return "an empty list of axes means what leaving it out means"
    return "axes moved from an attribute to an input" if edit.move("axes", 1) else ""


def split_input(edit: Edit) -> str:
    """The sizes are an input.

    Source: onnx Changelog, Split-13.
    """
    return "split moved from an attribute to an input" if edit.move("split", 1) else ""


def resize_modes(edit: Edit) -> str:
    """``tf_half_pixel_for_nn`` is gone, and scales and sizes exclude each other.

    Source: onnx Changelog, Resize-11 and Resize-13.
    """
    reasons = []
    scales, sizes = edit.input(2), edit.input(3)
    if scales is not None and sizes is not None:
        unused, name = (3, "sizes") if _empty(sizes) else (2, "scales")
        edit.set_input(unused, None)
        reasons.append(f"{name}, which had to be empty, left out")
    if edit.attribute("coordinate_transformation_mode", "half_pixel") == "tf_half_pixel_for_nn":
        # floor(x) is round-half-up(x - 0.5), and half_pixel is this mode less 0.5.
        if edit.attribute("mode", "nearest") != "nearest" or edit.attribute("nearest_mode", "round_prefer_floor") != "floor":
            raise edit.refuse("tf_half_pixel_for_nn is gone, and only mode=nearest with nearest_mode=floor has another form")
        edit.set("coordinate_transformation_mode", "half_pixel")
        edit.set("nearest_mode", "round_prefer_ceil")
        reasons.append("tf_half_pixel_for_nn with floor is half_pixel with round_prefer_ceil")
    return "; ".join(reasons)


def _empty(value: ir.Value) -> bool:
    shape = value.const_value.shape if value.const_value is not None else value.shape
    return shape is not None and list(shape) == [0]


@asks("types")
def erf_integers(edit: Edit) -> str:
    """Integers are gone: computed in double and cut off, as onnx's reference does.

    Source: onnx Changelog, Erf-9 and Erf-13.
    """
    kind = edit.element(0)
    if kind is None or not kind.is_integer():
        return ""
    edit.set_input(0, edit.add("Cast", [edit.input(0)], {"to": ir.DataType.DOUBLE.value}, "double"))
    edit.wrap_output(0, lambda y: edit.add_after("Cast", [y], {"to": kind.value}, "integer"))
    return f"computed in double and cast back to {kind.name}"
