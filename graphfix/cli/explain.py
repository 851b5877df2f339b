"""``graphfix explain``: what a lint looks for, why that is bad, and what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from graphfix.cli import terminal


def explain_command(
    lint: Annotated[str | None, typer.Argument(help="A code or a name: GF004, untyped-trt-output.", show_default=False)] = None,
) -> None:
    """Explain a lint, or list them all."""
    from graphfix.lints.base import HEADS
    from graphfix.lints.run import by_name, collect

    lints = collect()
    out = terminal.console()
    if lint is None:
        rows = terminal.table("code", "name", "level", "mended by", "needs")
        options = {"target": "--target", "ort": "--ort"}
        out.print(terminal.add_rows(rows, ((c.code, c.name, c.level, c.fix or "-", options.get(c.needs, "")) for c in lints)))
        out.print("\ngraphfix explain CODE explains one.", markup=False)
        return
    for i, cls in enumerate(by_name(lint, lints)):
        if i:
            out.print()
        out.print(f"{cls.code} {cls.name} ({cls.level})", style="bold", markup=False)
        sections = cls.sections()
        for head in HEADS:
            out.print(f"\n{head}", style="bold", markup=False)
            out.print(sections.get(head, ""), markup=False)
        mended = f"graphfix apply --passes {cls.fix} MODEL, or graphfix lint --fix MODEL" if cls.fix else "no pass can mend it"
        out.print(f"\nMended by: {mended}", markup=False)
