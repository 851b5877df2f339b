"""The compile tier: TensorRT-RTX parses the model and builds an engine for a GPU that need not be here.

TensorRT-RTX's ahead-of-time builder needs neither a GPU nor a driver when the target is set explicitly. It is native code that can
crash or run for long, so it runs in a child process with a time limit, and what happens to that process is part of the result.

Source: TensorRT-RTX documentation, "CPU-only AOT engines"; supported targets from ``tensorrt_rtx.ComputeCapability``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graphfix.errors import UnavailableError, UsageError
from graphfix.report.result import FAILED, PASSED, SKIPPED, Check
from graphfix.validate import child
from graphfix.validate.job import Job

TARGETS = ("sm75", "sm80", "sm86", "sm89", "sm120", "sm121")
PACKAGE = "tensorrt_rtx"

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Compiled:
    """What came of building one engine.

    Attributes:
        target: The compute capability, as ``sm120``.
        ok: Whether an engine was built.
        seconds: Parsing and building, without starting the child process.
        engine_bytes: Size of the serialized engine.
        peak_bytes: Peak resident memory of the child process, 0 where the platform does not tell.
        errors: What TensorRT-RTX said, most specific first; a crash or a time-out reads as one line.
    """

    target: str
    ok: bool
    seconds: float = 0.0
    engine_bytes: int = 0
    peak_bytes: int = 0
    errors: tuple[str, ...] = ()


def compile_model(
    model: Path, target: str, shapes: Shapes, timeout: float = 600.0, least: Shapes | None = None, most: Shapes | None = None
) -> Compiled:
    """Build an engine for ``target`` in a child process and throw it away.

    Args:
        model: The ``.onnx`` file; its data file is found beside it.
        target: One of `TARGETS`.
        shapes: A static shape for every graph input that has a dynamic axis.
        timeout: Seconds after which the child is ended.
        least: The smallest shapes of the optimization profile, where they differ.
        most: The largest ones.

    Raises:
        UsageError: There is no such target, or no such file.
        UnavailableError: TensorRT-RTX is not installed.
    """
    if target not in TARGETS:
        raise UsageError(f"no target {target!r}", hint=f"one of {', '.join(TARGETS)}")
    if not model.is_file():
        raise UsageError(f"no file {model}", hint="check the path")
    if importlib.util.find_spec(PACKAGE) is None:
        raise UnavailableError("the compile tier needs TensorRT-RTX", why="it is not installed", hint='pip install "graphfix[compile]"')
    job = {"model": str(model.resolve()), "target": target, "shapes": shapes, "least": least or {}, "most": most or {}}
    outcome = child.call("graphfix.validate.compile_worker:build", job, timeout)
    if outcome.value is None:
        return Compiled(target, False, outcome.seconds, errors=(outcome.error,))
    found = {**outcome.value, "errors": tuple(outcome.value["errors"])}
    return Compiled(target, peak_bytes=outcome.peak_bytes, **found)


def tier(job: Job) -> list[Check]:
    """An engine for each target."""
    checks = []
    for target in job.targets:
        try:
            found = compile_model(job.model, target, job.shapes, job.timeout, job.least, job.most)
        except UnavailableError as error:
            return [Check("compile", target, SKIPPED, f"{error.why}: {error.hint}")]
        if not found.ok:
            checks.append(Check("compile", target, FAILED, "\n".join(found.errors), seconds=found.seconds))
            continue
        details = {"engine_bytes": found.engine_bytes, "peak_bytes": found.peak_bytes}
        message = f"engine of {found.engine_bytes / 1e6:.1f} MB"
        checks.append(Check("compile", target, PASSED, message, value=found.seconds, unit="s", seconds=found.seconds, details=details))
    return checks
