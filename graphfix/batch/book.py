"""What a batch found, as one JSON-ready value: batch.json, of which the page and the text are renderings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from graphfix.batch.jobs import APPLY, CRASHED, DEPENDS, FINDINGS, OK, OUTCOMES, REFUSED, TIMED_OUT, UNAVAILABLE, Answer, Job
from graphfix.batch.matrix import Cell, Plan
from graphfix.batch.run import Run
from graphfix.report.result import RUNTIMES, installed, tool

SCHEMA = 1  # raised when a field changes its meaning or goes away

# A cell is as bad as the worst of its jobs. That a machine lacks something says nothing of the model, so it comes last.
WORST = (CRASHED, TIMED_OUT, REFUSED, FINDINGS, UNAVAILABLE, OK)


def book(plan: Plan, done: Run) -> dict[str, Any]:
    """Everything there is to tell; cells in the manifest's order, and no folder of this machine but those the manifest names.

    What differs from one run to the next of the same jobs is in ``run`` and under ``seconds``.
    """
    applied = [job for job in plan.jobs if job.stage == APPLY]
    cells = [_cell(plan, cell, done) for cell in plan.cells]
    counts = {outcome: sum(cell["outcome"] == outcome for cell in cells) for outcome in OUTCOMES}
    return {
        "schema": SCHEMA,
        "kind": "graphfix batch",
        "tool": tool(installed(RUNTIMES)),
        "manifest": plan.manifest.path.name,
        "verdict": verdict(counts),
        "passed": counts[OK] == len(cells),
        "counts": counts,
        "models": [
            {"name": subject.name, "sha256": subject.sha256, "data_bytes": sum(size for _, size, _ in subject.data)}
            for subject in plan.models.values()
        ],
        "pipelines": dict(plan.manifest.pipelines),
        "tiers": list(plan.manifest.tiers),
        "applied": [_applied(job, done.answers.get(job.key), plan) for job in applied],
        "cells": cells,
        "problems": list(_problems(cells)),
        "run": {
            "executor": done.executor,
            "jobs": len(done.answers),
            "resumed": done.resumed,
            "not_run": done.skipped,
            "deaths": [dataclasses.asdict(death) for death in done.deaths],
            "seconds": round(done.seconds, 3),
        },
    }


def verdict(counts: dict[str, int]) -> str:
    """One line: how many cells are ok, and what is the matter with the rest."""
    total = sum(counts.values())
    rest = [f"{count} {outcome}" for outcome, count in counts.items() if count and outcome != OK]
    if not rest:
        return f"PASSED all {total}"
    word = "INCOMPLETE" if counts[OK] + counts[UNAVAILABLE] == total else "FAILED"
    return f"{word} {total - counts[OK]} of {total}: {', '.join(rest)}"


def exit_code(told: dict[str, Any]) -> int:
    """0 all ok; 1 something is wrong with a model; 3 nothing is, as far as this machine can tell."""
    if told["passed"]:
        return 0
    counts = told["counts"]
    return 3 if counts[OK] + counts[UNAVAILABLE] == len(told["cells"]) else 1


def _cell(plan: Plan, cell: Cell, done: Run) -> dict[str, Any]:
    row: dict[str, Any] = {"model": cell.model, "pipeline": cell.pipeline, "shapes": cell.shapes, "target": cell.target}
    if problem := plan.models[cell.model].problem:
        return {**row, "outcome": REFUSED, "why": [{"stage": "read", "outcome": REFUSED, "message": problem}], "seconds": 0.0, "checks": []}
    found = [(job, done.answers[job.key]) for job in cell.jobs if job.key in done.answers]
    if found[0][0].stage == APPLY and found[0][1].outcome != OK:
        found = found[:1]  # what a tier said earlier, of an output that the passes made then, no longer counts
    wrong = [(job, answer) for job, answer in found if answer.outcome != OK]
    return {
        **row,
        "outcome": min((answer.outcome for _, answer in found), key=WORST.index),
        "why": [{"stage": job.stage, "outcome": answer.outcome, "message": answer.message} for job, answer in wrong],
        "seconds": round(sum(answer.seconds for _, answer in found), 3),
        "assumed": sorted({axis for _, answer in found for axis in answer.details.get("assumed", ())}),
        "checks": [check for _, answer in found for check in answer.checks],
    }


def _applied(job: Job, answer: Answer | None, plan: Plan) -> dict[str, Any]:
    row: dict[str, Any] = {"model": job.model, "pipeline": job.pipeline}
    if answer is None:
        return row
    row |= {"outcome": answer.outcome, "seconds": answer.seconds}
    if answer.outcome == OK:
        output = plan.manifest.output / "models" / job.pipeline / job.model
        files = [(output / name).relative_to(plan.manifest.output).as_posix() for name, _ in answer.details["files"]]
        row |= {key: answer.details[key] for key in ("changes", "notes", "data", "sha256")} | {"files": files}
    return row


def _problems(cells: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """What is wrong, each thing once with every cell that it is wrong with; the most frequent first."""
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for i, cell in enumerate(cells):
        for why in cell["why"]:
            lines = why["message"].splitlines() or [""]
            # Of native libraries' errors the first line is the error, and the rest often only where it was.
            own = groups.setdefault((why["stage"], why["outcome"], lines[0]), {**why, "cells": [], "fix": _fix(cell, why["stage"])})
            own["cells"].append(i)
    return sorted(groups.values(), key=lambda row: -len(row["cells"]))


def _fix(cell: dict[str, Any], stage: str) -> str:
    return next((check["fix"] for check in cell["checks"] if check["tier"] == stage and check.get("fix")), "")


def stage(job: Job) -> tuple[int, str]:
    """What progress is told by: a job's stage with its target, and a number to put stages in order with."""
    return [APPLY, *DEPENDS].index(job.stage), f"{job.stage} {job.target}".strip()
