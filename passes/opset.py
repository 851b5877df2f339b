"""opset: migrate every node of the default domain from its opset to another, with a reason for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from graphfix.base import Change, Context, Pass, documented
from graphfix.facts import opsets
from graphfix.facts.opsets import IR_VERSION, NEWEST, OLDEST, OpsetChange
from graphfix.model import ALIAS, DEFAULT_DOMAIN, Owner, Scope, opset_version, scopes, shape_text
from graphfix_passes.opset_rules import UPGRADES
from graphfix_passes.opset_rules.edit import Edit, Facts


@dataclass(frozen=True)
class Options:
    """``opset{target=23}``; ``opset23`` is the same."""

    target: int = documented(23, "the opset to migrate to")
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
        for group in owners.values():
            yield from self._migrate(group, ctx, facts, stale)
        canonical = IR_VERSION[target]
        if model.ir_version is None or model.ir_version < canonical:
            yield ctx.change(model, "IR version", model.ir_version, canonical, f"opset {target} came with IR {canonical}")
            model.ir_version = canonical
        yield from _refresh(stale, ctx)

    def _migrate(self, group: list[Scope], ctx: Context, facts: Facts, stale: list[ir.Value]) -> Iterator[Change]:
        owner, target = group[0].owner, self.options.target
        source = opset_version(owner.opset_imports)
        nodes = [(scope, node) for scope in group for node in scope.body if node.domain == DEFAULT_DOMAIN]
        if source is None and not nodes:
            return
        if source is None or source < OLDEST:
            raise ctx.refuse(
                owner,
                f"to migrate from opset {source}",
                "nothing says which opset these nodes are of" if source is None else f"the table begins at opset {OLDEST}",
            )
        if source == target:
            return
        if source > target:
            raise ctx.refuse(owner, f"to go down from opset {source} to {target}", "newer definitions have no exact older form here")
        reasons: dict[int, list[str]] = {}
        for to in range(source + 1, target + 1):
            for scope in group:
                for node in tuple(scope.body):
                    if node.domain == DEFAULT_DOMAIN:
                        self._step(node, scope, source, to, ctx, facts, stale, reasons)
        for _, node in nodes:
            if node.graph is None:
                continue  # a rule replaced it; the rule's reason stands at its successor
            old, new = opsets.version_at(node.op_type, source), opsets.version_at(node.op_type, target)
            if not new:
                first = next(iter(_steps(node.op_type)))
                raise ctx.refuse(node, f"to migrate {node.op_type} to opset {target}", f"it is defined from opset {first} on")
            why = "; ".join(reasons.get(id(node), ())) or _proof(node.op_type, source, target)
            yield ctx.change(node, "operator version", f"{node.op_type}-{old}", f"{node.op_type}-{new}", why)
        yield from _set_version(owner, source, target, ctx)

    def _step(
        self,
        node: ir.Node,
        scope: Scope,
        source: int,
        to: int,
        ctx: Context,
        facts: Facts,
        stale: list[ir.Value],
        reasons: dict[int, list[str]],
    ) -> None:
        steps = _steps(node.op_type)
        if not steps:
            raise ctx.refuse(
                node,
                f"to migrate {node.op_type}",
                "the default domain has no such operator",
                "give the node its own domain, or replace it (`graphfix inspect` lists operators by domain)",
            )
        row = steps.get(to)
        if row is None or row.verdict == opsets.COMPATIBLE:
            return
        if row.verdict == opsets.NEW:
            reasons.setdefault(id(node), []).append(
                f"{node.op_type} is defined from opset {to} on: invalid as declared at {source}, valid now"
            )
            return
        if row.verdict == opsets.REFUSE:
            raise ctx.refuse(node, f"to migrate {node.op_type} from opset {to - 1} to {to}", f"{row.difference} (see {row.source})")
        edit = Edit(node, scope, to, ctx, facts, self.options)
        reason = UPGRADES[row.rule](edit)
        stale.extend(edit.stale)
        if reason:
            reasons.setdefault(id(node), []).append(f"rewritten at {to} by {row.rule}: {reason}")


def _steps(op_type: str) -> dict[int, OpsetChange]:
    found = _CACHE.get(op_type)
    if found is None:
        found = _CACHE[op_type] = {row.to: row for row in opsets.table().get(op_type, ())}
    return found


_CACHE: dict[str, dict[int, OpsetChange]] = {}
_PROOFS: dict[tuple[str, int, int], str] = {}


def _proof(op_type: str, source: int, target: int) -> str:
    key = (op_type, source, target)
    if key not in _PROOFS:
        rows = [row for to, row in _steps(op_type).items() if source < to <= target]
        widened = "; ".join(f"{row.to}: {row.difference}" for row in rows)
        _PROOFS[key] = f"schema-compatible ({widened})" if rows else f"same definition at {source} and {target}"
    return _PROOFS[key]


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
