"""``graphfix passes``: list the passes there are, or explain one."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import typer

from graphfix.cli import terminal
from graphfix.registry import Registry


def passes_command(
    name: Annotated[str | None, typer.Argument(help="A pass to explain.", show_default=False)] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option("--plugin", help="A Python file with passes. It is code and runs with your rights. May be repeated."),
    ] = None,
) -> None:
    """List passes and pipelines, or explain one: what it changes, why, its options."""
    registry = Registry.load(plugin or ())
    out = terminal.console()
    if name is None:
        rows = terminal.table("pass", "what it does")
        out.print(terminal.add_rows(rows, ((row.name, row.summary) for row in registry.describe())))
        out.print()
        rows = terminal.table("pipeline", "stands for")
        out.print(terminal.add_rows(rows, registry.pipelines().items()))
        out.print("\ngraphfix passes NAME explains one.", markup=False)
        return
    pipelines = registry.pipelines()
    if name in pipelines:
        out.print(f"{name} = {pipelines[name]}", markup=False)
        return
    from graphfix.base import option_text

    cls, preset = registry.pass_class(name)
    out.print(f"{cls.name}: {cls.summary}", style="bold", markup=False)
    out.print(f"\n{inspect.cleandoc(cls.__doc__ or '')}\n", markup=False)
    for option in cls.option_fields():
        given = option_text(preset.get(option.name, option.default))
        shown = "any key=value" if option.metadata.get("free") else f"{option.name.replace('_', '-')}={given}"
        out.print(f"option {shown}  {option.metadata.get('doc', '')}".rstrip(), markup=False)
    if cls.after:
        out.print(f"comes after: {', '.join(cls.after)}", markup=False)
