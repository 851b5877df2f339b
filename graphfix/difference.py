"""How two models differ: header, interface, operators, nodes, types, weights. Weights are compared by type, shape and, if asked, bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from graphfix import inventory
from graphfix.model import Locator, operator, shape_text, walk


@dataclass(frozen=True)
class Difference:
    """One difference: in which part, where, what A has and what B has (empty: nothing)."""

    part: str
    where: str
    a: str
    b: str


def differences(a: ir.Model, b: ir.Model, *, weights: bool = False) -> Iterator[Difference]:
    """Every difference between two models, cheapest first.

    Args:
        a: One model.
        b: The other.
        weights: Also compare the bytes of weights that agree in type and shape.
    """
    left, right = inventory.take(a), inventory.take(b)
    yield from _rows("header", *({"IR version": str(side.ir_version), "producer": side.producer} for side in (left, right)))
    yield from _rows("opset", *({d or "default": str(v) for d, v in side.opsets.items()} for side in (left, right)))
    yield from _rows("interface", *({f"{d} {name}": f"{kind} {shape}" for d, name, kind, shape in s.interface} for s in (left, right)))
    yield from _rows("operators", *({f"{domain}::{op}": str(n) for domain, op, n in side.operators} for side in (left, right)))
    yield from _nodes(a, b)
    yield from _weights(a, b, weights)


def _rows(part: str, a: dict[str, str], b: dict[str, str]) -> Iterator[Difference]:
    for key in (*a, *(k for k in b if k not in a)):
        if a.get(key, "") != b.get(key, ""):
            yield Difference(part, key, a.get(key, ""), b.get(key, ""))


def _nodes(a: ir.Model, b: ir.Model) -> Iterator[Difference]:
    """Nodes are matched by the name of what they make first."""
    tables = []
    for model in (a, b):
        where = Locator(model).where
        rows: dict[str, tuple[str, str, str]] = {}
        for node in walk(model):
            key = next((v.name for v in node.outputs if v.name), None) or node.name or ""
            inputs = ", ".join(v.name or "" if v is not None else "" for v in node.inputs)
            attributes = ", ".join(f"{n}={_attribute(x)}" for n, x in sorted(node.attributes.items()))
            types = ", ".join(f"{v.dtype.name if v.dtype else '?'}{shape_text(v.shape)}" for v in node.outputs)
            rows[key] = (where(node), f"{operator(node)}({inputs}) {attributes}".strip(), types)
        tables.append(rows)
    left, right = tables
    for key in (*left, *(k for k in right if k not in left)):
        x, y = left.get(key), right.get(key)
        place = (x or y or ("", "", ""))[0]
        if x is None or y is None or x[1] != y[1]:
            yield Difference("node", place, x[1] if x else "", y[1] if y else "")
        elif x[2] != y[2]:
            yield Difference("type", place, x[2], y[2])


def _attribute(attr: ir.Attr) -> str:
    if attr.is_ref():
        return f"@{attr.ref_attr_name}"
    if attr.type == ir.AttributeType.TENSOR:
        tensor = attr.as_tensor()
        return f"{tensor.dtype.name}{list(tensor.shape.numpy())}" + (f" {tensor.numpy().tolist()}" if tensor.size <= 8 else "")
    if attr.type in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS}:
        return attr.type.name
    return str(attr.value)


def _weights(a: ir.Model, b: ir.Model, read: bool) -> Iterator[Difference]:
    left, right = ({n: v.const_value for n, v in m.graph.initializers.items()} for m in (a, b))
    for name in (*left, *(n for n in right if n not in left)):
        x, y = left.get(name), right.get(name)
        texts = [f"{t.dtype.name}{list(t.shape.numpy())}, {t.nbytes:,} bytes" if t is not None else "" for t in (x, y)]
        if texts[0] != texts[1]:
            yield Difference("weight", name, texts[0], texts[1])
        elif read and x is not None and y is not None and x.tobytes() != y.tobytes():
            yield Difference("weight", name, "other bytes", "other bytes")
