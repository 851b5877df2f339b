"""Run a model before and after, and say whether the results are the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

Feeds = Mapping[str, Any]
Outputs = list[Any]
# Engines draw different numbers.
RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
ort.set_default_logger_severity(4)


def with_runtime(model: onnx.ModelProto, feeds: Feeds) -> Outputs:
    """ONNX Runtime on the CPU, without graph optimizations."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = {entry.name for entry in session.get_inputs()}
    return list(session.run(None, {name: value for name, value in feeds.items() if name in wanted}))


def with_reference(model: onnx.ModelProto, feeds: Feeds) -> Outputs:
    """onnx's reference evaluator."""
    return list(ReferenceEvaluator(model).run(None, dict(feeds)))


ENGINES: tuple[Callable[[onnx.ModelProto, Feeds], Outputs], ...] = (with_runtime, with_reference)


def attempt(engine: Callable[[onnx.ModelProto, Feeds], Outputs], model: onnx.ModelProto, feeds: Feeds) -> Outputs | str:
    """The outputs, or why there are none."""
    try:
        with np.errstate(all="ignore"):
            return engine(model, feeds)
    except Exception as error:  # noqa: BLE001 - engines raise whatever they like
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def same(a: Any, b: Any, tolerance: float = 0.0) -> bool:
    """Whether two results are equal: in type, shape and value, to a relative and absolute tolerance."""
    if a is None or b is None:
        return a is b
    if isinstance(a, list | tuple) or isinstance(b, list | tuple):
        return isinstance(a, list | tuple) and isinstance(b, list | tuple) and all_same(a, b, tolerance)
    if isinstance(a, dict) or isinstance(b, dict):
        return bool(a == b)
    x, y = np.asarray(a), np.asarray(b)
    if x.dtype.kind in "OUS" and y.dtype.kind in "OUS":
        x, y = x.astype(str), y.astype(str)
    elif x.dtype != y.dtype:
        return False
    if x.shape != y.shape:
        return False
    if x.dtype.kind in "Ubiu":
        return bool(np.array_equal(x, y))
    if x.dtype.kind != "c":
        x, y = x.astype(np.float64), y.astype(np.float64)
    return bool(np.allclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True))


def all_same(a: Sequence[Any], b: Sequence[Any], tolerance: float = 0.0) -> bool:
    """`same` for lists of outputs."""
    return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))


# Kinds of inputs: some operators only take numbers above 0 (scales), or small whole ones (axes, counts), or only 0 (batch indices).
FEEDS = ("any", "positive", "whole")


def random_feeds(model: onnx.ModelProto, kind: str) -> dict[str, Any] | None:
    """Inputs for a model, 2 for each unknown dimension; None where something else than a tensor is asked for."""
    rng = np.random.default_rng(FEEDS.index(kind))
    given = {tensor.name for tensor in model.graph.initializer}
    feeds: dict[str, Any] = {}
    for entry in model.graph.input:
        if entry.name in given:
            continue
        if not entry.type.HasField("tensor_type"):
            return None
        shape = [d.dim_value or 2 for d in entry.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
        if dtype.kind == "O":
            feeds[entry.name] = np.full(shape, "a", object)
        elif dtype.kind == "b":
            feeds[entry.name] = rng.integers(0, 2, shape).astype(bool)
        elif dtype.kind in "iu":
            feeds[entry.name] = np.asarray(rng.integers(0, {"any": 9, "positive": 1, "whole": 3}[kind], shape)).astype(dtype)
        elif kind == "any":
            feeds[entry.name] = np.asarray(rng.standard_normal(shape)).astype(dtype)
        else:
            draw = rng.uniform(0.5, 2.0, shape) if kind == "positive" else rng.integers(1, 3, shape)
            feeds[entry.name] = np.asarray(draw).astype(dtype)
    return feeds


def opset(model: onnx.ModelProto) -> int:
    """The opset of the default domain."""
    return next((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), 0)
