"""Rewrites that opset 7 makes necessary."""

from __future__ import annotations

from graphfix_passes.opset_rules.edit import Edit, asks


@asks("shapes")
def numpy_broadcast(edit: Edit) -> str:
    """B used to line up with A from ``axis`` on; now shapes line up from the right.

    Source: onnx Changelog, Add-6 ("broadcast", "axis") and Add-7.
    """
    broadcast, axis = edit.attribute("broadcast", 0), edit.attribute("axis")
    edit.drop("broadcast")
    edit.drop("axis")
    if not broadcast or axis is None:
        return ""
    return _line_up(edit, axis)


def _line_up(edit: Edit, axis: int) -> str:
    a, b = edit.rank(0), edit.rank(1)
    if a is None or b is None:
        raise edit.refuse(f"input B lines up with A from axis {axis} on, and their ranks are unknown", "declare the inputs' shapes")
    behind = a - (axis if axis >= 0 else axis + a) - b
    if behind <= 0:
        return ""
    edit.set_input(1, edit.add("Unsqueeze", [edit.input(1)], {"axes": list(range(b, b + behind))}, "aligned"))
    return f"B lines up with A from axis {axis} on: {behind} dimensions of 1 added behind it"


def gemm_broadcast(edit: Edit) -> str:
    """C broadcasts without being told to.

    Source: onnx Changelog, Gemm-7.
    """
    edit.drop("broadcast")
    return ""


@asks("shapes")
def prelu_slope(edit: Edit) -> str:
    """A slope for each channel used to line up with axis 1; now it broadcasts from the right.

    Source: onnx Changelog, PRelu-6 and PRelu-7.
    """
    x, slope = edit.rank(0), edit.rank(1)
    if slope not in {None, 1} or edit.dim(1, 0) == 1:
        return ""
    if x is None or slope is None:
        raise edit.refuse("the slope lines up with the channels, and the ranks are unknown", "declare the inputs' shapes")
    return _line_up(edit, 1) if x > 2 else ""


def inference_only(edit: Edit) -> str:
    """``is_test`` is gone: one output means inference.

    Source: onnx Changelog, BatchNormalization-7 and Dropout-7.
    """
    edit.drop("consumed_inputs")
    training = not edit.attribute("is_test", 0)
    if training and (edit.node.op_type == "Dropout" or len(edit.node.outputs) == 1):
        raise edit.refuse("is_test=0 asks for training, which newer versions do not do with these outputs", "set is_test=1 for inference")
    if not training and any(edit.used(i) for i in range(1, len(edit.node.outputs))) and edit.node.op_type != "Dropout":
        raise edit.refuse("is_test=1 asks for inference, but its statistics are used as outputs")
    if not training and edit.node.op_type != "Dropout":
        edit.node.resize_outputs(1)
    edit.drop("is_test")
    return ""


def output_sequence(edit: Edit) -> str:
    """Whether Y is wanted is said by naming it, no longer by ``output_sequence``.

    Source: onnx Changelog, RNN-7, GRU-7 and LSTM-7.
    """
    edit.drop("output_sequence")
    return ""


def upsample_sides(edit: Edit) -> str:
    """One list of scales, one for each axis, replaces ``height_scale`` and ``width_scale``.

    Source: onnx Changelog, Upsample-1 (experimental; "4-D tensor, [N,C,H,W]") and Upsample-7.
    """
    if edit.given("scales"):
        return ""
    edit.set("scales", [1.0, 1.0, edit.attribute("height_scale"), edit.attribute("width_scale")])
    edit.drop("height_scale")
    edit.drop("width_scale")
    return "height_scale and width_scale became scales"
