"""``graphfix doctor``: what this machine can do, and what to type next."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from graphfix.cli import terminal
from graphfix.errors import UsageError


def doctor_command(format: Annotated[str, typer.Option("--format", help="text or json")] = "text") -> None:
    """Look at packages, clashes, libraries and GPUs. Exit code 1 if something is wrong; what is merely not installed is no fault."""
    if format not in {"text", "json"}:
        raise UsageError(f"--format {format}", hint="--format text or json")
    from graphfix import doctor

    rows = list(doctor.examine())
    if format == "json":
        typer.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
    else:
        table = terminal.table("", "what", "found", "next")
        terminal.console().print(terminal.add_rows(table, ((row.status, row.what, row.found, row.hint) for row in rows)))
    if any(row.status == doctor.WRONG for row in rows):
        raise typer.Exit(1)
