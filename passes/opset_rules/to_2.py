"""Rewrites that opset 2 makes necessary."""

from __future__ import annotations

from graphfix_passes.opset_rules.edit import Edit


def pad_paddings(edit: Edit) -> str:
    """The attribute ``paddings`` is called ``pads``.

    Source: onnx Changelog, Pad-2.
    """
    if not edit.given("paddings"):
        return ""
    edit.set("pads", edit.attribute("paddings"))
    edit.drop("paddings")
    return "paddings is called pads"


def split_sizes(edit: Edit) -> str:
    """The sizes are an attribute only, and ``axis`` defaults to 0.

    Source: onnx Changelog, Split-2.
    """
    if edit.input(1) is None:
        return ""
    sizes = edit.constant(1)
    if sizes is None:
        raise edit.refuse("the sizes are computed at run time, and an attribute cannot hold them")
    edit.set("split", [int(size) for size in sizes])
    edit.node.resize_inputs(1)
    return "sizes moved from an input to the attribute split"


def pool_p(edit: Edit) -> str:
    """``p`` is an integer, and LpPool's ``kernel_shape`` is required.

    Source: onnx Changelog, LpPool-2 and GlobalLpPool-2.
    """
    if edit.node.op_type == "LpPool" and not edit.given("kernel_shape"):
        raise edit.refuse("kernel_shape became required and the node does not say it")
    p = edit.attribute("p")
    if p is None:
        return ""
    if p != int(p):
        raise edit.refuse(f"p={p} is not a whole number, and newer versions only take those")
    edit.set("p", int(p))
    return "p as an integer"
