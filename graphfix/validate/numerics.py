"""The numerics tier: what the model computes on this machine's CPU, its quantizers emulated.

Against the file before the passes the bits should be the same; against an unquantized parent or recorded outputs the distance is held
against thresholds; without either, an output must at least look like one.
"""

from __future__ import annotations

from typing import Any

from graphfix import io
from graphfix.report.result import FAILED, INFO, PASSED, SKIPPED, Check, hold, installed
from graphfix.validate import child
from graphfix.validate.job import AT_LEAST, Job

# Emulation carries FP4 weights in FP8 inside one protobuf, and a CPU takes minutes for more than this.
LARGEST = 1 << 30


def tier(job: Job) -> list[Check]:
    """Health, distance to ``before`` and ``reference``, and the first layer that is off."""
    if not installed(("onnxruntime", "onnxruntime-gpu")):
        return [Check("numerics", "outputs", SKIPPED, 'ONNX Runtime is not installed: pip install "graphfix[cpu]"')]
    size = sum(t.nbytes for t in io.external_tensors(io.load(job.model)))
    if size > LARGEST and not job.named:
        return [Check("numerics", "outputs", SKIPPED, f"{size / 1e9:.1f} GB of weights on a CPU; --tier numerics runs it all the same")]
    checks = _against(job, None, "")
    if checks[0].status == FAILED and not checks[0].details:
        return checks  # it does not run at all
    if job.before is not None:
        checks += _against(job, str(job.before), "before")
    if job.reference is not None:
        checks += _against(job, str(job.reference), "reference")
    if job.layers:
        checks += _layers(job)
    return checks


def _call(job: Job, function: str, **arguments: Any) -> child.Outcome:
    common = {"model": str(job.model), "shapes": {k: list(v) for k, v in job.shapes.items()}}
    inputs = str(job.inputs) if job.inputs is not None else None
    return child.call(f"graphfix.validate.cpu:{function}", {**common, "inputs": inputs, **arguments}, job.timeout)


def _against(job: Job, other: str | None, kind: str) -> list[Check]:
    outcome = _call(job, "compare", other=other)
    if outcome.error:
        name = f"against {kind}" if kind else "outputs"
        return [Check("numerics", name, SKIPPED if outcome.unavailable else FAILED, outcome.error, seconds=outcome.seconds)]
    if not kind:
        return [
            Check(
                "numerics",
                f"health of {name}",
                FAILED if complaints else PASSED,
                ", ".join(complaints) or "finite, varied, inside its type's range",
                details=outcome.value["health"][name],
                seconds=outcome.seconds,
            )
            for name, complaints in outcome.value["complaints"].items()
        ]
    checks: list[Check] = []
    for name, found in outcome.value["distance"].items():
        checks += _before(name, found) if kind == "before" else _reference(job, name, found)
    return checks


def _before(name: str, found: dict[str, float]) -> list[Check]:
    if found["equal"]:
        return [Check("numerics", f"{name} before and after", PASSED, "bit-identical", details=found)]
    runtime = ", ".join(f"{name} {version}" for name, version in installed(("onnxruntime", "onnxruntime-gpu")).items())
    message = (
        f"not bit-identical: relative L2 {found['rel_l2']:.2e}, largest difference {found['max_abs']:.2e}, under "
        f"{runtime}; a release that has float16 kernels for one opset only rounds differently"
    )
    return [Check("numerics", f"{name} before and after", FAILED, message, value=found["rel_l2"], threshold=0.0, details=found)]


def _reference(job: Job, name: str, found: dict[str, float]) -> list[Check]:
    return [
        hold("numerics", f"{name} {metric}", found[metric], threshold, at_least=AT_LEAST[metric], details=found)
        for metric, threshold in job.thresholds.items()
    ]


def _layers(job: Job) -> list[Check]:
    other = job.before or job.reference
    if other is None or str(other).endswith(".npz"):
        return [Check("numerics", "layers", SKIPPED, "comparing layers needs a model: --before FILE or --reference FILE")]
    threshold = 0.0 if job.before is not None else job.thresholds.get("rel_l2", 0.0)
    outcome = _call(job, "layers", other=str(other), threshold=threshold)
    if outcome.error:
        return [Check("numerics", "layers", FAILED, outcome.error, seconds=outcome.seconds)]
    rows, first = outcome.value["rows"], outcome.value["first"]
    details = {"layers": rows}
    if first is None:
        worst = max((row[2] for row in rows), default=0.0)
        message = f"no layer above {threshold:g}; the worst of {len(rows)} looked at has relative L2 {worst:.2e}"
        return [Check("numerics", "layers", PASSED if rows else INFO, message, value=worst, threshold=threshold, details=details)]
    message = f"the first layer that is off, by relative L2 {first[2]:.2e}"
    return [Check("numerics", "layers", FAILED, message, where=first[1], value=first[2], threshold=threshold, details=details)]
