"""What follows from a migration: shapes to infer again, and runtimes that stay behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx_ir as ir

from graphfix.base import Change, Context
from graphfix.facts import opsets
from graphfix.facts.runtimes import COMMON, MEASURED, NO_CPU_KERNEL, RUNTIME, newer, oldest_release
from graphfix.model import shape_text
from graphfix_passes.opset_rules.plan import Plan


def oldest(model: ir.Model, plans: list[Plan], opset: Callable[[Plan], int]) -> str | None:
    """The oldest runtime release that runs the model with its functions at these opsets."""
    operators = {(node.op_type, opsets.version_at(node.op_type, opset(plan))) for plan in plans for _, node in plan.nodes}
    newest = max((opset(plan) for plan in plans), default=1)
    return oldest_release(newest, model.ir_version or 1, frozenset(operators))


def warn(model: ir.Model, plans: list[Plan], before: str | None, ctx: Context) -> None:
    """Say which operators a known runtime ran before and does not run now, and which releases stay behind."""
    lost: dict[str, list[ir.Node]] = {}
    for plan in plans:
        for _, node in plan.nodes:
            gap = NO_CPU_KERNEL.get(node.op_type)
            if gap is not None and plan.source < gap <= plan.target:
                lost.setdefault(node.op_type, []).append(node)
    for op_type, nodes in lost.items():
        gap = NO_CPU_KERNEL[op_type]
        ctx.note(
            "runtime-kernel",
            nodes[0],
            f"{RUNTIME} {MEASURED} has no CPU kernel for {op_type}-{gap} ({len(nodes)} in the model); it runs at opset {gap - 1}",
            fix=f"opset{gap - 1}",
        )
    needs = oldest(model, plans, lambda plan: plan.target)
    if needs is not None and needs != before and newer(needs, COMMON):
        ctx.note("GF013", model, f"releases of {RUNTIME} before {needs} do not load the result (before: {before or 'unknown'})")


def refresh(stale: list[ir.Value], ctx: Context) -> Iterator[Change]:
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
