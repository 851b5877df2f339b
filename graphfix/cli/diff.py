"""``graphfix diff``: how two models differ."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphfix.cli import terminal
from graphfix.errors import UsageError

if TYPE_CHECKING:
    from graphfix.difference import Difference


def diff_command(
    a: Annotated[Path, typer.Argument(help="One .onnx file.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="The other.", show_default=False)],
    weights: Annotated[bool, typer.Option("--weights", help="Also compare the bytes of weights; reads all of them.")] = False,
    first: Annotated[int, typer.Option("--first", help="How many of each part to print.")] = 5,
    format: Annotated[str, typer.Option("--format", help="text or json")] = "text",
) -> None:
    """Compare structure, types, opsets, weights and sizes of two models. Exit code 0 if they are the same, 1 if not."""
    if format not in {"text", "json"}:
        raise UsageError(f"--format {format}", hint="--format text or json")
    from graphfix import io
    from graphfix.difference import differences

    found = list(differences(io.load(a), io.load(b), weights=weights))
    if format == "json":
        typer.echo(json.dumps([dataclasses.asdict(row) for row in found], indent=1))
    else:
        _print(a.name, b.name, found, first)
    if found:
        raise typer.Exit(1)


def _print(a: str, b: str, found: list[Difference], first: int) -> None:
    out = terminal.console()
    if not found:
        out.print(f"{a} and {b} hold the same model", markup=False)
        return
    parts: dict[str, list[Difference]] = {}
    for row in found:
        parts.setdefault(row.part, []).append(row)
    for part, rows in parts.items():
        out.print(f"{part}: {len(rows):,} different", style="bold", markup=False)
        for row in rows[:first]:
            out.print(f"  {row.where}", markup=False)
            out.print(f"    - {row.a or '(absent)'}", markup=False)
            out.print(f"    + {row.b or '(absent)'}", markup=False)
        if len(rows) > first:
            out.print(f"  and {len(rows) - first:,} more", markup=False)
