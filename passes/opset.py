"""opset: migrate every node of the default domain from its opset to another, with a reason for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import onnx_ir as ir

from graphfix.base import Change, Context, Pass, documented
from graphfix.facts import opsets
from graphfix.facts.opsets import IR_VERSION, NEWEST, OLDEST, OpsetChange
from graphfix.model import ALIAS, DEFAULT_DOMAIN, Owner, Scope, opset_version, scopes, shape_text
from graphfix_passes.opset_rules import UPGRADES
from graphfix_passes.opset_rules.edit import Edit
from graphfix_passes.opset_rules.facts import Facts


@dataclass(frozen=True)
class Options:
    """``opset{target=23}``; ``opset23`` is the same."""

    target: int = documented(23, "the opset to migrate to")
    cast_integers: bool = documented(
        False, "ReduceLogSum and ReduceLogSumExp of integers, gone at 28: compute in double, cut off the fraction"
    )
    precision: bool = documented(True, "give QuantizeLinear `precision` so that results stay bit-identical in ONNX Runtime")


class Opset(Pass):
    """Every node of the default domain moves to another opset, each with the reason why it still means the same.

    Why: FP4 needs opset 23, and ModelOpt exports diffusion backbones at 20. Rewriting only ``opset_import`` relabels nodes whose meaning
    changed on the way: GroupNormalization at 21, QuantizeLinear at 23.

    Before: a node valid at the old opset, in any graph, subgraph or local function (each by its own imports).

    After: the node as it is where a table of all schemas says that its definition only widened; rewritten by a named rule where it changed;
    ``opset_import`` and the IR version to match. ``QuantizeLinear`` with a scale other than float32 gets ``precision=FLOAT``, because ONNX
    Runtime divides in float32 up to opset 22. (onnx's reference evaluator divides in the scale's type at every opset, so under it the
    attribute looks like a change: the runtime that models were deployed on is the measure.)

    Leaves alone: other domains, attributes it does not know, models that are invalid as declared. An operator without a proven path is
    refused by name and nothing is written.
    """

    name = "opset"
    summary = "Migrate every node to another opset, with a reason for each (opset23, opset24...)"
    Options = Options
    suffix = "target"

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for every node whose opset changed, one for each import, one for the IR version."""
        target = self.options.target
        if not OLDEST <= target <= NEWEST:
            raise ctx.refuse(model, f"target opset {target}", f"the table covers opsets {OLDEST} to {NEWEST}")
        owners: dict[int, list[Scope]] = {}
        for scope in scopes(model):
            owners.setdefault(id(scope.owner), []).append(scope)
        facts, stale = Facts(model, ctx), list[ir.Value]()
        plans = [plan for group in owners.values() if (plan := self._plan(group, ctx)) is not None]
        _prepare(plans, facts)
        for plan in plans:
            yield from self._migrate(plan, ctx, facts, stale)
        canonical = IR_VERSION[target]
        if model.ir_version is None or model.ir_version < canonical:
            yield ctx.change(model, "IR version", model.ir_version, canonical, f"opset {target} came with IR {canonical}")
            model.ir_version = canonical
        yield from _refresh(stale, ctx)

    def _plan(self, group: list[Scope], ctx: Context) -> _Plan | None:
        """What has to be done for a main graph or a function, with all its subgraphs; None for nothing."""
        owner, target = group[0].owner, self.options.target
        source = opset_version(owner.opset_imports)
        nodes = [(scope, node) for scope in group for node in scope.body if node.domain == DEFAULT_DOMAIN]
        if source is None and not nodes:
            return None
        if source is None or source < OLDEST:
            raise ctx.refuse(
                owner,
                f"to migrate from opset {source}",
                "nothing says which opset these nodes are of" if source is None else f"the table begins at opset {OLDEST}",
            )
        if source == target:
            return None
        if source > target:
            raise ctx.refuse(owner, f"to go down from opset {source} to {target}", "newer definitions have no exact older form here")
        plan = _Plan(owner, source, target, nodes)
        for scope, node in nodes:
            if not _steps(node.op_type):
                raise ctx.refuse(
                    node,
                    f"to migrate {node.op_type}",
                    "the default domain has no such operator",
                    "give the node its own domain, or replace it (`graphfix inspect` lists operators by domain)",
                )
            plan.schedule(scope, node, source)
        return plan

    def _migrate(self, plan: _Plan, ctx: Context, facts: Facts, stale: list[ir.Value]) -> Iterator[Change]:
        reasons: dict[int, list[str]] = {}
        places: dict[int, str] = {}
        before = {id(node): (node.op_type, opsets.version_at(node.op_type, plan.source)) for _, node in plan.nodes}
        for to in range(plan.source + 1, plan.target + 1):
            for scope, node in plan.due.pop(to, ()):
                row = _steps(node.op_type)[to]
                if row.verdict == opsets.REFUSE:
                    raise ctx.refuse(node, f"to migrate {node.op_type} from opset {to - 1} to {to}", f"{row.difference} (see {row.source})")
                edit = Edit(node, scope, to, ctx, facts, self.options)
                places.setdefault(id(node), ctx.where(node))
                reason = UPGRADES[row.rule](edit)
                stale.extend(edit.stale)
                if reason:
                    reasons.setdefault(id(node), []).append(f"rewritten at {to} by {row.rule}: {reason}")
                for held, made in ((scope, node), *edit.added):
                    plan.schedule(held, made, to)
        rewritten, kept = list[Change](), list[Change]()
        for _, node in plan.nodes:
            op_type, old = before[id(node)]
            new = opsets.version_at(node.op_type, plan.target)
            if not new:
                first = next(iter(_steps(node.op_type)))
                raise ctx.refuse(node, f"to migrate {node.op_type} to opset {plan.target}", f"it is defined from opset {first} on")
            why = reasons.get(id(node))
            (rewritten if why else kept).append(
                Change(
                    places.get(id(node)) or ctx.where(node),
                    "rewrite" if why else "operator version",
                    f"{op_type}-{old}",
                    f"{node.op_type}-{new}",
                    "; ".join(why) if why else _proof(op_type, plan.source, plan.target),
                )
            )
        yield from rewritten
        yield from kept
        yield from _set_version(plan.owner, plan.source, plan.target, ctx)


class _Plan:
    """The nodes under one list of imports, and which of them need a rewrite at which opset."""

    def __init__(self, owner: Owner, source: int, target: int, nodes: list[tuple[Scope, ir.Node]]) -> None:
        self.owner, self.source, self.target, self.nodes = owner, source, target, nodes
        self.due: dict[int, list[tuple[Scope, ir.Node]]] = {}

    def schedule(self, scope: Scope, node: ir.Node, after: int) -> None:
        """Note the next opset above ``after`` at which this node is more than compatible."""
        step = _next_step(node.op_type, after)
        if step <= self.target:
            self.due.setdefault(step, []).append((scope, node))


def _prepare(plans: list[_Plan], facts: Facts) -> None:
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
    rules = [UPGRADES[row.rule] for to, row in _steps(op_type).items() if row.verdict == opsets.REWRITE and source < to <= target]
    return frozenset[str]().union(*(getattr(rule, "asks", frozenset()) for rule in rules))


@cache
def _next_step(op_type: str, after: int) -> int:
    due = (to for to, row in _steps(op_type).items() if to > after and row.verdict in {opsets.REWRITE, opsets.REFUSE})
    return min(due, default=NEWEST + 1)


@cache
def _steps(op_type: str) -> dict[int, OpsetChange]:
    return {row.to: row for row in opsets.table().get(op_type, ())}


@cache
def _proof(op_type: str, source: int, target: int) -> str:
    rows = [row for to, row in _steps(op_type).items() if source < to <= target]
    if rows and rows[0].verdict == opsets.NEW:
        return f"{op_type} is defined from opset {rows[0].to} on: invalid as declared at {source}, valid now"
    widened = "; ".join(f"{row.to}: {row.difference}" for row in rows)
    return f"schema-compatible ({widened})" if rows else f"same definition at {source} and {target}"


def _set_version(owner: Owner, source: int, target: int, ctx: Context) -> Iterator[Change]:
    imports = owner.opset_imports
    key = DEFAULT_DOMAIN if DEFAULT_DOMAIN in imports or ALIAS not in imports else ALIAS
    imports[key] = target
    yield ctx.change(owner, f"import {key!r}", source, target, "every node above has a proven path")


def _refresh(stale: list[ir.Value], ctx: Context) -> Iterator[Change]:
    """Infer the shapes of values behind ``stale`` again, where they were declared."""
    seen: set[ir.Value] = set()
    pending = list(stale)
    while pending:
        value = pending.pop()
        if value not in seen:
            seen.add(value)
            pending.extend(out for user in value.consumers() for out in user.outputs)
    declared = [value for value in seen if value.shape is not None and value.producer() is not None]
    if not declared:
        return
    types = ctx.types()
    for value in sorted(declared, key=lambda v: v.name or ""):
        shape = types[value].shape if value in types else None
        if shape_text(shape) != shape_text(value.shape):
            yield ctx.change(value, "shape", shape_text(value.shape), shape_text(shape), "inferred again at the new opset")
            value.shape = shape
