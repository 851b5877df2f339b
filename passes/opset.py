"""opset: migrate every node of the default domain from its opset to another, with a reason for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from graphfix.base import Change, Context, Pass, documented
from graphfix.facts import opsets
from graphfix.facts.opsets import IR_VERSION, NEWEST, OLDEST
from graphfix.model import ALIAS, DEFAULT_DOMAIN, Owner, Scope, opset_version, scopes
from graphfix_passes.opset_rules import DOWNGRADES, UPGRADES
from graphfix_passes.opset_rules.after import oldest, refresh, warn
from graphfix_passes.opset_rules.edit import Edit
from graphfix_passes.opset_rules.facts import Facts
from graphfix_passes.opset_rules.plan import Plan, prepare, proof, steps

REWRITE = "rewrite"  # what `--diff` prints node by node


@dataclass(frozen=True)
class Options:
    """``opset{target=23}``; ``opset23`` is the same."""

    target: int = documented(23, "the opset to migrate to")
    cast_integers: bool = documented(
        False, "ReduceLogSum and ReduceLogSumExp of integers, gone at 28: compute in double, cut off the fraction"
    )
    precision: bool = documented(True, "give QuantizeLinear `precision` so that results stay bit-identical in ONNX Runtime")


class Opset(Pass):
    """Every node of the default domain moves to another opset, up or down, each with the reason why it still means the same.

    Why: FP4 needs opset 23, and ModelOpt exports diffusion backbones at 20. Rewriting only ``opset_import`` relabels nodes whose meaning
    changed on the way: GroupNormalization at 21, QuantizeLinear at 23.

    Before: a node valid at the old opset, in any graph, subgraph or local function (each by its own imports).

    After: the node as it is where a table of all schemas says that its definition only widened; rewritten by a named rule where it changed;
    ``opset_import`` and the IR version to match. ``QuantizeLinear`` with a scale other than float32 gets ``precision=FLOAT``, because ONNX
    Runtime divides in float32 up to opset 22. (onnx's reference evaluator divides in the scale's type at every opset, so under it the
    attribute looks like a change: the runtime that models were deployed on is the measure.)

    Down works where it is exact and no further than opset 11; the IR version never goes down. A runtime that is known to run the model
    before and not after is named in a warning.

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
        prepare(plans, facts)
        loaded_by = oldest(model, plans, lambda plan: plan.source)
        changes = [change for plan in plans for change in self._migrate(plan, ctx, facts, stale)]
        yield from sorted(changes, key=lambda change: change.what != REWRITE)
        canonical = IR_VERSION[target]
        if model.ir_version is None or model.ir_version < canonical:
            yield ctx.change(model, "IR version", model.ir_version, canonical, f"opset {target} came with IR {canonical}")
            model.ir_version = canonical
        yield from refresh(stale, ctx)
        warn(model, plans, loaded_by, ctx)

    def _plan(self, group: list[Scope], ctx: Context) -> Plan | None:
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
        plan = Plan(owner, source, target, nodes)
        for scope, node in nodes:
            if not steps(node.op_type):
                raise ctx.refuse(
                    node,
                    f"to migrate {node.op_type}",
                    "the default domain has no such operator",
                    "give the node its own domain, or replace it (`graphfix inspect` lists operators by domain)",
                )
            plan.schedule(scope, node)
        return plan

    def _migrate(self, plan: Plan, ctx: Context, facts: Facts, stale: list[ir.Value]) -> Iterator[Change]:
        reasons: dict[int, list[str]] = {}
        places: dict[int, str] = {}
        before = {id(node): (node.op_type, opsets.version_at(node.op_type, plan.source)) for _, node in plan.nodes}
        for at, to in plan.steps():
            for scope, node in plan.due.pop(at, ()):
                row = steps(node.op_type)[at]
                name = row.rule if plan.up else row.down
                if name in {"", opsets.REFUSE}:
                    raise ctx.refuse(node, f"to migrate {node.op_type} to opset {to}", f"opset {at}: {row.difference} (see {row.source})")
                edit = Edit(node, scope, to, ctx, facts, self.options)
                places.setdefault(id(node), ctx.where(node))
                reason = (UPGRADES if plan.up else DOWNGRADES)[name](edit)
                stale.extend(edit.stale)
                if reason:
                    reasons.setdefault(id(node), []).append(f"rewritten at {at} by {name}: {reason}")
                for held, made in ((scope, node), *edit.added):
                    plan.schedule(held, made, at)
        for _, node in plan.nodes:
            op_type, old = before[id(node)]
            new = opsets.version_at(node.op_type, plan.target)
            if not new:
                first = next(iter(steps(node.op_type)))
                raise ctx.refuse(node, f"to migrate {node.op_type} to opset {plan.target}", f"it is defined from opset {first} on")
            why = reasons.get(id(node))
            yield Change(
                places.get(id(node)) or ctx.where(node),
                REWRITE if why else "operator version",
                f"{op_type}-{old}",
                f"{node.op_type}-{new}",
                "; ".join(why) if why else proof(op_type, plan.source, plan.target),
            )
        yield from _set_version(plan.owner, plan.source, plan.target, ctx)


def _set_version(owner: Owner, source: int, target: int, ctx: Context) -> Iterator[Change]:
    imports = owner.opset_imports
    key = DEFAULT_DOMAIN if DEFAULT_DOMAIN in imports or ALIAS not in imports else ALIAS
    imports[key] = target
    yield ctx.change(owner, f"import {key!r}", source, target, "every node above has a proven path")
