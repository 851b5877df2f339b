"""The way down where a newer version only widened: the node must fit the older definition, and what says a default is dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import onnx.defs
import onnx_ir as ir
from onnx.defs import OpSchema

from graphfix_passes.opset_rules.edit import Edit, asks

# Attributes that matter only for types which the older definition lacks.
ONLY_FOR_NEWER_TYPES = frozenset(
    {("Cast", "round_mode"), ("Cast", "saturate"), ("CastLike", "round_mode"), ("CastLike", "saturate"), ("QuantizeLinear", "saturate")}
)
_OPTION = OpSchema.FormalParameterOption


@asks("types")
def narrow(edit: Edit) -> str:
    """Types, inputs, outputs and attributes are those that the older definition knows.

    Source: the two schemas of the row, in ``onnx.defs``.
    """
    node = edit.node
    old, new = onnx.defs.get_schema(node.op_type, edit.to), onnx.defs.get_schema(node.op_type, edit.to + 1)
    bound: dict[str, str] = {}
    for what, ports, newer, values in (
        ("input", old.inputs, new.inputs, node.inputs),
        ("output", old.outputs, new.outputs, node.outputs),
    ):
        for i, value, port in _pairs(edit, what, ports, values):
            tied = port.type_str if port.option != _OPTION.Variadic or port.is_homogeneous else f"{what} {i}"
            _fits(edit, f"{what} {port.name}", value, _types(old, port), _types(new, _port(newer, i) or port), tied, bound)
    required = [i for i, port in enumerate(old.inputs) if port.option == _OPTION.Single and edit.input(i) is None]
    if required:
        raise edit.refuse(f"input {old.inputs[required[0]].name} is left out, which opset {edit.to} does not allow")
    return _attributes(edit, old, new)


def _attributes(edit: Edit, old: OpSchema, new: OpSchema) -> str:
    dropped = []
    for name in [name for name in edit.node.attributes if name in new.attributes and name not in old.attributes]:
        if (edit.node.op_type, name) not in ONLY_FOR_NEWER_TYPES:
            value, default = edit.attribute(name), _default(new.attributes[name])
            if value != default:
                raise edit.refuse(f"{name} must have value {default} to be left out at opset {edit.to}, got {value}")
        edit.drop(name)
        dropped.append(name)
    missing = [n for n, a in old.attributes.items() if a.required and not edit.given(n)]
    if missing:
        raise edit.refuse(f"attribute {missing[0]} is required at opset {edit.to}")
    return f"{', '.join(dropped)} dropped: the default, or without effect on these types" if dropped else ""


def _default(attribute: OpSchema.Attribute) -> Any:
    if not attribute.default_value.name:
        return None
    value = onnx.helper.get_attribute_value(attribute.default_value)
    return value.decode() if isinstance(value, bytes) else value


def _port(ports: Sequence[OpSchema.FormalParameter], index: int) -> OpSchema.FormalParameter | None:
    if index < len(ports):
        return ports[index]
    return ports[-1] if ports and ports[-1].option == _OPTION.Variadic else None


def _pairs(
    edit: Edit, what: str, ports: Sequence[OpSchema.FormalParameter], values: Sequence[ir.Value | None]
) -> Iterator[tuple[int, ir.Value, OpSchema.FormalParameter]]:
    for i, value in enumerate(values):
        if value is None or not value.name:
            continue
        port = _port(ports, i)
        if port is None:
            raise edit.refuse(f"{what} {i} is not known to opset {edit.to}")
        yield i, value, port


def _types(schema: OpSchema, port: OpSchema.FormalParameter) -> set[str]:
    found = next((c.allowed_type_strs for c in schema.type_constraints if c.type_param_str == port.type_str), None)
    return set(found) if found is not None else {port.type_str}


def _fits(edit: Edit, what: str, value: ir.Value, old: set[str], new: set[str], variable: str, bound: dict[str, str]) -> None:
    kind = edit.type_string(value)
    if kind is None:
        if new - old:
            raise edit.refuse(f"the type of {what} is unknown, and opset {edit.to} has fewer types there", "declare it in value_info")
        return
    # A type that neither version lists is invalid as declared: not this step's doing.
    if kind in new and kind not in old:
        raise edit.refuse(f"{what} is {kind}, which opset {edit.to} does not have there")
    if kind in old and bound.setdefault(variable, kind) != kind and len(old) > 1 and _single(old):
        raise edit.refuse(f"{what} is {kind}, and another input or output of the same type at opset {edit.to} is {bound[variable]}")


def _single(types: set[str]) -> bool:
    return all(t.startswith("tensor(") for t in types)
