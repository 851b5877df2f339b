"""``graphfix lint``: look for smells in a model, and run the passes that mend them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphfix.cli import terminal
from graphfix.errors import UsageError

if TYPE_CHECKING:
    from graphfix.lints.run import Linted


def lint_command(
    model: Annotated[Path, typer.Argument(help="The .onnx file.", show_default=False)],
    target: Annotated[
        list[str] | None, typer.Option("--target", help="GPU to hold the types against: sm86, sm89, sm120... May be repeated.")
    ] = None,
    ort: Annotated[str, typer.Option("--ort", help="ONNX Runtime release to hold opset and IR version against: 1.30.")] = "",
    select: Annotated[str, typer.Option("--select", help="Only these: codes, beginnings of codes, or names, with commas.")] = "",
    ignore: Annotated[str, typer.Option("--ignore", help="All but these.")] = "",
    fix: Annotated[bool, typer.Option("--fix", help="Run the passes that mend what was found, and write the result.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where --fix writes. Default: MODEL with '.fixed' before its suffix.")
    ] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Let --fix replace MODEL.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Let --fix replace an existing output that graphfix did not write.")] = False,
    format: Annotated[str, typer.Option("--format", help="text, json or sarif")] = "text",
) -> None:
    """Look for what will not load, compile or be right, without running anything. Weights are not read.

    Exit codes: 0 nothing at level error (with --fix: nothing left); 1 something is, or the file is no model; 2 wrong usage.
    """
    if format not in {"text", "json", "sarif"}:
        raise UsageError(f"--format {format}", hint="--format text, json or sarif")
    if (output is not None or in_place or force) and not fix:
        raise UsageError("-o, --in-place and --force say where --fix writes", hint="add --fix, or leave them out")
    if in_place and output is not None:
        raise UsageError("--in-place and -o exclude each other", hint="leave one of them out")
    from graphfix import api, config
    from graphfix.lints.run import lint
    from graphfix.report.findings import lines

    held = config.load().lint
    ignored = [*_split(ignore), *(row.code for row in held.ignore)]
    asked: dict[str, Any] = {"targets": target or held.targets, "ort": ort or held.ort, "select": _split(select), "ignore": ignored}
    subject, mended = model, None
    if fix:
        subject, mended = _fix(api, model, output, in_place, force, asked)
    found = lint(subject, **asked)
    if format == "json":
        typer.echo(json.dumps({**found.report(), "fixed": mended}, indent=1))
    elif format == "sarif":
        from graphfix.report import sarif

        typer.echo(sarif.findings(found, subject.name), nl=False)
    else:
        out = terminal.console()
        if mended is not None:
            out.print(f"mended {mended['mended']} of {mended['before']} findings with {mended['passes'] or 'no pass'}", markup=False)
            if subject != model or in_place:
                out.print(f"wrote {subject}", markup=False)
        for line in lines(found, subject):
            out.print(line, markup=False)
    if found.count("error"):
        raise typer.Exit(1)


def _fix(api: Any, model: Path, output: Path | None, in_place: bool, force: bool, asked: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    from graphfix import io

    place = model if in_place else (output or io.default_output(model))
    if place.is_dir():
        place = place / model.name
    io.check_target(model, place, force=force, in_place=in_place)
    before, result = api.mend(model, **asked)
    if result is None:
        return model, {"passes": "", "before": len(before.findings), "mended": 0, "path": None}
    saved = result.save(place)
    after: Linted = api.lint(saved.path, **asked)
    passes = ",".join(done.text for done in result.result.passes)
    mended = len(before.findings) - len(after.findings)
    return saved.path, {"passes": passes, "before": len(before.findings), "mended": mended, "path": saved.path.name}


def _split(text: str) -> list[str]:
    return [part for part in text.replace(" ", ",").split(",") if part]
