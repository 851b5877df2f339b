"""The way down from opsets 18 to 22."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphfix_passes.opset_rules.edit import Edit, asks
from graphfix_passes.opset_rules.narrow import narrow
from graphfix_passes.opset_rules.to_22 import pool_shapes


@asks("types")
def pool_shapes_down(edit: Edit) -> str:
    """Shape inference with ceil_mode=1 differs, see ``to_22.pool_shapes``.

    Source: onnx Changelog, AveragePool-22, LpPool-22 and MaxPool-22.
    """
    text = narrow(edit)
    return "; ".join(filter(None, (pool_shapes(edit), text)))


@asks("types", "shapes")
def group_norm_per_group(edit: Edit) -> str:
    """Scale and bias per channel become a multiplication and an addition behind a normalization without them.

    Source: onnx Changelog, GroupNormalization-18 and -21.
    """
    kind = edit.known_element(0, "ones and zeros must have it")
    wanted = ir.DataType.DOUBLE if kind == ir.DataType.DOUBLE else ir.DataType.FLOAT
    if edit.attribute("stash_type", 1) != wanted.value:
        raise edit.refuse(f"stash_type is not {wanted.name}, in which older versions normalize")
    edit.drop("stash_type")
    groups, rank = int(edit.attribute("num_groups")), edit.rank(0)
    if groups == edit.dim(0, 1):
        return "as many groups as channels: scale and bias are the same in both versions"
    if rank is None:
        raise edit.refuse("scale and bias must be lined up with the channels, and the rank of the input is unknown")
    parts = []
    for index, fill in ((1, 1), (2, 0)):
        value = edit.input(index)
        parts.append(edit.add("Reshape", [value, edit.ints([-1] + [1] * (rank - 2), "column")], None, "per_channel"))
        edit.set_input(index, edit.const(np.full(groups, fill).astype(kind.numpy()), "per_group"))
    edit.wrap_output(0, lambda y: edit.add_after("Add", [edit.add_after("Mul", [y, parts[0]], None, "scaled"), parts[1]], None, "shifted"))
    return "normalized without scale and bias, which follow as Mul and Add, one value for each channel"


@asks("types", "shapes")
def quantize_output(edit: Edit) -> str:
    """Up to opset 20 the zero point alone decides the output's type.

    Source: onnx Changelog, QuantizeLinear-19 and -21.
    """
    kind = edit.attribute("output_dtype", 0)
    edit.drop("output_dtype")
    if kind and edit.input(2) is None and kind != ir.DataType.UINT8.value:
        dims = edit.shape(1)
        if dims is None or not dims.is_static():
            raise edit.refuse("output_dtype must become a zero point, and the shape of the scale is unknown")
        edit.set_input(2, edit.const(np.zeros(tuple(dims.numpy()), ir.DataType(kind).numpy()), "zero_point"))
        return "; ".join(filter(None, ("output_dtype became a zero point of 0", narrow(edit))))
    return narrow(edit)


@asks("types", "shapes")
def grid_sample_names(edit: Edit) -> str:
    """``linear`` was called ``bilinear``, ``cubic`` was called ``bicubic``, and only images were sampled.

    Source: onnx Changelog, GridSample-16 and -20.
    """
    if edit.rank(0) != 4:
        raise edit.refuse(f"opset {edit.to} samples inputs of rank 4 only, and this one's is {edit.rank(0) or 'unknown'}")
    mode = edit.attribute("mode", "linear")
    edit.set("mode", {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode))
    return "; ".join(filter(None, (f"{mode} was called {edit.attribute('mode')}", narrow(edit))))


@asks("types")
def dft_axis_attribute(edit: Edit) -> str:
    """The axis was an attribute with default 1; as an input its default is -2.

    Source: onnx Changelog, DFT-17 and DFT-20.
    """
    axis = edit.constant(2)
    if edit.input(2) is not None and axis is None:
        raise edit.refuse("the axis is computed at run time, and an attribute cannot hold it")
    edit.set("axis", -2 if axis is None else int(axis.item()))
    edit.node.resize_inputs(min(len(edit.node.inputs), 2))
    return "; ".join(filter(None, ("axis became an attribute", narrow(edit))))


@asks("types")
def pad_wrap(edit: Edit) -> str:
    """``wrap`` is new at 19.

    Source: onnx Changelog, Pad-18 and -19.
    """
    if edit.attribute("mode", "constant") == "wrap":
        raise edit.refuse("mode=wrap is new at opset 19")
    return narrow(edit)


@asks("types")
def resize_symmetric(edit: Edit) -> str:
    """``half_pixel_symmetric`` is new at 19.

    Source: onnx Changelog, Resize-18 and -19.
    """
    if edit.attribute("coordinate_transformation_mode", "half_pixel") == "half_pixel_symmetric":
        raise edit.refuse("half_pixel_symmetric is new at opset 19")
    return narrow(edit)


@asks("types")
def pool_dilations(edit: Edit) -> str:
    """AveragePool's dilations are new at 19.

    Source: onnx Changelog, AveragePool-11 and -19.
    """
    if any(step != 1 for step in edit.attribute("dilations", ())):
        raise edit.refuse("dilations other than 1 are new at opset 19")
    edit.drop("dilations")
    return narrow(edit)


@asks("types", "shapes")
def split_equal(edit: Edit) -> str:
    """Up to opset 17 a Split without sizes is even.

    Source: onnx Changelog, Split-13 and -18.
    """
    count = edit.attribute("num_outputs")
    edit.drop("num_outputs")
    if count is None:
        return narrow(edit)
    size = edit.dim(0, edit.attribute("axis", 0))
    if size is None:
        raise edit.refuse("num_outputs may split unevenly, and the size of the axis is unknown")
    chunk = -(-size // count)
    if size % count:
        edit.set_input(1, edit.ints([chunk] * (count - 1) + [size - chunk * (count - 1)], "sizes"))
    return "; ".join(filter(None, ("num_outputs became sizes" if size % count else "num_outputs dropped: an even split", narrow(edit))))


@asks("types", "shapes")
def pad_all_axes(edit: Edit) -> str:
    """Up to opset 17 pads are given for every axis.

    Source: onnx Changelog, Pad-13 and -18.
    """
    if edit.input(3) is None:
        return narrow(edit)
    axes, pads, rank = edit.constant(3), edit.constant(1), edit.rank(0)
    if axes is None or pads is None or rank is None:
        raise edit.refuse("axes became implicit, and the axes, the pads or the rank are not known before run time")
    full = np.zeros(2 * rank, np.int64)
    for i, axis in enumerate(axes.reshape(-1)):
        full[int(axis) % rank], full[rank + int(axis) % rank] = pads[i], pads[len(pads) // 2 + i]
    edit.set_input(1, edit.ints(full.tolist(), "pads"))
    edit.node.resize_inputs(3)
    return "; ".join(filter(None, ("pads written for every axis", narrow(edit))))


@asks("types")
def scatter_reduction(edit: Edit) -> str:
    """``max`` and ``min`` are new at 18.

    Source: onnx Changelog, ScatterElements-16 and -18, ScatterND alike.
    """
    if edit.attribute("reduction", "none") in {"max", "min"}:
        raise edit.refuse("reduction by max or min is new at opset 18")
    return narrow(edit)
