"""Rewrites that opset 16 makes necessary."""

from __future__ import annotations

from graphfix_passes.opset_rules.edit import Edit


def roi_align_coordinates(edit: Edit) -> str:
    """The default became ``half_pixel``; the operator used to work as ``output_half_pixel``.

    Source: onnx Changelog, RoiAlign-16.
    """
    if edit.given("coordinate_transformation_mode"):
        return ""
    edit.set("coordinate_transformation_mode", "output_half_pixel")
    return "coordinate_transformation_mode=output_half_pixel, which the operator did before it could be chosen"
