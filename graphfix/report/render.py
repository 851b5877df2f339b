"""One result, many renderings: every format is a function of the same report and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib import import_module

from graphfix.report.result import Report

Renderer = Callable[[Report, Sequence[str]], str]


def _json(report: Report, assumed: Sequence[str]) -> str:
    return json.dumps({**report.as_dict(), "assumed_axes": list(assumed)}, indent=1) + "\n"


def render(report: Report, format: str, *, assumed: Sequence[str] = ()) -> str:
    """The report as ``text``, ``json``, ``junit``, ``sarif``, ``github``, ``markdown`` or ``html``, ending with a newline.

    Args:
        report: The result.
        format: The format's name.
        assumed: Axes whose size nobody gave; people's formats mention them.
    """
    if format == "json":
        return _json(report, assumed)
    renderer: Renderer = import_module(f"graphfix.report.{format}").render
    return renderer(report, assumed)
