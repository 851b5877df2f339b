"""``graphfix quantize``: from a diffusers model to a file that deploys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphfix.cli import terminal
from graphfix.errors import UsageError

if TYPE_CHECKING:
    from graphfix.quantize.job import Job
    from graphfix.quantize.run import Quantized


def quantize_command(
    model: Annotated[str, typer.Argument(help="A diffusers folder, one component of it, or owner/name on the hub.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.", show_default=False)],
    format: Annotated[
        str,
        typer.Option("--format", "-f", help="nvfp4, fp8, int8, int8-sq, mxfp8, int4-awq, svdquant. Default: what the recipe recommends."),
    ] = "",
    mha: Annotated[
        str, typer.Option("--mha", help="fp8: quantize attention's operands too; none. Default: as the recipe recommends.")
    ] = "",
    calibration: Annotated[
        str, typer.Option("--calibration", help="random; prompts in a .txt file, one a line; or recorded inputs in an .npz file.")
    ] = "random",
    steps: Annotated[int, typer.Option("--steps", help="Samples to calibrate with; with prompts, denoising steps for each.")] = 32,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    dtype: Annotated[str, typer.Option("--dtype", help="fp16, bf16 or fp32: what is not quantized.")] = "fp16",
    component: Annotated[str, typer.Option("--component", help="The part of the pipeline. Default: transformer or unet.")] = "",
    recipe: Annotated[Path | None, typer.Option("--recipe", help="A .toml file that describes another backbone.")] = None,
    size: Annotated[list[str] | None, typer.Option("--size", help="A free axis while tracing: height=128. May be repeated.")] = None,
    passes: Annotated[str, typer.Option("--passes", help="The pipeline after the export. Default: the format's.")] = "",
    raw: Annotated[bool, typer.Option("--raw", help="Stop at what torch exported.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of random calibration and of the recorded sample.")] = 0,
    random_weights: Annotated[
        int | None, typer.Option("--random-weights", help="A seed: take the architecture only, and try the whole road without the weights.")
    ] = None,
    reference: Annotated[bool, typer.Option(help="Record what the quantized module computes, for the gate.")] = True,
) -> None:
    """Quantize MODEL's backbone with NVIDIA ModelOpt, export it, and make it deployable.

    Needs: pip install "graphfix[quantize]". Exit codes: 0 done; 1 the model cannot be taken this way; 2 wrong usage; 3 this machine
    cannot do it, with the command that mends it.
    """
    from graphfix.quantize import job

    given = job.make(
        model,
        output,
        format=format,
        mha=mha,
        component=component,
        recipe=recipe,
        calibration=calibration,
        steps=steps,
        device=device,
        dtype=dtype,
        raw=raw,
        seed=seed,
        random_weights=random_weights,
        sizes=dict(map(_size, size or ())),
        passes=passes,
        reference=reference,
    )
    from graphfix.quantize.quiet import captured
    from graphfix.quantize.run import run

    with captured(output / "quantize.log") as stream, terminal.progress(stream) as progress:
        made = run(given, progress)
    _print(given, made)


def _size(text: str) -> tuple[str, int]:
    name, equals, number = text.partition("=")
    if not equals or not number.isdigit():
        raise UsageError(f"--size {text}", hint="--size height=128")
    return name, int(number)


def _print(job: Job, made: Quantized) -> None:
    out = terminal.console()
    attention = f", {len(made.plan.attention)} attentions in {job.mha.name.upper()}" if job.mha is not None else ""
    out.print(
        f"{job.source.cls} to {job.how.name}: {len(made.plan.quantized)} layers quantized, {len(made.plan.kept)} kept{attention}",
        markup=False,
    )
    rows = terminal.table("stage", "seconds", "peak MB", "peak GPU MB", numbers=(1, 2, 3))
    for stage in made.stages:
        terminal.add_rows(rows, [(stage.name, f"{stage.seconds:.1f}", stage.peak_bytes >> 20, stage.gpu_peak_bytes >> 20 or "")])
    out.print(rows)
    if made.noise is not None:
        out.print(f"the quantized module is {made.noise:.3f} from the unquantized one (relative L2, one sample)")
    for finding in made.applied.findings[:10] if made.applied is not None else ():
        out.print(f"{finding.level}: {finding.message}  [{finding.code}] at {finding.where}", markup=False)
    out.print(f"wrote {made.path}", markup=False)
    if job.raw:
        out.print(f"next: graphfix apply {made.path}", markup=False)
    elif job.reference:
        folder = job.output
        out.print(
            f"next: graphfix validate {made.path} --inputs {folder / 'inputs.npz'} --reference {folder / 'reference.npz'}", markup=False
        )
