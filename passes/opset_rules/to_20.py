"""Rewrites that opset 20 makes necessary."""

from __future__ import annotations

from graphfix_passes.opset_rules.edit import Edit


def dft_axis(edit: Edit) -> str:
    """The axis is an input, and its default went from 1 to -2: it is always written down.

    Source: onnx Changelog, DFT-17 and DFT-20.
    """
    if edit.input(2) is not None:
        return ""
    if edit.move("axis", 2, scalar=True):
        return "axis moved from an attribute to an input"
    edit.set_input(2, edit.ints(1, "axis"))
    return "axis=1, which was the default, written down"


def grid_sample_modes(edit: Edit) -> str:
    """``bilinear`` is called ``linear``, ``bicubic`` is called ``cubic``.

    Source: onnx Changelog, GridSample-16 and -20.
    """
    mode = edit.attribute("mode")
    renamed = {"bilinear": "linear", "bicubic": "cubic"}.get(mode)
    if renamed is None:
        return ""
    edit.set("mode", renamed)
    return f"{mode} is called {renamed}"
