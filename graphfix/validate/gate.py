"""The gate: tiers, cheapest first; what this machine cannot look at is said, never assumed."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphfix import io
from graphfix.difference import differences
from graphfix.errors import UnavailableError
from graphfix.report.result import SKIPPED, Check, Report, without_folders
from graphfix.validate import check, compile, load, numerics, run
from graphfix.validate.job import Job

RUNNERS: dict[str, Callable[[Job], list[Check]]] = {
    "check": check.tier,
    "load": load.tier,
    "compile": compile.tier,
    "numerics": numerics.tier,
    "run": run.tier,
    "bench": run.bench_tier,
}


def validate(job: Job, progress: Callable[[str, int, int], None] | None = None) -> Report:
    """Run the tiers of ``job`` on its model.

    Raises:
        UsageError, ModelError: The model cannot be read.
        UnavailableError: A tier that was asked for by name cannot run on this machine.
    """
    report = Report(describe(job.model))
    if job.before is not None:
        report.model["changed"] = changed(job.before, job.model)
    for i, name in enumerate(job.tiers):
        if progress is not None:
            progress(name, i, len(job.tiers))
        checks = RUNNERS[name](job)
        if job.named and checks and all(c.status == SKIPPED for c in checks):
            raise UnavailableError(f"tier {name} cannot run on this machine", why=checks[0].message)
        report.checks += [without_folders(check, _folders(job)) for check in checks]
    return report


def _folders(job: Job) -> dict[str, str]:
    """Folders of this machine that runtimes name in their messages, and what a report says instead."""
    beside = [p.parent for p in (job.model, job.before, job.reference, job.inputs) if p is not None]
    named = {str(folder): "" for path in beside for folder in (path.absolute(), path.resolve())}
    own = {tempfile.gettempdir(): "<temporary>/", sys.prefix: "<python>/", sys.base_prefix: "<python>/", str(Path.home()): "~/"}
    return {**{k: v for k, v in own.items() if len(k) > 1}, **{k: v for k, v in named.items() if len(k) > 1}}


MOST_CHANGES = 20  # of each part, in a report


def changed(before: Path, after: Path) -> dict[str, object]:
    """What differs between the file before the passes and the model: counts by part, and the first places of each."""
    parts: dict[str, list[list[str]]] = {}
    counts: dict[str, int] = {}
    for row in differences(io.load(before), io.load(after)):
        counts[row.part] = counts.get(row.part, 0) + 1
        if counts[row.part] <= MOST_CHANGES:
            parts.setdefault(row.part, []).append([row.where, row.a, row.b])
    return {"counts": counts, "first": parts}


def describe(path: Path) -> dict[str, Any]:
    """What identifies a model in a report: no absolute paths."""
    model = io.load(path)
    source: io.Source = model.meta[io.SOURCE]
    return {
        "name": path.name,
        "sha256": source.sha256,
        "header_bytes": path.stat().st_size,
        "data_bytes": sum((path.parent / name).stat().st_size for name in source.data_files),
        "nodes": sum(1 for graph in model.graphs() for _ in graph),
        "opsets": dict(model.opset_imports),
        "ir_version": model.ir_version,
        "passes": io.read_provenance(model),
    }
