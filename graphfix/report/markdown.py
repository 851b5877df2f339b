"""For a pull request, a release note, a step summary."""

from __future__ import annotations

from collections.abc import Sequence

from graphfix.report.result import Report

ICONS = {"passed": "✅", "failed": "❌", "skipped": "⏭️", "info": "·"}


def cell(text: object) -> str:
    """Text that cannot end its table cell."""
    return str(text).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").strip()


def render(report: Report, assumed: Sequence[str]) -> str:
    """The verdict, then a table."""
    lines = [f"### {report.model['name']}: {report.verdict()}", "", "| | tier | check | result |", "|---|---|---|---|"]
    for check in report.checks:
        text = check.message
        if check.value is not None and check.threshold is not None:
            text = f"{check.value:.4g} (limit {check.threshold:.4g}, margin {check.margin:.4g}) {text}"
        if check.where:
            text += f" at `{check.where}`"
        if check.status == "failed" and check.fix:
            text += f" — `{check.fix}`"
        lines.append(f"| {ICONS[check.status]} | {check.tier} | {cell(check.name)} | {cell(text)} |")
    if assumed:
        lines += ["", f"Assumed {cell(', '.join(assumed))}."]
    lines += ["", f"`sha256 {report.model['sha256']}`"]
    return "\n".join(lines) + "\n"
