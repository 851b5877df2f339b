"""``graphfix inspect``: what is in a model, without reading its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from graphfix.cli import terminal
from graphfix.errors import UsageError

MOST_ROWS = 1000  # of a table: somebody is to read it


def inspect_command(
    model: Annotated[Path, typer.Argument(help="The .onnx file.", show_default=False)],
    format: Annotated[str, typer.Option("--format", help="text or json")] = "text",
) -> None:
    """Show opsets, operators by domain, types of weights and activations, quantization by format, and external data."""
    if format not in {"text", "json"}:
        raise UsageError(f"--format {format}", hint="--format text or json")
    from graphfix import inventory, io

    found = inventory.take(io.load(model))
    if format == "json":
        typer.echo(json.dumps(found.as_dict(), indent=1))
        return
    out = terminal.console()
    out.print(f"{model.name}: IR {found.ir_version}, made by {found.producer or 'unknown'}", style="bold", markup=False)
    out.print("opsets: " + ", ".join(f"{d or 'default'} {v}" for d, v in found.opsets.items()), markup=False)
    out.print(f"{found.nodes:,} nodes in {found.graphs} graph(s), {found.functions} local function(s)", markup=False)
    if found.provenance:
        out.print("graphfix: " + "; then ".join(",".join(e.get("passes", [])) for e in found.provenance), markup=False)
    sections = (
        ("interface", ("direction", "name", "type", "shape"), found.interface, ()),
        ("operators", ("domain", "operator", "count"), found.operators, (2,)),
        ("weights", ("type", "tensors", "elements", "bytes"), found.weights, (1, 2, 3)),
        ("activations", ("type", "values"), found.activations, (1,)),
        ("quantization", ("format", "weights", "bytes", "activations"), found.quantization, (1, 2, 3)),
        ("external data", ("file", "size", "tensors", "referenced"), found.external, (1, 2, 3)),
    )
    for title, columns, rows, numbers in sections:
        if not rows:
            continue
        out.print(f"\n{title}", style="bold")
        out.print(terminal.add_rows(terminal.table(*columns, numbers=numbers), rows[:MOST_ROWS]))
        if len(rows) > MOST_ROWS:
            out.print(f"and {len(rows) - MOST_ROWS:,} more; --format json has all of them")
