"""GitHub Actions: at most ten annotations of a kind are shown, so the worst ten; the whole table goes into the step summary."""

from __future__ import annotations

from collections.abc import Sequence

from graphfix.report.result import Report

MOST = 10


def escape(text: str) -> str:
    """A workflow command's data. Source: actions/toolkit, command.ts."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """A workflow command's property."""
    return escape(text).replace(":", "%3A").replace(",", "%2C")


def render(report: Report, assumed: Sequence[str]) -> str:
    """Workflow commands for what failed. ``--format markdown >> "$GITHUB_STEP_SUMMARY"`` gives the table."""
    lines = []
    for check in report.failed[:MOST]:
        text = "\n".join(filter(None, (check.message, check.where and f"at {check.where}", check.fix and f"next: {check.fix}")))
        title = escape_property(f"graphfix {check.tier}: {check.name}")
        lines.append(f"::error file={escape_property(str(report.model['name']))},title={title}::{escape(text)}")
    if len(report.failed) > MOST:
        lines.append(f"::error title=graphfix::and {len(report.failed) - MOST} more; the JSON report holds all of them")
    level = "notice" if report.passed else "error"
    lines.append(f"::{level} title=graphfix::{escape(report.verdict())}" + (f" (assumed {escape(', '.join(assumed))})" if assumed else ""))
    return "\n".join(lines) + "\n"
