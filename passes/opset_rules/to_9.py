"""Rewrites that opset 9 makes necessary."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphfix.model import Scope
from graphfix_passes.opset_rules.edit import Edit, asks


@asks("types")
def batch_norm_spatial(edit: Edit) -> str:
    """``spatial`` is gone: statistics are per channel. Per-activation inference is written out.

    Source: onnx Changelog, BatchNormalization-7 ("If spatial is false, the dimensions of scale are (C x D1 x ... x Dn)") and -9.
    """
    spatial = edit.attribute("spatial", 1)
    edit.drop("spatial")
    if spatial:
        return ""
    if any(edit.used(i) for i in range(1, len(edit.node.outputs))):
        raise edit.refuse("spatial=0 in training mode has no form from opset 9 on")
    kind = edit.known_element(0, "epsilon must be a constant of it")
    x, scale, bias, mean, variance = (edit.input(i) for i in range(5))
    epsilon = edit.const(np.asarray(edit.attribute("epsilon", 1e-5)).astype(kind.numpy()), "epsilon")
    deviation = edit.add("Sqrt", [edit.add("Add", [variance, epsilon], None, "shifted")], None, "deviation")
    centred = edit.add("Sub", [x, mean], None, "centred")
    scaled = edit.add("Mul", [edit.add("Div", [centred, deviation], None, "normalized"), scale], None, "scaled")
    for name in ("epsilon", "momentum"):
        edit.drop(name)
    edit.node.op_type = "Add"
    edit.node.resize_inputs(2)
    edit.set_input(0, scaled)
    edit.set_input(1, bias)
    edit.node.resize_outputs(1)
    return "spatial=0: (X - mean) / sqrt(var + epsilon) * scale + B written out, with statistics per activation"


def upsample_scales(edit: Edit) -> str:
    """The scales are an input.

    Source: onnx Changelog, Upsample-9.
    """
    return "scales moved from an attribute to an input" if edit.move("scales", 1, dtype=ir.DataType.FLOAT) else ""


def scan_batch(edit: Edit) -> str:
    """Scan-8 runs over a batch and within each element over a sequence; Scan-9 runs over one axis. So one Scan-9 holds another.

    Source: onnx Changelog, Scan-8 (its pseudo-code: "for (int batch = 0; ...)") and Scan-9.
    """
    node = edit.node
    if edit.input(0) is not None:
        raise edit.refuse("sequence_lens gives each sequence its own length, which Scan has no way to say from opset 9 on")
    body = node.attributes["body"].as_graph()
    scanned = int(edit.attribute("num_scan_inputs"))
    given = list(node.inputs[1:])
    states = len(given) - scanned
    inside = [edit.value(formal.name, formal.type, formal.shape) for formal in body.inputs]
    for value in inside[states:]:
        if value.shape is not None:
            value.shape = ir.Shape([None, *value.shape])
    inner = ir.node("Scan", inside, attributes={"body": body, "num_scan_inputs": scanned}, num_outputs=len(node.outputs))
    inner.name = edit.fresh("per_sequence")
    if edit.given("directions"):
        inner.attributes["scan_input_directions"] = ir.AttrInt64s("scan_input_directions", edit.attribute("directions"))
        edit.drop("directions")
    for i, (made, declared) in enumerate(zip(inner.outputs, body.outputs, strict=True)):
        shape = declared.shape
        made.name, made.type = edit.fresh(declared.name or "out"), declared.type
        made.shape = ir.Shape([None, *shape]) if shape is not None and i >= states else shape
    outer = ir.Graph(inside, list(inner.outputs), nodes=[inner], name=edit.fresh("batch"))
    node.attributes["body"] = ir.AttrGraph("body", outer)
    edit.set("num_scan_inputs", len(given))
    node.resize_inputs(len(given))
    for i, outer_value in enumerate(given):
        node.replace_input_with(i, outer_value)
    edit.added.append((Scope(outer, edit.scope.owner, edit.scope.path, edit.scope.depth + 1), inner))
    return "one Scan over the batch, whose body scans each sequence as before"
