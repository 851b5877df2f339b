"""The check tier: onnx's checker with the ``trt`` operators' schemas, strict shape inference included."""

from __future__ import annotations

from graphfix import schemas
from graphfix.report.result import FAILED, PASSED, Check
from graphfix.validate import child
from graphfix.validate.job import Job


def check(model: str) -> dict[str, str]:
    """In the child: the checker's complaint, empty for a valid model."""
    import onnx

    with schemas.registered():
        try:
            onnx.checker.check_model(model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            return {"complaint": str(error).strip()}
    return {"complaint": ""}


def tier(job: Job) -> list[Check]:
    """Valid ONNX, as onnx understands it."""
    outcome = child.call("graphfix.validate.check:check", {"model": str(job.model)}, job.timeout)
    complaint = outcome.error or outcome.value["complaint"]
    if complaint:
        hint = f"graphfix apply --passes trtrtx {job.model.name}"
        return [Check("check", "onnx checker", FAILED, complaint, fix=hint, seconds=outcome.seconds)]
    return [Check("check", "onnx checker", PASSED, "valid, types and shapes consistent, trt operators included", seconds=outcome.seconds)]
