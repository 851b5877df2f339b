"""A job: the passes on one model, or one tier of the gate on what they made. Runs in any process of any machine that sees the files.

A tier is asked once for everything that it does not depend on: the checker knows no target, so it runs once for three of them. A job's
key is a digest of all that its answer depends on; an answer under that key is never asked for again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from graphfix import api, io
from graphfix._version import __version__
from graphfix.errors import GraphfixError, UnavailableError
from graphfix.registry import PASSES
from graphfix.report.result import FAILED, installed
from graphfix.validate import child, gate, shapes
from graphfix.validate.job import Job as GateJob

SCHEMA = 1  # of a stored answer; part of every key

APPLY = "apply"
# Which axes of the matrix a tier's answer depends on, beyond the model and its passes.
DEPENDS: dict[str, tuple[str, ...]] = {
    "check": (),
    "load": (),
    "compile": ("shapes", "target"),
    "numerics": ("shapes",),
    "run": ("shapes",),
}
_PASSES = ("onnx", "onnx-ir", "onnxscript", "onnx-graphsurgeon", "numpy", "ml_dtypes")
_ORT = ("onnxruntime", "onnxruntime-gpu")
# Packages whose release an answer may depend on.
RELEVANT: dict[str, tuple[str, ...]] = {
    APPLY: _PASSES,
    "check": _PASSES,
    "load": (*_PASSES, *_ORT),
    "compile": (*_PASSES, "tensorrt-rtx-cu13", "tensorrt-rtx-cu12"),
    "numerics": (*_PASSES, *_ORT),
    "run": (*_PASSES, *_ORT, "onnxruntime-ep-nv-tensorrt-rtx", "onnxruntime-ep-nv-tensorrt-rtx-cu12"),
}

OK, FINDINGS, REFUSED, UNAVAILABLE, TIMED_OUT, CRASHED = "ok", "findings", "refused", "unavailable", "timed out", "crashed"
OUTCOMES = (OK, FINDINGS, REFUSED, UNAVAILABLE, TIMED_OUT, CRASHED)
MOST_NOTES = 20

Bounds = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Job:
    """One job, complete: whoever runs it needs nothing else but the files.

    Attributes:
        stage: `APPLY`, or a tier.
        model: The model's name in the matrix; ``pipeline``, ``shapes`` and ``target`` likewise, empty where the stage knows none.
        source: The model as given.
        output: What the passes write and the tiers look at; the source itself where there are no passes.
        passes: A pipeline's text.
        plugins: Files that define further passes.
        dims: Sizes of axes by name.
        given: Shapes of inputs by name; ``least`` and ``most`` where the engine is built for a range.
        thresholds: Of the numerics tier.
        timeout: Seconds for each step.
        versions: Of the packages that the answer depends on, where the matrix was planned.
        identity: The model's digest, that of its data, of plugins: what a path does not tell.
    """

    stage: str
    model: str
    pipeline: str
    source: str
    output: str
    passes: str
    shapes: str = ""
    target: str = ""
    plugins: tuple[str, ...] = ()
    dims: dict[str, int] = field(default_factory=dict)
    given: Bounds = field(default_factory=dict)
    least: Bounds = field(default_factory=dict)
    most: Bounds = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    timeout: float = 600.0
    versions: dict[str, str] = field(default_factory=dict)
    identity: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """A digest of all that the answer depends on, and of whose it is; not of where files lie."""
        left_out = {"shapes", "source", "output", "plugins", "timeout"}
        told = {"schema": SCHEMA, **{k: v for k, v in dataclasses.asdict(self).items() if k not in left_out}}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]

    def __str__(self) -> str:
        return " ".join(filter(None, (self.model, self.pipeline, self.shapes, self.stage, self.target)))


@dataclass(frozen=True)
class Answer:
    """What came of a job.

    Attributes:
        outcome: One of `OUTCOMES`.
        message: Why it is not ok, with what to type next.
        seconds: From start to end.
        checks: What the gate said, as in the report of ``graphfix validate``.
        details: Of an `APPLY`: ``changes``, ``notes``, ``sha256`` of the output; of a tier: ``assumed`` axes.
    """

    outcome: str
    message: str = ""
    seconds: float = 0.0
    checks: tuple[dict[str, Any], ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


def versions(stage: str) -> dict[str, str]:
    """Releases that an answer of ``stage`` depends on, as installed here: graphfix, libraries, and whoever else offers passes."""
    owners = {entry.dist.name: entry.dist.version for entry in entry_points(group=PASSES) if entry.dist is not None}
    return {**owners, **installed(RELEVANT[stage]), "graphfix": __version__}


def run(job: Job) -> Answer:
    """Run a job; whatever happens short of this process' end is an answer."""
    began = time.perf_counter()
    try:
        answer = _apply(job) if job.stage == APPLY else _tier(job)
    except UnavailableError as error:
        answer = Answer(UNAVAILABLE, str(error))
    except GraphfixError as error:
        answer = Answer(REFUSED, str(error))
    except Exception as error:  # noqa: BLE001 - one job's surprise must not end the others
        answer = Answer(CRASHED, f"{type(error).__name__}: {error}")
    # Where files lie says nothing of the model, and hides that two of them fail alike.
    message = answer.message.replace(job.output, "the file").replace(job.source, "the file")
    return Answer(answer.outcome, message, round(time.perf_counter() - began, 3), answer.checks, answer.details)


def _same_here(job: Job, paths: Iterable[str]) -> None:
    """On a cluster: this machine has what the one that planned has.

    Raises:
        UnavailableError: It does not see a file, or has other releases.
    """
    node = platform.node()
    for path in paths:
        if not Path(path).exists():
            why = "every machine that runs jobs must see the models and the output folder under the same path"
            raise UnavailableError(f"{path} is not there on {node}", why=why, hint="use storage that all of them mount at one place")
    here = versions(job.stage)
    for name in sorted({*here, *job.versions}):
        if here.get(name) != job.versions.get(name):
            have, want = here.get(name, "none"), job.versions.get(name, "none")
            hint = f"pip install {name}=={want}" if name in job.versions else f"pip uninstall {name}"
            raise UnavailableError(f"{node} has {name} {have}, the matrix was planned with {want}", hint=f"on {node}: {hint}")


def _apply(job: Job) -> Answer:
    _same_here(job, (job.source, *job.plugins))
    arguments = {"source": job.source, "passes": job.passes, "plugins": list(job.plugins), "output": job.output}
    outcome = child.call("graphfix.batch.jobs:apply_passes", arguments, job.timeout)
    if outcome.value is None:
        # The child answers for every error that is graphfix's own; what is left is its end, or no end.
        return Answer(TIMED_OUT if outcome.seconds >= job.timeout else CRASHED, outcome.error)
    found: dict[str, Any] = outcome.value
    return Answer(found.pop("outcome"), found.pop("message"), details=found)


def apply_passes(source: str, passes: str, plugins: list[str], output: str) -> dict[str, Any]:
    """In the child: run passes and write the result; a refusal is an answer."""
    target = Path(output)
    try:
        io.make_folder(target.parent)
        io.check_target(Path(source), target, force=False, in_place=False)
        result = api.apply(source, passes, plugins=plugins)
        saved = result.save(target)
    except GraphfixError as error:
        return {"outcome": UNAVAILABLE if isinstance(error, UnavailableError) else REFUSED, "message": str(error)}
    except OSError as error:
        return {"outcome": UNAVAILABLE, "message": f"cannot write {target}: {error.strerror or error}"}
    return {
        "outcome": OK,
        "message": "",
        "changes": len(result.changes),
        "notes": [api.vars_of(finding) for finding in result.findings[:MOST_NOTES]],
        "data": saved.data,
        "files": [[path.name, path.stat().st_size] for path in (saved.path, *saved.data_files)],
        "sha256": io.digest(saved.path),
    }


def _tier(job: Job) -> Answer:
    _same_here(job, (job.output,))
    path = Path(job.output)
    model = io.load(path)
    inputs = {value.name for value in model.graph.inputs}
    given, least, most = ({k: tuple(v) for k, v in found.items() if k in inputs} for found in (job.given, job.least, job.most))
    chosen = shapes.choose(model, given, job.dims)
    asked = GateJob(
        model=path,
        tiers=(job.stage,),
        named=True,
        shapes=chosen.shapes,
        assumed=chosen.assumed,
        least=least,
        most=most,
        targets=(job.target,) if job.target else (),
        timeout=job.timeout,
        thresholds=job.thresholds,
    )
    report = gate.validate(asked)
    told = [dataclasses.replace(check, message=check.message.replace(str(path), "the file")) for check in report.checks]
    failed = [check for check in told if check.status == FAILED]
    details = {"assumed": list(chosen.assumed)} if "shapes" in DEPENDS[job.stage] and chosen.assumed else {}
    checks = tuple(check.as_dict() for check in told)
    if not failed:
        return Answer(OK, checks=checks, details=details)
    # A step that took all the time it had was ended.
    late = any(check.seconds >= job.timeout for check in failed)
    return Answer(TIMED_OUT if late else FINDINGS, "\n".join(check.message for check in failed), checks=checks, details=details)
