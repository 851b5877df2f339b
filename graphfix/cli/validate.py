"""``graphfix validate``: the pre-deployment gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphfix.cli import terminal
from graphfix.errors import UsageError

FORMATS = ("text", "json", "junit", "sarif", "github", "markdown", "html")
Strings = list[str] | None


def validate_command(
    model: Annotated[Path, typer.Argument(help="The .onnx file.", show_default=False)],
    tier: Annotated[
        Strings,
        typer.Option("--tier", help="check, load, compile, numerics, run, bench; may be repeated. Default: all that this machine can do."),
    ] = None,
    target: Annotated[Strings, typer.Option("--target", help="GPU to compile for: sm86 (RTX 30), sm89 (RTX 40), sm120 (RTX 50)...")] = None,
    shape: Annotated[Strings, typer.Option("--shape", help="A dynamic input's shape: hidden_states=2x16x128x128. May be repeated.")] = None,
    smallest: Annotated[Strings, typer.Option("--min", help="The smallest shape to compile for: name=1x16x64x64. May be repeated.")] = None,
    largest: Annotated[Strings, typer.Option("--max", help="The largest shape to compile for. May be repeated.")] = None,
    dim: Annotated[Strings, typer.Option("--dim", help="A dynamic axis' size by its name: batch_size=2. May be repeated.")] = None,
    before: Annotated[Path | None, typer.Option("--before", help="The file before the passes: results must be the same bits.")] = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="The unquantized parent (.onnx), or recorded outputs (.npz).")
    ] = None,
    inputs: Annotated[Path | None, typer.Option("--inputs", help="Recorded inputs (.npz) instead of random ones.")] = None,
    threshold: Annotated[
        Strings, typer.Option("--threshold", help="rel_l2=0.2, cosine=0.99, psnr=30, max_abs=0.1. May be repeated.")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Compare layer by layer and name the first that is off.")] = False,
    ep: Annotated[str | None, typer.Option("--ep", help="Execution provider for run and bench: a package, a library, cuda, cpu.")] = None,
    ep_option: Annotated[Strings, typer.Option("--ep-option", help="key=value for the execution provider. May be repeated.")] = None,
    baseline: Annotated[Path | None, typer.Option("--baseline", help="An earlier JSON report: latency must be no worse.")] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds for each step.")] = 600.0,
    format: Annotated[str, typer.Option("--format", help=", ".join(FORMATS))] = "text",
    output_file: Annotated[Path | None, typer.Option("--output-file", help="Write the rendering there instead of standard output.")] = None,
) -> None:
    """Hold MODEL against what it is meant to run on: valid, loads, compiles, computes, runs. Needs no GPU for the first four.

    Exit codes: 0 nothing failed (what was skipped is listed); 1 something failed; 2 wrong usage; 3 a tier asked for by name cannot run
    here.
    """
    if format not in FORMATS:
        raise UsageError(f"--format {format}", hint=f"one of {', '.join(FORMATS)}")
    from graphfix import config, io
    from graphfix.report import render
    from graphfix.validate import gate, shapes
    from graphfix.validate.compile import TARGETS
    from graphfix.validate.job import AT_LEAST, DEFAULT_EP, THRESHOLDS, TIERS, Job

    held = config.load().validate
    tier, target = tier or list(held.tiers), target or list(held.targets)
    threshold = [*(f"{k}={v}" for k, v in held.thresholds.items()), *(threshold or ())]
    shape = [*(f"{k}={v}" for k, v in held.shapes.items()), *(shape or ())]
    dim = [*(f"{k}={v}" for k, v in held.dims.items()), *(dim or ())]
    ep = ep or held.ep or DEFAULT_EP
    baseline = baseline or (Path(held.baseline) if held.baseline else None)
    for name in tier or ():
        if name not in TIERS:
            raise UsageError(f"no tier {name!r}", hint=f"one of {', '.join(TIERS)}")
    for name in target or ():
        if name not in TARGETS:
            raise UsageError(f"no target {name!r}", hint=f"one of {', '.join(TARGETS)}")
    limits = {key: _number(key, text, AT_LEAST) for key, text in map(_pair, threshold or ())}
    given = {key: _shape(text) for key, text in map(_pair, shape or ())}
    dims = {key: _whole(key, text) for key, text in map(_pair, dim or ())}
    for path in filter(None, (before, reference, inputs, baseline)):
        if not path.is_file():
            raise UsageError(f"no file {path}", hint="check the path")
    loaded = io.load(model)
    chosen = shapes.choose(loaded, {**(shapes.recorded(inputs, loaded) if inputs is not None else {}), **given}, dims)
    job = Job(
        model=model.resolve(),
        tiers=tuple(tier or TIERS),
        named=bool(tier),
        shapes=chosen.shapes,
        assumed=chosen.assumed,
        least=_bounds(smallest, chosen.shapes, "--min"),
        most=_bounds(largest, chosen.shapes, "--max"),
        targets=tuple(target or ("sm120",)),
        timeout=timeout,
        before=before,
        reference=reference,
        inputs=inputs,
        thresholds=limits or dict(THRESHOLDS),
        layers=layers,
        ep=ep,
        ep_options=dict(map(_pair, ep_option or ())),
        baseline=baseline,
    )
    with terminal.progress() as progress:
        report = gate.validate(job, progress)
    text = render.render(report, format, assumed=job.assumed)
    if output_file is not None:
        io.write_text(output_file, text)
        typer.echo(report.verdict())
    else:
        # JSON has no line breaks in its strings, and workflow commands are what the github format is.
        typer.echo(text if format in {"json", "sarif", "github"} else terminal.plain(text), nl=False)
    if not report.passed:
        raise typer.Exit(1)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.rpartition("=")
    if not equals or not key or not value:
        raise UsageError(f"cannot read {text!r}", hint="write name=value")
    return key, value


def _shape(dims: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(d) for d in dims.split("x"))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 0:
        raise UsageError(f"cannot read the shape {dims!r}", hint="--shape hidden_states=2x16x128x128")
    return shape


def _bounds(texts: Strings, shapes: dict[str, tuple[int, ...]], option: str) -> dict[str, tuple[int, ...]]:
    found = {key: _shape(text) for key, text in map(_pair, texts or ())}
    for name, shape in found.items():
        inside = (lambda a, b: a <= b) if option == "--min" else (lambda a, b: a >= b)
        if name not in shapes or len(shape) != len(shapes[name]) or not all(map(inside, shape, shapes[name])):
            side = "at most" if option == "--min" else "at least"
            known = f"{'x'.join(map(str, shapes[name]))}" if name in shapes else "no such input"
            raise UsageError(f"{option} {name}: every size must be {side} that of --shape", where=f"{name}: {known}")
    return found


def _whole(key: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--dim {key}={text}: a size is a positive whole number")
    return int(text)


def _number(key: str, text: str, known: dict[str, bool]) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise UsageError(f"--threshold {key}={text}: expected a number") from error
    if key not in known:
        raise UsageError(f"no metric {key!r}", hint=f"one of {', '.join(known)}")
    return value
