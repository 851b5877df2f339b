"""Rewrites that opset 11 makes necessary."""

from __future__ import annotations

import numpy as np

from graphfix_passes.opset_rules.edit import Edit, asks


def resize_coordinates(edit: Edit) -> str:
    """Resize-10 maps coordinates by division alone; the new defaults do not. In nearest mode it rounds down where it enlarges, and up
    where it shrinks.

    Source: onnx Changelog, Resize-10 and Resize-11; the rounding is onnx's own test data (test_resize_downsample_nearest at opset 10)
    and ONNX Runtime's.
    """
    if len(edit.node.inputs) > 2 or edit.given("coordinate_transformation_mode"):
        return ""
    scales = edit.input(1)
    known = edit.constant(1)
    mode = edit.attribute("mode", "nearest")
    edit.set("coordinate_transformation_mode", "asymmetric")
    roi = edit.const(np.zeros(0, np.float32), "roi")
    text = "coordinates by division (asymmetric)"
    if mode == "nearest":
        grows = known is not None and bool((known >= 1).all())
        shrinks = known is not None and bool((known <= 1).all())
        edit.set("nearest_mode", "floor" if grows else "ceil")
        text += ", rounded down" if grows else ", rounded up"
        if not grows and not shrinks:
            one = edit.const(np.ones(1, np.float32), "one")
            settings = {"mode": mode, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            up = edit.add("Max", [scales, one], None, "enlarging")
            edit.set_input(0, edit.add("Resize", [edit.input(0), roi, up], settings, "enlarged"))
            scales = edit.add("Min", [scales, one], None, "shrinking")
            text = "coordinates by division (asymmetric): a Resize that enlarges, rounded down, then one that shrinks, rounded up"
    edit.set_input(1, roi)
    edit.set_input(2, scales)
    return text


@asks("types")
def clip_inputs(edit: Edit) -> str:
    """Min and max are inputs, of the data's type.

    Source: onnx Changelog, Clip-11.
    """
    names = [name for name in ("min", "max") if edit.given(name)]
    if not names:
        return ""
    kind = edit.known_element(0, "the limits must have it")
    for i, name in enumerate(("min", "max"), 1):
        edit.move(name, i, dtype=kind, scalar=True)
    return f"{' and '.join(names)} moved from attributes to inputs of type {kind.name}"


@asks("types")
def pad_inputs(edit: Edit) -> str:
    """Pads and the value are inputs, the value of the data's type.

    Source: onnx Changelog, Pad-11.
    """
    if not edit.move("pads", 1):
        return ""
    value = edit.attribute("value", 0.0)
    if value != 0 and edit.attribute("mode", "constant") == "constant":
        edit.move("value", 2, dtype=edit.known_element(0, "the value must have it"), scalar=True)
        return "pads and value moved from attributes to inputs"
    edit.drop("value")
    return "pads moved from an attribute to an input"


def scatter_elements(edit: Edit) -> str:
    """Scatter is deprecated; ScatterElements is the same operator.

    Source: onnx Changelog, Scatter-11 and ScatterElements-11.
    """
    edit.node.op_type = "ScatterElements"
    return "Scatter became ScatterElements"
