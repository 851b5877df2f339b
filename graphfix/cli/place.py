"""``graphfix place``: put a backbone into a pipeline's folder, and take it out again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphfix.cli import terminal
from graphfix.errors import UsageError

if TYPE_CHECKING:
    from graphfix.place import Placement


def place_command(
    backbone: Annotated[Path, typer.Argument(help="The .onnx file to place; with --undo, the pipeline's folder.", show_default=False)],
    pipeline_dir: Annotated[
        Path | None, typer.Argument(help="The folder that optimum exported, with model_index.json.", show_default=False)
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Put back what the folder was exported with.")] = False,
    component: Annotated[str, typer.Option("--component", help="transformer or unet. Default: the one that the folder has.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, say what would be repaired, and write nothing.")] = False,
    format: Annotated[str, typer.Option("--format", help="text or json")] = "text",
) -> None:
    """Put BACKBONE into the folder of a pipeline that optimum exported, if the pipeline would make the right picture with it.

    Its inputs, outputs, types and sizes are held against the model that it replaces and against config.json. Passes mend what can be
    mended, in the copy; BACKBONE stays as it is. The model that was there is kept for --undo. A crash leaves the old one or the new one.

    Exit codes: 0 placed, undone, or nothing to do; 1 refused; 2 wrong usage; 3 this machine cannot do it (for example, the disk is full).
    """
    if format not in {"text", "json"}:
        raise UsageError(f"--format {format}", hint="--format text or json")
    if undo and (pipeline_dir is not None or dry_run):
        raise UsageError("--undo takes the pipeline's folder and nothing else", hint=f"graphfix place --undo {pipeline_dir or backbone}")
    if not undo and pipeline_dir is None:
        raise UsageError("PIPELINE_DIR is missing", hint=f"graphfix place {backbone} PIPELINE_DIR")
    from graphfix import place

    if undo or pipeline_dir is None:
        done = place.undo(backbone, component=component)
    else:
        with terminal.progress() as progress:
            done = place.place(backbone, pipeline_dir, component=component, dry_run=dry_run, progress=progress)
    if format == "json":
        typer.echo(json.dumps(done.report(), indent=1))
    else:
        _print(done)
    if done.refused:
        raise typer.Exit(1)


def _print(done: Placement) -> None:
    out = terminal.console()
    if done.verdicts:
        rows = terminal.table("check", "", "found")
        for verdict in done.verdicts:
            more = (verdict.why, f"next: {verdict.hint}" if verdict.hint else "") if verdict.level != "ok" else ()
            terminal.add_rows(rows, [(verdict.check, verdict.level, verdict.found), *(("", "", line) for line in more if line)])
        out.print(rows)
    for line in done.lines():
        out.print(line, markup=False)
