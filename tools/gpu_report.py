"""Run the gate's run and bench tiers on this machine's GPU with ONNX Runtime's CUDA provider, and write down what happened.

    python tools/gpu_report.py [OUTPUT.md]

The TensorRT-RTX EP is what the gate is for; where the GPU is one that it does not support, this shows the same code path on the CUDA
provider, on the formats that it can hold. Operators of domain ``trt`` get functions first (the emulate pass), for CUDA has none of them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import graphfix
from graphfix import io
from graphfix.doctor import supported
from graphfix.report.result import installed
from graphfix.validate import gate, shapes
from graphfix.validate.ep import TRT_RTX_GPUS
from graphfix.validate.job import Job

EXPORTS = Path(__file__).parents[1] / "fixtures" / "exports"
# (export, passes, what it shows)
FILES = [
    ("sd3_none_20", "trtrtx", "fp16"),
    ("sd3_int8_20", "trtrtx", "INT8"),
    ("sdxl_int8_20", "trtrtx", "INT8"),
    ("sd3_fp8_20", "trtrtx,emulate", "FP8"),
    ("sdxl_fp8_20", "trtrtx,emulate", "FP8"),
    ("sd3_nvfp4mha_20", "trtrtx,emulate", "NVFP4 and FP8"),
]
COLUMNS = (
    "export",
    "format",
    "passes",
    "verdict",
    "nodes by provider",
    "load cold / warm, s",
    "relative L2 to CPU, deterministic",
    "p50 / p95, ms",
)


def gpu() -> tuple[str, str, str]:
    """Name, compute capability and driver of the first GPU."""
    query = ["nvidia-smi", "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"]
    line = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    name, capability, driver = (part.strip() for part in line.split(","))
    return name, capability, driver


def row(folder: Path, name: str, passes: str, kind: str) -> str:
    """One line of the table."""
    path = graphfix.apply(EXPORTS / f"{name}.onnx", passes).save(folder / f"{name}.onnx").path
    dims = {"batch_size": 2, "steps": 1 if name.startswith("sdxl") else 2}
    job = Job(path, tiers=("run", "bench"), shapes=shapes.choose(io.load(path), {}, dims).shapes, ep="cuda")
    report = gate.validate(job)
    checks = {c.name: c for c in report.checks}
    placed = checks.get("placement")
    if placed is None or "subgraphs" not in placed.details or "warm_seconds" not in placed.details:
        reason = report.checks[0].message.replace("\n", " ").replace("|", "/")[:200]
        return f"| {name} | {kind} | `{passes}` | {report.checks[0].status}: {reason} | | | | |"
    found = placed.details
    distance = next(iter(found["distance"].values()))
    nodes = ", ".join(f"{n} {where.removesuffix('ExecutionProvider')}" for where, n in sorted(found["nodes"].items()))
    latency = f"{checks['p50_ms'].value:.2f} / {checks['p95_ms'].value:.2f}"
    verdict = "passed" if report.passed else "; ".join(f"{c.name}: {c.message}" for c in report.failed)[:120]
    return (
        f"| {name} | {kind} | `{passes}` | {verdict} | {nodes} | {found['cold_seconds']:.2f} / {found['warm_seconds']:.2f} | "
        f"{distance['rel_l2']:.1e}, {'yes' if found['deterministic'] else 'no'} | {latency} |"
    )


def main() -> None:
    name, capability, driver = gpu()
    verb = "can" if supported(capability) else "cannot"
    packages = ", ".join(f"{k} {v}" for k, v in installed(("onnxruntime-gpu", "onnxruntime", "onnx", "onnx-ir")).items())
    lines = [
        f"# The gate on a GPU: {name}",
        "",
        f"Compute capability {capability}, driver {driver}; {packages}. Written by `python tools/gpu_report.py`.",
        "",
        f"The TensorRT-RTX EP runs on {TRT_RTX_GPUS}; compute capability {capability} {verb} run it. What follows is the gate's",
        "run and bench tiers with ONNX Runtime's CUDA provider. Shape arithmetic stays on the CPU there by design.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        lines += [row(Path(folder), *entry) for entry in FILES]
    text = "\n".join(lines) + "\n"
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
