"""In the compile tier's child process: one model, one target, one engine."""

from __future__ import annotations

import time
from typing import Any


def build(
    model: str,
    target: str,
    shapes: dict[str, list[int]],
    least: dict[str, list[int]] | None = None,
    most: dict[str, list[int]] | None = None,
) -> dict[str, Any]:
    """Parse and build; returns the fields of ``graphfix.validate.compile.Compiled`` but its target."""
    import tensorrt_rtx as trt

    messages: list[str] = []

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in {trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR}:
                messages.append(message.strip())

    began = time.perf_counter()
    logger = Logger()
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(model):
        errors = [_describe(parser.get_error(i)) for i in range(parser.num_errors)]
        return {"ok": False, "seconds": time.perf_counter() - began, "errors": errors + messages}
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), 0)
    dynamic = [network.get_input(i) for i in range(network.num_inputs)]
    dynamic = [tensor for tensor in dynamic if any(d < 0 for d in tensor.shape)]
    missing = [f"{tensor.name}{list(tensor.shape)}" for tensor in dynamic if tensor.name not in shapes]
    if missing:
        return {
            "ok": False,
            "seconds": time.perf_counter() - began,
            "errors": [f"dynamic input without a shape: {m}" for m in missing],
        }
    if dynamic:
        profile = builder.create_optimization_profile()
        for tensor in dynamic:
            shape = tuple(shapes[tensor.name])
            low, high = ((bounds or {}).get(tensor.name, shape) for bounds in (least, most))
            profile.set_shape(tensor.name, tuple(low), shape, tuple(high))
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    seconds = time.perf_counter() - began
    if engine is None:
        return {"ok": False, "seconds": seconds, "errors": messages or ["no engine, and no reason given"]}
    return {"ok": True, "seconds": seconds, "engine_bytes": engine.nbytes, "errors": []}


def _describe(error: Any) -> str:
    where = f" at {error.node_name()} ({error.node_operator()})" if error.node_operator() else ""
    return f"{error.desc()}{where}"
