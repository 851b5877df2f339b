"""Which nodes have something to be done at which opset, up or down."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import onnx_ir as ir

from graphfix.facts import opsets
from graphfix.facts.opsets import NEWEST, OpsetChange
from graphfix.model import Owner, Scope
from graphfix_passes.opset_rules import DOWNGRADES, UPGRADES
from graphfix_passes.opset_rules.facts import Facts


class Plan:
    """The nodes under one list of imports, and which of them need a rewrite at which opset."""

    def __init__(self, owner: Owner, source: int, target: int, nodes: list[tuple[Scope, ir.Node]]) -> None:
        self.owner, self.source, self.target, self.nodes = owner, source, target, nodes
        self.up = target > source
        self.due: dict[int, list[tuple[Scope, ir.Node]]] = {}

    def steps(self) -> Iterator[tuple[int, int]]:
        """Each opset whose changes are taken or taken back, with the opset that its step arrives at."""
        if self.up:
            yield from ((at, at) for at in range(self.source + 1, self.target + 1))
        else:
            yield from ((at, at - 1) for at in range(self.source, self.target, -1))

    def schedule(self, scope: Scope, node: ir.Node, passed: int | None = None) -> None:
        """Note the next opset at which this node is more than compatible, beyond ``passed``."""
        if self.up:
            step = _next_step(node.op_type, self.source if passed is None else passed)
            if step <= self.target:
                self.due.setdefault(step, []).append((scope, node))
        else:
            step = opsets.version_at(node.op_type, self.source if passed is None else passed - 1)
            if step > self.target:
                self.due.setdefault(step, []).append((scope, node))


def prepare(plans: list[Plan], facts: Facts) -> None:
    """Let the types and shapes that rules will ask for be computed before the first edit."""
    types = shapes = False
    for plan in plans:
        for node in (node for places in plan.due.values() for _, node in places):
            asked = _asked(node.op_type, plan.source, plan.target)
            types |= "types" in asked
            shapes |= "shapes" in asked and any(v is not None and (v.shape is None or not v.shape.is_static()) for v in node.inputs)
    facts.prepare(types, shapes)


@cache
def _asked(op_type: str, source: int, target: int) -> frozenset[str]:
    crossed = [row for to, row in steps(op_type).items() if min(source, target) < to <= max(source, target)]
    rules = [UPGRADES.get(row.rule) if target > source else DOWNGRADES.get(row.down) for row in crossed]
    return frozenset[str]().union(*(getattr(rule, "asks", frozenset()) for rule in rules))


@cache
def _next_step(op_type: str, after: int) -> int:
    due = (to for to, row in steps(op_type).items() if to > after and row.verdict in {opsets.REWRITE, opsets.REFUSE})
    return min(due, default=NEWEST + 1)


@cache
def steps(op_type: str) -> dict[int, OpsetChange]:
    """The rows of an operator by the opset that changed it."""
    return {row.to: row for row in opsets.table().get(op_type, ())}


@cache
def proof(op_type: str, source: int, target: int) -> str:
    """Why a node that no rule touched means the same at the target."""
    rows = [row for to, row in steps(op_type).items() if min(source, target) < to <= max(source, target)]
    if target < source:
        widened = "; ".join(f"{row.to}: {row.difference}" for row in reversed(rows))
        return f"fits the older schema (newer: {widened})" if rows else f"same definition at {source} and {target}"
    if rows and rows[0].verdict == opsets.NEW:
        return f"{op_type} is defined from opset {rows[0].to} on: invalid as declared at {source}, valid now"
    widened = "; ".join(f"{row.to}: {row.difference}" for row in rows)
    return f"schema-compatible ({widened})" if rows else f"same definition at {source} and {target}"
