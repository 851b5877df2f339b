"""Findings grouped for reading: a line for each code, what it says, where it is first, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from graphfix.base import Finding
from graphfix.lints.base import LEVELS
from graphfix.lints.run import Linted

FIRST = 3  # places shown for each code
NEEDS = {"target": "--target sm120", "ort": "--ort 1.30", "file": "a file"}


def lines(found: Linted, model: Path) -> Iterator[str]:
    """The text of ``graphfix lint``: errors first, then by code."""
    groups: dict[tuple[int, str], list[Finding]] = {}
    for finding in found.findings:
        groups.setdefault((LEVELS.index(finding.level), finding.code), []).append(finding)
    names = {lint.code: lint.name for lint in found.ran}
    for (level, code), group in sorted(groups.items()):
        yield f"{code} {names[code]}: {len(group):,} x {LEVELS[level]}"
        yield from _places(group)
        fixes = list(dict.fromkeys(f.fix for f in group if f.fix))
        without = sum(not f.fix for f in group)
        for fix in fixes:
            yield f"    next: graphfix apply --passes {fix} {model}"
        if without:
            yield f"    no pass mends {'this' if not fixes else f'{without:,} of these'}: graphfix explain {code}"
        yield ""
    counts = ", ".join(f"{found.count(level):,} {level}{'s' if found.count(level) != 1 and level != 'info' else ''}" for level in LEVELS)
    yield f"{counts if found.findings else 'no findings'}: {len(found.ran)} rules, {found.nodes:,} nodes, {found.seconds:.2f} s"
    for need in dict.fromkeys(lint.needs for lint in found.skipped):
        yield f"not asked without {NEEDS[need]}: {', '.join(lint.code for lint in found.skipped if lint.needs == need)}"
    if found.fixes:
        yield f"graphfix lint --fix {model}   runs all of these passes in their order"


def _places(group: list[Finding]) -> Iterator[str]:
    """Each message once with the first places that it was said of: all places of one message, or one of each."""
    messages: dict[str, list[str]] = {}
    for finding in group:
        messages.setdefault(finding.message, []).append(finding.where)
    shown = 0
    for message, places in list(messages.items())[:FIRST]:
        first = places[: FIRST if len(messages) == 1 else 1]
        shown += len(first)
        yield f"    {message}"
        yield from (f"      at {place}" for place in first)
    if len(group) > shown:
        yield f"    and {len(group) - shown:,} more"
