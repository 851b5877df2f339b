"""``graphfix apply``: run passes on a model and write the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphfix.cli import terminal
from graphfix.errors import UsageError

if TYPE_CHECKING:
    from graphfix.api import Applied


def apply_command(
    model: Annotated[Path, typer.Argument(help="The .onnx file. It is not changed.", show_default=False)],
    passes: Annotated[
        str,
        typer.Option(
            "--passes", "-p", help="Passes in order, options in braces: opset23,trt-types. Default: the configuration's, else trtrtx."
        ),
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write. Default: MODEL with '.fixed' before its suffix, beside it.")
    ] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Replace MODEL.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change and write nothing.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Print every kind of change with its reason and first places.")] = False,
    report: Annotated[Path | None, typer.Option("--report", help="Write everything that was done to this JSON file.")] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option("--plugin", help="A Python file with passes. It is code and runs with your rights. May be repeated."),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            "--data", help="External data: 'share' the input's file, 'copy' it, 'gather' all weights in one file, 'auto': share or copy."
        ),
    ] = "auto",
    sync: Annotated[
        bool,
        typer.Option(
            "--sync/--no-sync",
            help="Wait until the disk has everything; without, a copy takes the time of cp, and is as safe in a power cut.",
        ),
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output that graphfix did not write.")] = False,
) -> None:
    """Run passes on MODEL and write the result beside it.

    Exit codes: 0 done; 1 the model cannot be read or fixed; 2 wrong usage; 3 this machine cannot do it (for example, the disk is full).
    """
    if data not in {"auto", "share", "copy", "gather"}:
        raise UsageError(f"--data {data}", hint="--data share, copy, gather or auto")
    if in_place and output is not None:
        raise UsageError("--in-place and -o exclude each other", hint="leave one of them out")
    if in_place and not sync:
        why = "after a power cut neither the old model nor the new one might be whole"
        raise UsageError("--in-place and --no-sync exclude each other", why=why, hint="write another file with -o")
    from graphfix import api, config, io

    passes = passes or config.load().apply.passes
    target = model if in_place else (output or io.default_output(model))
    if target.is_dir():
        target = target / model.name
    if not dry_run:
        io.check_target(model, target, force=force, in_place=in_place)
    with terminal.progress() as progress:
        result = api.apply(model, passes, plugins=plugin or (), progress=progress)
        saved = None if dry_run else result.save(target, data=data, sync=sync, progress=progress)
    _print(result, diff=diff or dry_run)
    if report is not None:
        io.write_text(report, json.dumps(result.report(), indent=1) + "\n")
    out = terminal.console()
    if saved is None:
        out.print("dry run: nothing was written")
        return
    kept = {
        "none": "no external data",
        "shared": f"data shared with the input: {', '.join(p.name for p in saved.data_files)}",
        "reflinked": f"data reflinked: {', '.join(p.name for p in saved.data_files)}",
        "copied": f"data copied: {', '.join(p.name for p in saved.data_files)}",
        "written": f"data written: {', '.join(p.name for p in saved.data_files)}",
    }
    out.print(f"wrote {saved.path}  ({kept[saved.data]})")


def _print(result: Applied[object], *, diff: bool) -> None:
    from graphfix.report.summary import group, lines

    out = terminal.console()
    rows = terminal.table("pass", "changes", "seconds", numbers=(1, 2))
    out.print(terminal.add_rows(rows, ((done.text, len(done.changes), f"{done.seconds:.3f}") for done in result.result.passes)))
    if diff:
        for done in result.result.passes:
            if done.changes:
                out.print(f"\n{done.text}", style="bold", markup=False)
            for line in lines(group(done.changes)):
                out.print(line, markup=False)
        out.print()
    for finding in result.findings[:10]:
        out.print(f"{finding.level}: {finding.message}  [{finding.code}] at {finding.where}", markup=False)
    if len(result.findings) > 10:
        out.print(f"and {len(result.findings) - 10} more findings; --report FILE.json holds all of them", markup=False)
