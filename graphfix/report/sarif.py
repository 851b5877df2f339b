"""SARIF 2.1.0 for code hosts: one result for each thing that failed, aggregated, within their limits.

Limits (GitHub, "SARIF support for code scanning"): 20 runs, 25,000 results of which 5,000 are shown, 20 tags for a rule, about 10 MB.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphfix._version import __version__
from graphfix.base import Finding
from graphfix.report.result import Check, Report

if TYPE_CHECKING:
    from graphfix.lints.run import Linted

MOST_RESULTS = 5000
LONGEST = 2000  # characters of a message


def result(rule: str, level: str, message: str, model: str, where: str) -> dict[str, Any]:
    """One SARIF result on a model file, with the node as its logical location."""
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": model}, "region": {"startLine": 1}}}
    if where:
        location["logicalLocations"] = [{"fullyQualifiedName": where, "kind": "object"}]
    return {"ruleId": rule, "level": level, "message": {"text": message[:LONGEST]}, "locations": [location]}


def log(rules: dict[str, str], results: list[dict[str, Any]]) -> str:
    """A SARIF log with one run."""
    driver = {
        "name": "graphfix",
        "version": __version__,
        "rules": [{"id": key, "shortDescription": {"text": text}} for key, text in rules.items()],
    }
    run = {"tool": {"driver": driver}, "results": results[:MOST_RESULTS], "columnKind": "unicodeCodePoints"}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def render(report: Report, assumed: Sequence[str]) -> str:
    """What failed, as errors; what was skipped, as notes."""
    del assumed  # an assumption is not a result
    rules: dict[str, str] = {}
    results = []
    for check in report.checks:
        if check.status not in {"failed", "skipped"}:
            continue
        rule = f"graphfix/{check.tier}"
        rules[rule] = f"The {check.tier} tier of graphfix validate"
        level = "error" if check.status == "failed" else "note"
        results.append(result(rule, level, _text(check), str(report.model["name"]), check.where))
    return log(rules, results)


LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def findings(found: Linted, model: str) -> str:
    """Findings of lints: one result for each code and message, at its first place, with how often it was found."""
    rules = {lint.code: lint.name for lint in found.ran if any(f.code == lint.code for f in found.findings)}
    groups: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in found.findings:
        groups.setdefault((finding.code, finding.level, finding.message, finding.fix), []).append(finding)
    results = []
    for (code, level, message, fix), group in groups.items():
        often = f" ({len(group):,} places)" if len(group) > 1 else ""
        mend = f"\nNext: graphfix apply --passes {fix} {model}" if fix else ""
        results.append(result(code, LEVELS[level], f"{message}{often}{mend}", model, group[0].where))
    return log(rules, results)


def _text(check: Check) -> str:
    return f"{check.name}: {check.message}" + (f"\nNext: {check.fix}" if check.fix else "")
