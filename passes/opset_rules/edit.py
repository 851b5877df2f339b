"""What a rule of the opset pass may do to the one node that it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import onnx_ir as ir

from graphfix.base import Context
from graphfix.element_types import Types, element_types
from graphfix.errors import PassError
from graphfix.inference import Types as FullTypes
from graphfix.model import DEFAULT_DOMAIN, Scope, constant


class Facts:
    """Types and shapes of the model, computed when a rule first asks, before the step that asks edits anything it depends on."""

    def __init__(self, model: ir.Model, ctx: Context) -> None:
        self._model, self._ctx = model, ctx

    @cached_property
    def elements(self) -> Types:
        """Element types by the operators' schemas, in functions too."""
        return element_types(self._model)

    @cached_property
    def full(self) -> FullTypes:
        """Types and shapes by onnx's shape inference."""
        return self._ctx.types()


class Edit:
    """One node in the hands of a rule.

    Attributes:
        node: The node; edit its attributes and inputs in place.
        scope: The graph, subgraph or function body that holds it.
        to: The opset of this step.
        options: The options of the opset pass.
    """

    def __init__(self, node: ir.Node, scope: Scope, to: int, ctx: Context, facts: Facts, options: Any) -> None:
        self.node, self.scope, self.to, self.options = node, scope, to, options
        self._ctx, self._facts = ctx, facts
        self.stale: list[ir.Value] = []

    def input(self, index: int) -> ir.Value | None:
        """Input ``index``; None where absent or left out."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def element(self, index: int) -> ir.DataType | None:
        """The element type of input ``index``, None where unknown."""
        value = self.input(index)
        if value is None:
            return None
        found = self._facts.elements.get(value)
        return found if found is not None else value.dtype

    def shape(self, index: int) -> ir.Shape | None:
        """The shape of input ``index``; None where not even the rank is known."""
        value = self.input(index)
        if value is None:
            return None
        if value.shape is not None and value.shape.is_static():
            return value.shape
        found = self._facts.full.get(value)
        return found.shape if found is not None and found.shape is not None else value.shape

    def dim(self, index: int, axis: int) -> int | None:
        """One dimension of input ``index`` if it is a known number."""
        shape = self.shape(index)
        if shape is None or not -len(shape) <= axis < len(shape):
            return None
        found = shape[axis]
        return found if isinstance(found, int) else None

    def constant(self, index: int) -> np.ndarray | None:
        """The array behind input ``index`` if nothing can override it."""
        return constant(self.input(index))

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value, ``default`` where absent.

        Raises:
            PassError: It is a reference to an attribute of the function, whose value only each call knows.
        """
        attr = self.node.attributes.get(name)
        if attr is None:
            return default
        if attr.is_ref():
            raise self.refuse(
                f"attribute {name} refers to the function's {attr.ref_attr_name}, and the rewrite needs its value",
                "inline the function first (onnx.inliner.inline_local_functions)",
            )
        return attr.value

    def set(self, name: str, value: Any) -> None:
        """Set an attribute (int, float, str or a list of them)."""
        self.node.attributes[name] = ir.convenience.convert_attribute(name, value)

    def drop(self, name: str) -> None:
        """Remove an attribute if it is there."""
        self.node.attributes.pop(name, None)

    def set_input(self, index: int, value: ir.Value | None) -> None:
        """Put ``value`` at input ``index``, with left-out inputs before it as needed."""
        if index >= len(self.node.inputs):
            self.node.resize_inputs(index + 1)
        self.node.replace_input_with(index, value)

    def const(self, array: np.ndarray, stem: str) -> ir.Value:
        """A Constant node before this one; ``stem`` completes its name."""
        return self.add("Constant", [], {"value": ir.tensor(np.asarray(array))}, stem)

    def ints(self, values: Sequence[int] | int, stem: str) -> ir.Value:
        """An int64 Constant before this node."""
        return self.const(np.asarray(values, np.int64), stem)

    def add(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        stem: str = "",
    ) -> ir.Value:
        """A node of the default domain before this one; returns its only output."""
        return self._new(op_type, inputs, attributes, stem, before=True)

    def add_after(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        stem: str = "",
    ) -> ir.Value:
        """A node of the default domain right behind this one; returns its only output."""
        return self._new(op_type, inputs, attributes, stem, before=False)

    def _new(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None,
        stem: str,
        before: bool,
    ) -> ir.Value:
        base = self.node.name or next((v.name for v in self.node.outputs if v.name), None) or self.node.op_type
        name = self._ctx.names.fresh(f"{base}_{stem or op_type}")
        new = ir.node(op_type, inputs, attributes=attributes, domain=DEFAULT_DOMAIN, name=name)
        new.outputs[0].name = self._ctx.names.fresh(f"{name}_out")
        body = self.scope.body
        (body.insert_before if before else body.insert_after)(self.node, new)
        return new.outputs[0]

    def wrap_output(self, index: int, build: Callable[[ir.Value], ir.Value]) -> None:
        """Compute output ``index`` from a new value of this node: ``build`` adds nodes behind it and returns the result.

        The result takes over the output's name, so that graph outputs and captured values keep theirs.
        """
        old = self.node.outputs[index]
        name, kind, shape = old.name, old.type, old.shape
        users = tuple(old.uses())
        outputs = [i for i, v in enumerate(self.scope.body.outputs) if v is old]
        result = build(old)
        old.name = self._ctx.names.fresh(f"{name}_inner")
        old.shape = None
        result.name, result.type, result.shape = name, kind, shape
        for user, position in users:
            user.replace_input_with(position, result)
        for i in outputs:
            self.scope.body.outputs[i] = result

    def refuse(self, why: str, hint: str = "") -> PassError:
        """The error to raise where this node cannot be carried over exactly."""
        return self._ctx.refuse(self.node, f"to migrate {self.node.op_type} to opset {self.to}", why, hint)
