"""The load tier: ONNX Runtime resolves the graph with the EP's operators registered as the EP registers them."""

from __future__ import annotations

from pathlib import Path

from graphfix.report.result import FAILED, PASSED, SKIPPED, Check, installed
from graphfix.validate import child, ort_door
from graphfix.validate.job import Job

# What to type where the runtime is older than the model, not the model wrong.
HINTS = (
    ("is not currently registered or supported", "pip install --upgrade onnxruntime"),
    ("Unsupported model IR version", "pip install --upgrade onnxruntime, or graphfix passes ir-version"),
)


def resolve(model: str) -> dict[str, str]:
    """In the child: the loader's complaint, empty when it resolved and typed the whole graph."""
    library = ort_door.library()
    return {"complaint": ort_door.Door(library).complaint(Path(model)) if library is not None else "no library"}


def tier(job: Job) -> list[Check]:
    """What ONNX Runtime's loader says, without the EP."""
    versions = installed(("onnxruntime", "onnxruntime-gpu"))
    if not versions:
        return [Check("load", "ONNX Runtime", SKIPPED, 'ONNX Runtime is not installed: pip install "graphfix[cpu]"')]
    name = " and ".join(f"{k} {v}" for k, v in versions.items())
    if ort_door.library() is None:
        return [Check("load", name, SKIPPED, "this build of ONNX Runtime ships no separate library with a C API")]
    outcome = child.call("graphfix.validate.load:resolve", {"model": str(job.model)}, job.timeout)
    complaint = outcome.error or outcome.value["complaint"]
    if complaint:
        hint = next((hint for words, hint in HINTS if words in complaint), "graphfix apply --passes trtrtx {model}")
        return [Check("load", name, FAILED, complaint, fix=hint.format(model=job.model.name), seconds=outcome.seconds)]
    message = "the graph resolves with the operators that the TensorRT-RTX EP registers"
    return [Check("load", name, PASSED, message, seconds=outcome.seconds)]
