"""``graphfix validate``: hold a model against what it is meant to run on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphfix.cli import terminal
from graphfix.errors import UsageError


def validate_command(
    model: Annotated[Path, typer.Argument(help="The .onnx file.", show_default=False)],
    target: Annotated[
        list[str] | None, typer.Option("--target", help="GPU to compile for: sm86, sm89 (RTX 40), sm120 (RTX 50)... May be repeated.")
    ] = None,
    shape: Annotated[
        list[str] | None, typer.Option("--shape", help="A dynamic input's shape: hidden_states=2x16x128x128. May be repeated.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds for each target.")] = 600.0,
) -> None:
    """Compile MODEL with TensorRT-RTX for each target, on any machine: no GPU and no driver needed.

    Exit codes: 0 every target compiled; 1 one did not; 2 wrong usage; 3 TensorRT-RTX is not installed.
    """
    from graphfix.validate.compile import compile_model

    shapes = dict(_shape(text) for text in shape or ())
    out = terminal.console()
    failed = False
    for name in target or ["sm120"]:
        result = compile_model(model, name, shapes, timeout)
        failed |= not result.ok
        if result.ok:
            peak = f", {terminal.size(result.peak_bytes)} peak memory" if result.peak_bytes else ""
            out.print(f"{name}: compiled in {result.seconds:.1f} s, engine {terminal.size(result.engine_bytes)}{peak}", markup=False)
        else:
            out.print(f"{name}: FAILED", markup=False)
            for line in result.errors:
                out.print(f"  {line}", markup=False)
    if failed:
        raise typer.Exit(1)


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, equals, dims = text.rpartition("=")
    try:
        shape = tuple(int(d) for d in dims.split("x"))
    except ValueError:
        shape = ()
    if not equals or not name or not shape or min(shape) < 0:
        raise UsageError(f"cannot read --shape {text}", hint="--shape hidden_states=2x16x128x128")
    return name, shape
