"""``graphfix batch``: many models by pipelines by targets by shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphfix.cli import batch_progress, terminal
from graphfix.errors import UsageError

if TYPE_CHECKING:
    from graphfix.batch.executor import Executor

MOST = 8  # problems told of in a terminal


def batch_command(
    manifest: Annotated[Path, typer.Argument(help="A TOML file that names models, pipelines, targets and shapes.", show_default=False)],
    workers: Annotated[int, typer.Option("--workers", "-j", help="Jobs side by side. Default: one for each core.", show_default=False)] = 0,
    ray: Annotated[
        str,
        typer.Option(
            "--ray", metavar="ADDRESS", help="Run on a Ray cluster whose machines see the same paths: host:port, 'auto', or 'local'."
        ),
    ] = "",
    rerun: Annotated[str, typer.Option("--rerun", help="Ask again what was answered before: 'failed', or 'all'.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the jobs that would run, and run none.")] = False,
    format: Annotated[str, typer.Option("--format", help="text or json")] = "text",
) -> None:
    """Run pipelines on many models and hold each result against each target; ends in one JSON and one HTML matrix.

    Answers are kept as they come: after Ctrl-C, or a change to one model, the same command does only what is left.

    Exit codes: 0 all is well; 1 something is not; 2 wrong usage; 3 nothing is wrong, but this environment could not look at everything.
    """
    if format not in {"text", "json"}:
        raise UsageError(f"--format {format}", hint="--format text or json")
    if rerun not in {"", "failed", "all"}:
        raise UsageError(f"--rerun {rerun}", hint="--rerun failed, or --rerun all")
    if workers < 0:
        raise UsageError(f"--workers {workers}", hint="--workers 2")
    if ray and workers:
        raise UsageError("--workers counts processes of this machine, --ray uses those of a cluster", hint="leave one of them out")
    from graphfix import batch

    if dry_run:
        _list(batch, manifest, rerun)
        return

    def executor() -> Executor:
        if ray:
            from graphfix.batch.ray_executor import Ray

            return Ray(ray)
        from graphfix.batch.local import Local

        return Local(workers)

    try:
        with batch_progress.shown() as report:
            told, page = batch.carry_out(manifest, executor, rerun, report)
    except KeyboardInterrupt:
        typer.echo("answers so far are kept: the same command goes on from there", err=True)
        raise
    if format == "json":
        typer.echo(json.dumps(told, indent=1))
    else:
        _print(told, page)
    if code := batch.exit_code(told):
        raise typer.Exit(code)


def _list(batch: Any, manifest: Path, rerun: str) -> None:
    plan, left = batch.outstanding(manifest, rerun)
    out = terminal.console()
    for job in left:
        out.print(str(job), markup=False)
    out.print(f"{len(left)} of {len(plan.jobs)} jobs to do for {len(plan.cells)} places of the matrix", markup=False)


def _print(told: dict[str, Any], page: Path) -> None:
    from graphfix.batch.page import place, tables

    out = terminal.console()
    for table in tables(told):
        title = ", ".join(filter(None, (table["pipeline"], table["shapes"] and f"shapes {table['shapes']}")))
        rows = ((row["model"], *("-" if i is None else told["cells"][i]["outcome"] for i in row["cells"])) for row in table["rows"])
        out.print(title, style="bold", markup=False)
        out.print(terminal.add_rows(terminal.table("model", *table["targets"]), rows))
        out.print()
    for problem in told["problems"][:MOST]:
        out.print(f"{len(problem['cells'])} x {problem['outcome']}, {problem['stage']}:", markup=False)
        for line in problem["message"].splitlines()[:4]:
            out.print(f"    {line}", markup=False)
        if problem["fix"]:
            out.print(f"    next: {problem['fix']}", markup=False)
        named = ", ".join(place(told, i) for i in problem["cells"][:4])
        more = f" and {len(problem['cells']) - 4} more" if len(problem["cells"]) > 4 else ""
        out.print(f"    in {named}{more}", markup=False)
    if len(told["problems"]) > MOST:
        out.print(f"and {len(told['problems']) - MOST} more kinds of problem; the page has all of them", markup=False)
    run = told["run"]
    for death in run["deaths"]:
        out.print(f"a worker died at {death['job']}, attempt {death['attempt']}: {death['how']}", markup=False)
    kept = f", {run['resumed']:,} of them from before" if run["resumed"] else ""
    out.print(f"{run['executor']}: {run['jobs']:,} answers{kept}, {run['seconds']:.1f} s", markup=False)
    out.print(f"wrote {page} and {page.with_suffix('.json').name}", markup=False)
    out.print(told["verdict"], markup=False)
