"""The command line: one file per verb, each of which parses, calls one function, renders, and turns the outcome into an exit code."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from graphfix._version import __version__
from graphfix.cli import apply, batch, build, diff, doctor, explain, inspect, lint, passes, place, quantize, terminal, validate
from graphfix.errors import GraphfixError

app = typer.Typer(
    name="graphfix",
    help="Graph surgery for quantized ONNX models: from a ModelOpt export to a file that ONNX Runtime's TensorRT-RTX EP loads.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"graphfix {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)] = False,
) -> None:
    pass


app.command("apply")(apply.apply_command)
app.command("passes")(passes.passes_command)
app.command("inspect")(inspect.inspect_command)
app.command("lint")(lint.lint_command)
app.command("explain")(explain.explain_command)
app.command("validate")(validate.validate_command)
app.command("quantize")(quantize.quantize_command)
app.command("place")(place.place_command)
app.command("build")(build.build_command)
app.command("batch")(batch.batch_command)
app.command("diff")(diff.diff_command)
app.command("doctor")(doctor.doctor_command)


def main() -> None:
    """Run the command line; every error of graphfix, and what the system refuses, becomes one message and its exit code."""
    try:
        app()
    except GraphfixError as error:
        typer.echo(terminal.plain(f"error: {error}"), err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(terminal.plain(f"error: {where}{error.strerror or error}"), err=True)
        sys.exit(3)
    except MemoryError:
        typer.echo("error: out of memory; nothing was left half-written", err=True)
        sys.exit(3)
    except KeyboardInterrupt:
        typer.echo("stopped; nothing was left half-written", err=True)
        sys.exit(130)
