"""What rules ask about the model: types, shapes, and how local functions are called."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import onnx_ir as ir

from graphfix.base import Context
from graphfix.element_types import Types, element_types
from graphfix.inference import Types as FullTypes
from graphfix.model import Owner, walk

# Operators whose output has the element type of input 0, for values that rules have made.
_KEEPS_TYPE = frozenset(
    {"Add", "Expand", "Flatten", "Gather", "Max", "Min", "Mul", "Reshape", "Resize", "Slice", "Squeeze", "Sub", "Transpose", "Unsqueeze"}
)


class Facts:
    """Types and shapes of the model as it was declared, before any rule edited it (`prepare` computes them ahead of the first edit)."""

    def __init__(self, model: ir.Model, ctx: Context) -> None:
        self._model, self._ctx = model, ctx

    def prepare(self, types: bool, shapes: bool) -> None:
        """Compute now what rules will ask for, while every node still is what its opset says."""
        if types:
            _ = self.elements
        if shapes:
            _ = self.full

    @cached_property
    def elements(self) -> Types:
        """Element types by the operators' schemas, in functions too."""
        return element_types(self._model)

    @cached_property
    def full(self) -> FullTypes:
        """Types and shapes by onnx's shape inference."""
        return self._ctx.types()

    @cached_property
    def _calls(self) -> dict[tuple[str, str, str], list[ir.Node]]:
        found: dict[tuple[str, str, str], list[ir.Node]] = {key: [] for key in self._model.functions}
        for node in walk(self._model):
            key = node.op_identifier()
            if key in found:
                found[key].append(node)
        return found

    def given_by_calls(self, owner: Owner, name: str) -> set[Any]:
        """The values of a local function's attribute that its calls give; None for a call that leaves it out and has no default.

        A call that passes on a reference counts as a value of its own.
        """
        if not isinstance(owner, ir.Function):
            return set()
        default = owner.attributes.get(name)
        otherwise = None if default is None else default.value
        given = [call.attributes.get(name) for call in self._calls[owner.identifier()]]
        return {otherwise if attr is None else attr if attr.is_ref() else attr.value for attr in given}

    def element(self, value: ir.Value) -> ir.DataType | None:
        """The element type of a value, also of one that a rule has made; None where unknown."""
        found = self.elements.get(value)
        if found is not None:
            return found
        if value.dtype is not None:
            return value.dtype
        producer = value.producer()
        if producer is None or producer.domain:
            return None
        if producer.op_type == "Cast" and (to := producer.attributes.get("to")) is not None and not to.is_ref():
            return ir.DataType(to.as_int())
        if producer.op_type in _KEEPS_TYPE and producer.inputs[0] is not None:
            return self.element(producer.inputs[0])
        return None

    def adopt(self, new: ir.Value, old: ir.Value) -> None:
        """What was known about ``old`` now is about ``new``, which takes its place."""
        if old in self.elements:
            self.elements[new] = self.elements[old]
