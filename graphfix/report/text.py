"""For a terminal and for a log."""

from __future__ import annotations

from collections.abc import Sequence

from graphfix.report.result import Check, Report

MARKS = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip", "info": "    "}


def render(report: Report, assumed: Sequence[str]) -> str:
    """A line for each check; what failed with where and what to type; the verdict last."""
    opsets = ", ".join(f"{domain or 'default'} {version}" for domain, version in report.model["opsets"].items())
    lines = [f"{report.model['name']}: IR {report.model['ir_version']}, opsets {opsets}, {report.model['nodes']:,} nodes"]
    width = max((len(c.name) for c in report.checks), default=0)
    for tier, checks in report.tiers().items():
        for check in checks:
            lines.append(f"  {MARKS[check.status]}  {tier:9} {check.name:{width}}  {_tail(check)}".rstrip())
            lines += [f"          {extra}" for extra in _below(check)]
    if assumed:
        lines.append(f"  assumed {', '.join(assumed)}; --shape or --dim sets them")
    lines.append(report.verdict())
    return "\n".join(lines) + "\n"


def _tail(check: Check) -> str:
    parts = [check.message.splitlines()[0]] if check.message else []
    if check.value is not None and check.threshold is not None:
        sign = ">=" if check.at_least else "<="
        parts.insert(0, f"{check.value:.4g} {sign} {check.threshold:.4g} (margin {check.margin:.4g})")
    if check.seconds >= 0.05:
        parts.append(f"[{check.seconds:.1f} s]")
    return "  ".join(parts)


def _below(check: Check) -> list[str]:
    if check.status != "failed":
        return []
    rows = check.message.splitlines()[1:4]
    if check.where:
        rows.append(f"at {check.where}")
    if check.fix:
        rows.append(f"next: {check.fix}")
    return rows
