"""One self-contained page: the verdict, the tiers, plots of what was measured. No script, no font, no request to anywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from graphfix.report.result import Check, Report
from graphfix.report.templates import environment

STATUS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped", "info": "measured"}


def render(report: Report, assumed: Sequence[str]) -> str:
    """The page as text.

    Raises:
        UnavailableError: jinja2 is not installed.
    """
    page: str = (
        environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            data=report.as_dict(),
            status=STATUS,
            assumed=assumed,
            tiers=report.tiers(),
            bars=[bars for bars in (compile_bars(report), byte_bars(report)) if bars],
            layers=layer_plot(report),
            raw=json.dumps(report.as_dict(), indent=1),
        )
    )
    return page + "\n"


def compile_bars(report: Report) -> dict[str, Any] | None:
    """Seconds to build an engine, by target."""
    rows = [(c.name, c.value or 0.0, f"{c.value:.1f} s") for c in report.checks if c.tier == "compile" and c.value is not None]
    return _bars("Seconds to compile", rows)


def byte_bars(report: Report) -> dict[str, Any] | None:
    """Bytes of the model and of each engine."""
    rows = [
        (name, float(report.model[key]), _size(report.model[key])) for name, key in (("header", "header_bytes"), ("data", "data_bytes"))
    ]
    engines = ((c.name, c.details["engine_bytes"]) for c in report.checks if "engine_bytes" in c.details)
    rows += [(f"engine {name}", float(size), _size(size)) for name, size in engines]
    return _bars("Bytes", [row for row in rows if row[1]])


def _bars(title: str, rows: list[tuple[str, float, str]]) -> dict[str, Any] | None:
    if not rows:
        return None
    longest = max(value for _, value, _ in rows) or 1.0
    return {"title": title, "rows": [{"name": n, "percent": max(0.5, 100 * v / longest), "label": label} for n, v, label in rows]}


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.4g} {unit}"
        count /= 1000
    raise AssertionError


def layer_plot(report: Report) -> dict[str, Any] | None:
    """Error by layer, logarithmic, as points of an SVG; zeros lie on the floor."""
    found: Check | None = next((c for c in report.checks if "layers" in c.details), None)
    if found is None or not found.details["layers"]:
        return None
    rows = found.details["layers"]
    logs = [math.log10(max(row[2], 1e-9)) for row in rows]
    low, high = -9.0, max(0.0, math.ceil(max(logs)))
    width, height = 800.0, 220.0
    points = [
        {
            "x": round(40 + (width - 50) * i / max(1, len(rows) - 1), 1),
            "y": round(10 + (height - 30) * (high - level) / (high - low), 1),
            "title": f"{row[1]}: {row[2]:.2e}",
            "bad": found.threshold is not None and row[2] > found.threshold,
        }
        for i, (row, level) in enumerate(zip(rows, logs, strict=True))
    ]
    ticks = [
        {"y": round(10 + (height - 30) * (high - level) / (high - low), 1), "label": f"1e{level}" if level > low else "0"}
        for level in range(int(low), int(high) + 1, 3)
    ]
    return {"points": points, "ticks": ticks, "width": width, "height": height, "first": found.where, "message": found.message}
