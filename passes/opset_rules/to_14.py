"""Rewrites that opset 14 makes necessary."""

from __future__ import annotations

from graphfix_passes.opset_rules.edit import Edit


def batch_norm_training(edit: Edit) -> str:
    """Training is asked for by ``training_mode``, no longer by naming more outputs; the saved statistics are gone.

    Source: onnx Changelog, BatchNormalization-9 and -14.
    """
    outputs = edit.node.outputs
    if edit.given("training_mode") or not any(value.name for value in outputs[1:]):
        return ""
    if edit.used(3) or edit.used(4):
        raise edit.refuse("saved_mean and saved_var are outputs no more, and something reads them")
    edit.node.resize_outputs(min(len(outputs), 3))
    edit.set("training_mode", 1)
    return "training_mode=1, which naming the statistics as outputs meant"
