"""Rewrites that opset 10 makes necessary."""

from __future__ import annotations

import onnx_ir as ir

from graphfix_passes.opset_rules.edit import Edit, asks


def slice_inputs(edit: Edit) -> str:
    """Starts, ends and axes are inputs.

    Source: onnx Changelog, Slice-10.
    """
    moved = [name for i, name in enumerate(("starts", "ends", "axes"), 1) if edit.move(name, i)]
    return f"{', '.join(moved)} moved from attributes to inputs" if moved else ""


def topk_input(edit: Edit) -> str:
    """K is an input of one element.

    Source: onnx Changelog, TopK-10.
    """
    return "k moved from an attribute to an input" if edit.move("k", 1) else ""


@asks("types")
def dropout_mask(edit: Edit) -> str:
    """The mask is boolean; it had the type of the data.

    Source: onnx Changelog, Dropout-10.
    """
    if not edit.used(1):
        return ""
    kind = edit.known_element(0, "the mask had it")
    edit.wrap_output(1, lambda mask: edit.add_after("Cast", [mask], {"to": kind.value}, "mask"))
    edit.node.outputs[1].type = ir.TensorType(ir.DataType.BOOL)
    return f"the mask is boolean now and cast back to {kind.name}"


def upsample_to_resize(edit: Edit) -> str:
    """Upsample is deprecated; Resize-10 has the same inputs, modes and meaning.

    Source: onnx Changelog, Upsample-10 and Resize-10.
    """
    edit.node.op_type = "Resize"
    return "Upsample became Resize"
