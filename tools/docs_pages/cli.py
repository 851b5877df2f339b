"""The command-line reference, asked of the command line itself."""

from __future__ import annotations

import inspect
from typing import Any

import typer.main

from graphfix.cli import app
from tools.docs_pages.passes import table


def pages() -> dict[str, str]:
    """``cli.md``."""
    group: Any = typer.main.get_command(app)
    parts = [
        "# Command line",
        str(group.help),
        "Exit codes of every verb: 0 done; 1 findings, or a model that cannot be read or fixed; 2 wrong usage; "
        "3 this machine cannot do it, with the command that mends it.",
        *(_verb(name, command) for name, command in group.commands.items()),
    ]
    return {"cli.md": "\n\n".join(parts) + "\n"}


def _verb(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not getattr(p, "hidden", False)]
    usage = " ".join([f"graphfix {name}", *(_argument(p) for p in arguments), *(["[OPTIONS]"] if options else [])])
    parts = [f"## {name}", inspect.cleandoc(command.help or ""), f"```text\n{usage}\n```"]
    rows = [(f"`{_argument(p)}`", p.help or "") for p in arguments]
    rows += [(_names(p), _help(p)) for p in options]
    return "\n\n".join([*parts, table(("", "meaning"), rows)] if rows else parts)


def _argument(parameter: Any) -> str:
    name = parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _names(parameter: Any) -> str:
    return ", ".join(f"`{name}`" for name in sorted([*parameter.opts, *parameter.secondary_opts], key=lambda name: name[:2] == "--"))


def _help(parameter: Any) -> str:
    text = parameter.help or ""
    default = parameter.default
    shown = isinstance(default, str | int | float) and not isinstance(default, bool) and default != "" and "efault:" not in text
    return f"{text} Default: `{default}`." if shown else text
