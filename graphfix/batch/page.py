"""batch.html: the matrix as one self-contained page in the style of the gate's. A function of batch.json and nothing else."""

from __future__ import annotations

from typing import Any

from graphfix.batch.jobs import CRASHED, FINDINGS, OK, REFUSED, TIMED_OUT, UNAVAILABLE
from graphfix.report.templates import environment

# The gate's classes of colour; and the words, for a reader who does not see colours.
STYLE = {OK: "passed", FINDINGS: "failed", REFUSED: "failed", CRASHED: "failed", TIMED_OUT: "failed", UNAVAILABLE: "skipped"}
MEANING = {
    OK: "nothing failed",
    FINDINGS: "a tier of the gate found something",
    REFUSED: "the model cannot be read, or a pass cannot do it safely",
    UNAVAILABLE: "the machine lacks what the question needs",
    TIMED_OUT: "a step took all the time it had",
    CRASHED: "the process at work died, each time it was tried",
}
MOST = 12  # cells named for one problem


def render(told: dict[str, Any]) -> str:
    """The page as text."""
    causes: dict[int, list[int]] = {}
    for n, problem in enumerate(told["problems"]):
        for cell in problem["cells"]:
            causes.setdefault(cell, []).append(n)
    page: str = (
        environment()
        .get_template("batch.html.j2")
        .render(told=told, tables=tables(told), causes=causes, style=STYLE, meaning=MEANING, most=MOST, place=place)
    )
    return page + "\n"


def tables(told: dict[str, Any]) -> list[dict[str, Any]]:
    """A table for each pipeline and shape profile: models down, targets across, and in each place the cell's number, or None."""
    found: dict[tuple[str, str], dict[str, dict[str, int]]] = {}
    for i, cell in enumerate(told["cells"]):
        found.setdefault((cell["pipeline"], cell["shapes"]), {}).setdefault(cell["model"], {})[cell["target"]] = i
    made = []
    several = len({shapes for _, shapes in found}) > 1
    for (pipeline, shapes), rows in found.items():
        targets = list(dict.fromkeys(cell["target"] for cell in told["cells"] if (cell["pipeline"], cell["shapes"]) == (pipeline, shapes)))
        made.append(
            {
                "pipeline": pipeline,
                "text": told["pipelines"][pipeline],
                "shapes": shapes if several else "",
                "targets": targets,
                "rows": [{"model": model, "cells": [row.get(target) for target in targets]} for model, row in rows.items()],
            }
        )
    return made


def place(told: dict[str, Any], i: int) -> str:
    """A cell's place in words; what all cells have in common is left out."""
    cell = told["cells"][i]
    varied = (axis for axis in ("pipeline", "shapes", "target") if len({other[axis] for other in told["cells"]}) > 1)
    return " ".join((cell["model"], *(cell[axis] for axis in varied)))
