"""annotations: declared types and shapes of intermediate values that the operators contradict."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Change, Context, Pass
from graphfix.element_types import element_types
from graphfix.facts.trt_ops import DOMAIN
from graphfix.model import scopes, shape_text, tensor_type
from graphfix_passes.trt_types import merge


class Annotations(Pass):
    """Annotations that contradict the operators are replaced by what the operators compute.

    Why: exporters that rewire a graph leave the annotations of what was there before, and ONNX Runtime refuses such a file
    (``Inferred shape and existing shape differ in dimension 0: (128) vs (512)``).

    Before: ``MatMul([2,32,128], [128,512])`` annotated ``[2,32,128]``; FLOAT16 annotated where FLOAT is computed.

    After: the inferred element type and shape. Names of dimensions that agree with the inferred ones stay.

    Leaves alone: annotations that are merely less precise, graph inputs and outputs (a contradiction there is a finding), ``trt``
    operators' outputs (``trt-types`` decides those). Annotations of values that no node makes are dropped when a model is read.
    """

    name = "annotations"
    summary = "Declared types and shapes that contradict the operators are inferred again"
    after = ("opset", "fp4-weights", "int4-native", "mxfp8", "exporter-casts", "fp4-qdq")

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each contradicted annotation."""
        elements, inferred = element_types(model), ctx.types()
        for scope in scopes(model):
            for node in scope.body:
                if node.domain == DOMAIN:
                    continue
                for value in node.outputs:
                    true, declared = elements.get(value), tensor_type(value)
                    shape = inferred[value].shape if value in inferred else None
                    wrong_type = true is not None and declared is not None and true != declared
                    wrong_shape = contradicts(value.shape, shape)
                    if value.is_graph_output() and (wrong_type or wrong_shape):
                        computed = f"{true.name if true else '?'} {shape_text(shape)}"
                        given = f"{declared.name if declared else '?'} {shape_text(value.shape)}"
                        ctx.note("GF023", value, f"the output is declared {given} and computed as {computed}")
                        continue
                    if wrong_type and true is not None and declared is not None:
                        value.type = ir.TensorType(true)
                        yield ctx.change(value, "element type", declared.name, true.name, "what the operator computes")
                    if wrong_shape:
                        new = merge(None, shape)
                        yield ctx.change(value, "shape", shape_text(value.shape), shape_text(new), "what the operator computes")
                        value.shape = new


def contradicts(declared: ir.Shape | None, inferred: ir.Shape | None) -> bool:
    """Whether no tensor can have both shapes."""
    if declared is None or inferred is None:
        return False
    if len(declared) != len(inferred):
        return True
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(declared, inferred, strict=True))
