"""``graphfix build``: the whole road in one resumable run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphfix.cli import terminal


def build_command(
    recipe: Annotated[Path, typer.Argument(help="A .toml file with tables quantize, apply, validate, place.", show_default=False)],
    fresh: Annotated[bool, typer.Option("--fresh", help="Do every stage again, whatever is there.")] = False,
) -> None:
    """Quantize, apply, validate and place as RECIPE says. A stage whose inputs did not change is skipped.

    Exit codes: 0 done; 1 the gate or the pipeline's folder refused the result, or a model cannot be fixed; 2 wrong usage; 3 this machine
    cannot do it.
    """
    from graphfix import build
    from graphfix.quantize.quiet import captured

    wanted = build.read(recipe)
    out = terminal.console()

    def tell(outcome: build.Outcome) -> None:
        told.append(outcome)

    told: list[build.Outcome] = []
    try:
        with captured(wanted.output / "build.log") as stream, terminal.progress(stream) as progress:
            made = build.build(wanted, progress, tell, fresh=fresh)
    finally:
        rows = terminal.table("stage", "", "seconds", "result", numbers=(2,))
        out.print(terminal.add_rows(rows, ((o.stage, o.status, f"{o.seconds:.1f}", o.message) for o in told)))
    if not made.passed:
        raise typer.Exit(1)
