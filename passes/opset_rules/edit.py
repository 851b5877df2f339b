"""What a rule of the opset pass may do to the one node that it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphfix.base import Context
from graphfix.errors import PassError
from graphfix.model import DEFAULT_DOMAIN, Scope, constant
from graphfix_passes.opset_rules.facts import Facts

Rule = Callable[["Edit"], str]

# The element type of a Constant's value_int, value_ints, value_float and value_floats.
_CONSTANTS = {
    ir.AttributeType.INT: ir.DataType.INT64,
    ir.AttributeType.INTS: ir.DataType.INT64,
    ir.AttributeType.FLOAT: ir.DataType.FLOAT,
    ir.AttributeType.FLOATS: ir.DataType.FLOAT,
}


def asks(*what: str) -> Callable[[Rule], Rule]:
    """Mark a rule as asking for ``types`` or ``shapes``: they are then computed before the first edit of the model."""

    def mark(rule: Rule) -> Rule:
        rule.__dict__["asks"] = frozenset(what)
        return rule

    return mark


def _type_string(kind: ir.TypeProtocol | None) -> str | None:
    if isinstance(kind, ir.SequenceType):
        return f"seq({_type_string(kind.elem_type)})"
    if isinstance(kind, ir.OptionalType):
        return f"optional({_type_string(kind.elem_type)})"
    return None if kind is None else f"tensor({kind.dtype.name.lower()})"


class Edit:
    """One node in the hands of a rule.

    Attributes:
        node: The node; edit its attributes and inputs in place.
        scope: The graph, subgraph or function body that holds it.
        to: The opset of this step.
        options: The options of the opset pass.
        stale: Values whose declared shapes the rule has made doubtful.
        added: Nodes that the rule has made, written for opset ``to``, with where they are.
    """

    def __init__(self, node: ir.Node, scope: Scope, to: int, ctx: Context, facts: Facts, options: Any) -> None:
        self.node, self.scope, self.to, self.options = node, scope, to, options
        self._ctx, self._facts = ctx, facts
        self.stale: list[ir.Value] = []
        self.added: list[tuple[Scope, ir.Node]] = []
        self._last = node

    def input(self, index: int) -> ir.Value | None:
        """Input ``index``; None where absent or left out."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def element(self, index: int) -> ir.DataType | None:
        """The element type of input ``index``, None where unknown."""
        value = self.input(index)
        return None if value is None else self._facts.element(value)

    def known_element(self, index: int, why: str) -> ir.DataType:
        """The element type of input ``index``.

        Raises:
            PassError: Nothing says what it is; ``why`` completes the reason.
        """
        found = self.element(index)
        if found is None:
            raise self.refuse(
                f"the type of input {index} is unknown, and {why}",
                "declare it in value_info, or inline the function (onnx.inliner.inline_local_functions)",
            )
        return found

    def rank(self, index: int) -> int | None:
        """The number of dimensions of input ``index``, None where unknown."""
        shape = self.shape(index)
        return None if shape is None else len(shape)

    def type_string(self, value: ir.Value) -> str | None:
        """A value's type as schemas write it, ``tensor(float)``; None where unknown."""
        if isinstance(value.type, ir.SequenceType | ir.OptionalType):
            return _type_string(value.type)
        kind = self._facts.element(value)
        if kind is not None:
            return f"tensor({kind.name.lower()})"
        found = self._facts.full.get(value)
        return _type_string(found.type) if found is not None else None

    def used(self, index: int) -> bool:
        """Whether anything reads output ``index``."""
        if index >= len(self.node.outputs):
            return False
        value = self.node.outputs[index]
        return bool(value.uses()) or any(value is out for out in self.scope.body.outputs)

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
            PassError: It refers to an attribute of the function, and calls do not agree on its value.
        """
        attr = self.node.attributes.get(name)
        if attr is None or not attr.is_ref():
            return default if attr is None else attr.value
        values = self._facts.given_by_calls(self.scope.owner, attr.ref_attr_name or "")
        if len(values) == 1:
            (value,) = values
            return default if value is None else value
        raise self.refuse(
            f"attribute {attr.name} refers to the function's {attr.ref_attr_name}, whose value calls do not agree on",
            "inline the function first (onnx.inliner.inline_local_functions)",
        )

    def given(self, name: str) -> bool:
        """Whether the node has the attribute, by value or by reference."""
        return name in self.node.attributes

    def move(self, name: str, index: int, *, dtype: ir.DataType = ir.DataType.INT64, scalar: bool = False) -> bool:
        """Turn an attribute into input ``index``, as ``dtype``; False where the node does not have it.

        A number becomes a tensor of one element, or without dimensions if ``scalar``. A reference to the function's attribute stays one.
        """
        attr = self.node.attributes.get(name)
        if attr is None:
            return False
        if attr.is_ref():
            self.set_input(index, self._referred(attr, dtype, scalar))
        else:
            plain = attr.value if scalar or attr.type in {ir.AttributeType.INTS, ir.AttributeType.FLOATS} else [attr.value]
            self.set_input(index, self.const(np.asarray(plain).astype(dtype.numpy()), name))
        self.drop(name)
        return True

    def _referred(self, attr: ir.Attr, dtype: ir.DataType, scalar: bool) -> ir.Value:
        """A Constant that refers to the function's attribute, which works from opset 12 on and where every call gives the attribute."""
        natural = _CONSTANTS.get(attr.type)
        name = attr.ref_attr_name or ""
        hint = "inline the function first (onnx.inliner.inline_local_functions)"
        if natural is None or max(self.to, self.options.target) < 12:
            raise self.refuse(f"attribute {attr.name} refers to the function's {name}, which cannot become an input", hint)
        if None in self._facts.given_by_calls(self.scope.owner, name):
            raise self.refuse(f"attribute {attr.name} refers to the function's {name}, which a call leaves out", hint)
        key = f"value_{attr.type.name.lower()}"
        value = self.add("Constant", [], {key: ir.RefAttr(key, name, attr.type)}, attr.name)
        if attr.type in {ir.AttributeType.INT, ir.AttributeType.FLOAT} and not scalar:
            value = self.add("Reshape", [value, self.ints([1], f"{attr.name}_one")], None, f"{attr.name}_list")
        return value if dtype == natural else self.add("Cast", [value], {"to": dtype.value}, f"{attr.name}_typed")

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
        tensor = np.asarray(array)
        kind = ir.DataType.from_numpy(tensor.dtype)
        if max(self.to, self.options.target) < 9 and kind.is_integer():  # Constant-1 holds floats only
            to = kind.value if self.to >= 6 else kind.name
            return self.add("Cast", [self.const(tensor.astype(np.float64), f"{stem}_double")], {"to": to}, stem)
        return self.add("Constant", [], {"value": ir.AttrTensor("value", ir.Tensor(tensor, dtype=kind))}, stem)

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
        """A node of the default domain behind this one and what was added there before; returns its only output."""
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
        given = [
            value if isinstance(value, ir.Attr) else ir.convenience.convert_attribute(key, value)
            for key, value in (attributes or {}).items()
        ]
        new = ir.Node(DEFAULT_DOMAIN, op_type, inputs, given, name=name)
        new.outputs[0].name = self._ctx.names.fresh(f"{name}_out")
        body = self.scope.body
        if before:
            body.insert_before(self.node, new)
        else:
            body.insert_after(self._last, new)
            self._last = new
        self.added.append((self.scope, new))
        return new.outputs[0]

    def fresh(self, stem: str) -> str:
        """A name that no scope uses yet."""
        return self._ctx.names.fresh(stem)

    def value(self, stem: str | None, kind: ir.TypeProtocol | None, shape: ir.Shape | None) -> ir.Value:
        """A value that no node makes: an input of a new subgraph."""
        return ir.Value(name=self.fresh(stem or "in"), type=kind, shape=shape)

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
        old.type, old.shape = None, None
        result.name, result.type, result.shape = name, kind, shape
        result.doc_string, old.doc_string = old.doc_string, None
        for moved, source in ((result.metadata_props, old.metadata_props), (result.meta, old.meta)):
            moved.update(source)
            source.clear()
        self._facts.adopt(result, old)
        for user, position in users:
            user.replace_input_with(position, result)
        for i in outputs:
            self.scope.body.outputs[i] = result

    def refuse(self, why: str, hint: str = "") -> PassError:
        """The error to raise where this node cannot be carried over exactly."""
        return self._ctx.refuse(self.node, f"to migrate {self.node.op_type} to opset {self.to}", why, hint)
