"""trt-types: element types and shapes of the ``trt`` operators' outputs."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Change, Context, Pass
from graphfix.element_types import element_types
from graphfix.facts.trt_ops import CONTRACTS, DOMAIN
from graphfix.model import dim_unknown, shape_text, walk


class TrtTypes(Pass):
    """Every output of a ``trt`` operator gets the element type and the shape that the operator defines.

    Why: ONNX Runtime's TensorRT-RTX EP registers its operators with outputs of undefined type, so the loader takes the types from the
    file alone. Exporters leave them UNDEFINED, or write UINT8 where FP8 is meant, and a wrong type passes every checker.

    Before: ``trt::TRT_FP4DynamicQuantize`` -> (UNDEFINED, UNDEFINED); ``trt::TRT_FP8QuantizeLinear`` -> UINT8.

    After: (FLOAT4E2M1 [.., K], FLOAT8E4M3FN [.., K/16]); FLOAT8E4M3FN. Decided by operator and port from the contract table, which
    onnx's own shape inference reads too; never by the names of tensors.

    Leaves alone: operators that the table does not know (``known-defects`` reports them), and dimensions that inference cannot improve.
    """

    name = "trt-types"
    summary = "Element types and shapes of TRT operators' outputs, by operator and port"
    after = ("opset", "fp4-qdq")

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each output whose type or shape was missing or wrong."""
        nodes = [node for node in walk(model) if node.domain == DOMAIN]
        if not nodes:
            return
        elements = element_types(model)
        shapes = ctx.types()
        for node in nodes:
            if node.op_type not in CONTRACTS:
                continue  # known-defects reports them
            for value in node.outputs:
                element = elements.get(value)
                if element is None:
                    ctx.note("GF004", node, f"the inputs do not determine the type of {value.name!r}")
                    continue
                inferred = shapes[value].shape if value in shapes else None
                yield from self._annotate(value, element, merge(value.shape, inferred), ctx)

    def _annotate(self, value: ir.Value, element: ir.DataType, shape: ir.Shape | None, ctx: Context) -> Iterable[Change]:
        before = value.dtype
        if before not in {None, element} and value in ctx.model.graph.outputs:
            ctx.note("GF023", value, f"the graph output is declared {before} and computed as {element}: the interface is not changed")
            return
        if before != element:
            value.type = ir.TensorType(element)
            yield ctx.change(
                value,
                "element type",
                before.name if before else "none",
                element.name,
                "the operator's contract for this port",
            )
        if shape is not None and (value.shape is None or shape_text(shape) != shape_text(value.shape)):
            yield ctx.change(value, "shape", shape_text(value.shape), shape_text(shape), "follows from input 0")
            value.shape = shape


def merge(declared: ir.Shape | None, inferred: ir.Shape | None) -> ir.Shape | None:
    """The inferred shape; where a dimension is unknown there, the declared one stays. Ranks that differ: the inferred one wins."""
    if inferred is None or declared is None or len(inferred) != len(declared):
        return declared if inferred is None else inferred
    return ir.Shape([old if dim_unknown(new) else new for old, new in zip(declared, inferred, strict=True)])
