"""Rewrites that opset 28 makes necessary."""

from __future__ import annotations

import onnx_ir as ir

from graphfix_passes.opset_rules.edit import Edit, asks


@asks("types")
def reduce_log_integers(edit: Edit) -> str:
    """Integers are gone. How the logarithm became an integer again was never specified, so casting is done only when asked for.

    Source: onnx Changelog, ReduceLogSum-28 and ReduceLogSumExp-28; onnx's own converter refuses as well.
    """
    kind = edit.element(0)
    if kind is None or not kind.is_integer():
        return ""
    if not edit.options.cast_integers:
        raise edit.refuse(
            f"it takes no {kind.name} from opset 28 on, and how older versions rounded to integers is not specified",
            "opset28{cast-integers=true} computes in double and cuts off the fraction",
        )
    edit.set_input(0, edit.add("Cast", [edit.input(0)], {"to": ir.DataType.DOUBLE.value}, "double"))
    edit.wrap_output(0, lambda y: edit.add_after("Cast", [y], {"to": kind.value}, "integer"))
    return f"computed in double and cast back to {kind.name}, as asked"
