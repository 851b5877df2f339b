"""The way down from opsets 23 to 28."""

from __future__ import annotations

import onnx_ir as ir

from graphfix_passes.opset_rules.edit import Edit, asks
from graphfix_passes.opset_rules.narrow import narrow


@asks("types")
def floor_mod(edit: Edit) -> str:
    """``fmod=0`` took integers only up to opset 27.

    Source: onnx Changelog, Mod-13 ("If the fmod attribute is set to 0, T is constrained to integer data types") and Mod-28.
    """
    if not edit.attribute("fmod", 0) and not edit.known_element(0, "floor modulus of floats is new at 28").is_integer():
        raise edit.refuse("fmod=0 on floats is new at opset 28")
    return narrow(edit)


@asks("types")
def attention_window(edit: Edit) -> str:
    """Sliding windows are new at 25.

    Source: onnx Changelog, Attention-25.
    """
    for name in ("left_window_size", "right_window_size"):
        value = edit.attribute(name, -1)
        if value != -1:
            raise edit.refuse(f"{name} must be -1 at opset 24, got {value}. Windowed attention is new at 25")
    return narrow(edit)


@asks("types", "shapes")
def attention_mask(edit: Edit) -> str:
    """A mask shorter than the keys is new at 24, as are key lengths as an input.

    Source: onnx Changelog, Attention-23 and -24.
    """
    if edit.input(3) is not None:
        mask, keys, past = edit.dim(3, -1), edit.dim(1, -2), edit.dim(4, -2) if edit.input(4) is not None else 0
        if mask is None or keys is None or past is None or mask != keys + past:
            raise edit.refuse("the mask may be shorter than the keys, which is new at opset 24", "declare the shapes of attn_mask and K")
    return narrow(edit)


@asks("types")
def quantize_type(edit: Edit) -> str:
    """Up to opset 22 data and scale share a type, and ONNX Runtime divides in float32 whatever it is.

    Source: onnx Changelog, QuantizeLinear-21 and -23.
    """
    x, scale = edit.known_element(0, "it decides the division"), edit.known_element(1, "it decides the division")
    precision = ir.DataType(edit.attribute("precision", 0) or scale.value)
    if precision != ir.DataType.FLOAT and edit.options.precision:
        raise edit.refuse(
            f"it divides in {precision.name}, and ONNX Runtime divides in float32 up to opset 22",
            "opset{target=22,precision=false} does not ask for the same bits",
        )
    edit.drop("precision")
    for index, kind in enumerate((x, scale)):
        if x != scale and kind != ir.DataType.FLOAT:
            edit.set_input(index, edit.add("Cast", [edit.input(index)], {"to": ir.DataType.FLOAT.value}, "float"))
    text = narrow(edit)
    return "; ".join(filter(None, ("data and scale both as float32" if x != scale else "", text)))


@asks("types")
def dequantize_type(edit: Edit) -> str:
    """Up to opset 22 the output has the scale's type.

    Source: onnx Changelog, DequantizeLinear-21 and -23 ("The output type also determines the precision of the multiplication").
    """
    wanted = edit.attribute("output_dtype", 0)
    edit.drop("output_dtype")
    scale = edit.known_element(1, "the output has it")
    if wanted in {0, scale.value}:
        return narrow(edit)
    if scale == ir.DataType.FLOAT or wanted != ir.DataType.FLOAT.value:
        raise edit.refuse(f"the output is {ir.DataType(wanted).name} and the scale {scale.name}: up to opset 22 they are the same")
    edit.set_input(1, edit.add("Cast", [edit.input(1)], {"to": wanted}, "scale_type"))
    narrow(edit)
    return "the scale cast to the output's type, FLOAT"
