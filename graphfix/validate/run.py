"""The run and bench tiers: the model on an execution provider of this machine."""

from __future__ import annotations

import json
from typing import Any

from graphfix.report.result import FAILED, INFO, PASSED, SKIPPED, Check, hold
from graphfix.validate import child
from graphfix.validate.job import AT_LEAST, Job


def _common(job: Job) -> dict[str, Any]:
    return {
        "model": str(job.model),
        "spec": job.ep,
        "options": job.ep_options,
        "shapes": {k: list(v) for k, v in job.shapes.items()},
        "inputs": str(job.inputs) if job.inputs is not None else None,
    }


def tier(job: Job) -> list[Check]:
    """Every node on the provider, loaded cold and warm, deterministic, healthy, close to the CPU's emulation."""
    allow_cpu = job.ep in {"cpu", "cuda"}  # ONNX Runtime keeps shape arithmetic on the CPU there by design
    outcome = child.call("graphfix.validate.ep_worker:run", {**_common(job), "allow_cpu": allow_cpu}, job.timeout)
    if outcome.error:
        return [Check("run", job.ep, SKIPPED if outcome.unavailable else FAILED, outcome.error, seconds=outcome.seconds)]
    found = outcome.value
    name = found["provider"]
    placed = ", ".join(f"{count} on {where}" for where, count in found["nodes"].items())
    taken = found["nodes"].get(name, 0)
    if not taken:
        message = f"silent fallback: {name} took none of the nodes, the session runs entirely elsewhere ({placed})"
        return [Check("run", "placement", FAILED, message, where=_first(found), details=found, seconds=outcome.seconds)]
    if found["elsewhere_count"] and not allow_cpu:
        message = f"{found['elsewhere_count']} nodes are not on {name} ({placed})"
        return [Check("run", "placement", FAILED, message, where=_first(found), value=found["elsewhere_count"], threshold=0, details=found)]
    checks = [Check("run", "placement", PASSED, f"{placed}, in {found['subgraphs']} subgraph(s)", details=found, seconds=outcome.seconds)]
    message = f"cold {found['cold_seconds']:.2f} s, warm {found['warm_seconds']:.2f} s"
    checks.append(Check("run", "load time", INFO, message, value=found["cold_seconds"], unit="s"))
    same = found["deterministic"]
    checks.append(Check("run", "determinism", PASSED if same else FAILED, "two runs agree" if same else "two runs differ"))
    for output, complaints in found["complaints"].items():
        checks.append(Check("run", f"health of {output}", FAILED if complaints else PASSED, ", ".join(complaints) or "healthy"))
    for output, distance in found["distance"].items():
        checks += [
            hold("run", f"{output} {metric} against CPU", distance[metric], limit, at_least=AT_LEAST[metric], details=distance)
            for metric, limit in job.thresholds.items()
        ]
    return checks


def _first(found: dict[str, Any]) -> str:
    return str(found["elsewhere"][0]) if found["elsewhere"] else ""


def bench_tier(job: Job) -> list[Check]:
    """Latency, against an earlier report where one is given (no more than a tenth slower)."""
    outcome = child.call("graphfix.validate.ep_worker:bench", {**_common(job), "runs": job.runs}, job.timeout)
    if outcome.error:
        return [Check("bench", job.ep, SKIPPED if outcome.unavailable else FAILED, outcome.error, seconds=outcome.seconds)]
    earlier: dict[str, float] = {}
    if job.baseline is not None:
        for row in json.loads(job.baseline.read_text(encoding="utf-8")).get("checks", []):
            if row["tier"] == "bench" and "value" in row:
                earlier[row["name"]] = row["value"]
    checks = []
    for key in ("p50_ms", "p95_ms"):
        value = outcome.value[key]
        rest = {"unit": "ms", "details": outcome.value, "message": f"{value:.2f} ms on {outcome.value['provider']}"}
        if key in earlier:
            checks.append(hold("bench", key, value, earlier[key] * 1.1, at_least=False, **rest))
        else:
            checks.append(Check("bench", key, INFO, value=value, **rest))
    return checks
