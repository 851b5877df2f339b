"""exporter-casts: Casts that an exporter put in or took out, against the types of the graph around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx_ir as ir

from graphfix.base import Change, Context, Pass
from graphfix.element_types import FLOATS, QDQ, Conflict, comes_from_dequantize, element_types
from graphfix.model import DEFAULT_DOMAIN, constant, tensor_type
from graphfix_passes.build import Build

DT = ir.DataType
NARROW = frozenset({DT.FLOAT16, DT.BFLOAT16})
# ModelOpt's INT4 exporter deletes Casts to float32 behind these (modelopt/onnx/export/int4_exporter.py, post_process).
LOSES_CASTS = frozenset({"Transpose", "Reshape", "Sqrt", "Add", "Gelu"})


class ExporterCasts(Pass):
    """A Cast to half precision between float32 operators goes; a Cast to float32 that was deleted comes back.

    Why: ModelOpt's MXFP8 exporter puts a Cast to float16 behind every Sqrt, also where the RMSNorm around it is float32 (SD3.5, Flux), and
    its INT4 exporter deletes Casts to float32. ONNX Runtime answers
    ``Type parameter (T) of Optype (Div) bound to different types (tensor(float) and tensor(float16))``.

    Before: ``Div(FLOAT, Cast{to=FLOAT16}(Sqrt(FLOAT)))``; ``Div(FLOAT, Sqrt(FLOAT16))``.

    After: ``Div(FLOAT, Sqrt(FLOAT))``; ``Div(FLOAT, Cast{to=FLOAT}(Sqrt(FLOAT16)))``. Only where two operands that must be of one type are
    not, one of them float32: the first if the other is a Cast from float32; the second if the other is declared float32, or comes from
    an operator behind which the exporter deletes Casts. A constant in another float type than what it meets (Flux's rotary frequencies)
    is stored in that type.

    Leaves alone: operators whose operands agree; operands from a DequantizeLinear (``fp4-qdq`` decides those). Refused by name: operands
    that disagree where nothing proves which Cast is missing.
    """

    name = "exporter-casts"
    summary = "Casts that exporters put in or deleted against the types around them"
    after = ("opset", "fp4-weights", "int4-native", "mxfp8")

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each Cast that was bypassed or put back."""
        repair = _Repair(ctx)
        element_types(model, resolve=repair)
        yield from repair.changes


class _Repair:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._casts: dict[ir.Value, ir.Value] = {}
        self._build = Build(ctx)
        self.changes: list[Change] = []

    def __call__(self, conflict: Conflict) -> ir.DataType | None:
        node, found = conflict.node, {conflict.wanted, conflict.found}
        if not found <= FLOATS or node.op_type in QDQ:
            return None
        value, first = node.inputs[conflict.index], node.inputs[0]
        # fp4-qdq will cast an operand that comes out of a DequantizeLinear to the type of the other.
        if value is not None and comes_from_dequantize(value):
            return conflict.wanted
        if first is not None and comes_from_dequantize(first):
            return conflict.found
        before = [i for i in range(conflict.index) if node.inputs[i] is not None]
        if DT.FLOAT in found and found & NARROW:
            narrow = [conflict.index] if conflict.found in NARROW else before
            if all(self._mend(node, index, conflict.known) for index in narrow):
                return DT.FLOAT
        for indices, kind in (([conflict.index], conflict.wanted), (before, conflict.found)):
            arrays = [array for i in indices if (array := constant(node.inputs[i])) is not None]
            if len(arrays) == len(indices):
                for index, array in zip(indices, arrays, strict=True):
                    node.replace_input_with(index, self._build.at(node, "retyped").constant(array, kind))
                    why = "a constant meets operands of that type only"
                    self.changes.append(
                        self._ctx.change(node, f"constant operand {index}", "/".join(sorted(k.name for k in found)), kind.name, why)
                    )
                return kind
        kinds = " and ".join(sorted(kind.name for kind in found))
        raise self._ctx.refuse(
            node,
            f"operands of types {kinds}",
            f"input {conflict.index} disagrees with those before it, and nothing proves where a Cast is missing",
            "export the model again without the exporter's own post-processing",
        )

    def _mend(self, node: ir.Node, index: int, known: Mapping[ir.Value, ir.DataType]) -> bool:
        value = node.inputs[index]
        assert value is not None
        producer = value.producer()
        if producer is None or producer.domain != DEFAULT_DOMAIN:
            return False
        source = producer.inputs[0] if producer.op_type == "Cast" else None
        if source is not None and DT.FLOAT in {known.get(source), tensor_type(source)}:
            node.replace_input_with(index, source)
            self.changes.append(self._ctx.change(node, "Cast bypassed", "FLOAT16", "FLOAT", "both sides of the Cast are float32"))
            if not value.uses() and not value.is_graph_output() and producer.graph is not None:
                producer.graph.remove(producer, safe=True)
            return True
        if tensor_type(value) == DT.FLOAT or producer.op_type in LOSES_CASTS:
            node.replace_input_with(index, self._back(value, producer))
            return True
        return False

    def _back(self, value: ir.Value, producer: ir.Node) -> ir.Value:
        if value not in self._casts:
            ctx, stem = self._ctx, f"{value.name}_float"
            cast = ir.node("Cast", [value], attributes={"to": DT.FLOAT.value}, name=ctx.names.fresh(f"{stem}_Cast"))
            output = cast.outputs[0]
            output.name, output.type, output.shape = ctx.names.fresh(stem), ir.TensorType(DT.FLOAT), value.shape
            assert producer.graph is not None
            producer.graph.insert_after(producer, cast)
            self._casts[value] = output
            self.changes.append(ctx.change(producer, "Cast put back", "FLOAT16", "FLOAT", "what it makes meets float32 operands"))
        return self._casts[value]
