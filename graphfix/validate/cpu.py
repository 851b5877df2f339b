"""Run a model on ONNX Runtime's CPU provider as it computes, quantizers emulated; in a child process of the numerics tier.

Graph optimizations are off: they alone move results, by up to 0.11 on the exports measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from graphfix import api, io
from graphfix.errors import ModelError, UnavailableError
from graphfix.inference import infer
from graphfix.model import tensor_type
from graphfix.validate import metrics

Arrays = dict[str, np.ndarray]


def make_inputs(model: ir.Model, shapes: dict[str, Any], seed: int = 0) -> Arrays:
    """Seeded inputs: unit normal for floats of rank 2 and up, one level for vectors (timesteps), small numbers for integers.

    The level of vectors goes with the seed: the middle of a schedule first, then its end and its beginning.
    """
    rng = np.random.default_rng(seed)
    level = (0.5, 0.02, 0.98)[seed % 3]
    feeds: Arrays = {}
    for value in model.graph.inputs:
        name = value.name or ""
        if name not in shapes:
            continue
        kind = tensor_type(value)
        if kind is None:
            raise ModelError(f"input {name!r} has no element type")
        dtype, shape = kind.numpy(), tuple(shapes[name])
        if np.issubdtype(dtype, np.integer):
            feeds[name] = rng.integers(0, 8, shape).astype(dtype)
        elif np.issubdtype(dtype, np.bool_):
            feeds[name] = np.ones(shape, dtype)
        else:
            feeds[name] = (rng.standard_normal(shape) if len(shape) > 1 else np.full(shape, level)).astype(dtype)
    return feeds


def session(model: ir.Model, taps: list[str] | None = None) -> Any:
    """A CPU session of an emulated model; external data is read from where it lies, and ``taps`` become outputs too."""
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise UnavailableError("comparing numbers needs ONNX Runtime", hint='pip install "graphfix[cpu]"') from error
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    folder = next((str(t.base_dir) for t in io.external_tensors(model)), "")
    if folder:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    proto = io.to_proto(model)
    present = {v.name for v in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in taps or () if name not in present)
    return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def emulated(path: str) -> ir.Model:
    """The model with functions behind its ``trt`` operators; weights among the inputs are not asked for."""
    model: ir.Model = api.apply(path, "init-inputs,emulate").model
    return model


def run(
    path: str, shapes: dict[str, Any], inputs: str | None, taps: list[str] | None = None, seed: int = 0
) -> tuple[ir.Model, dict[str, np.ndarray]]:
    """Outputs (and taps) of a model, by name."""
    model = emulated(path)
    made = session(model, taps)
    feeds = load_inputs(inputs) if inputs else make_inputs(model, shapes, seed)
    wanted = [i.name for i in made.get_inputs()]
    missing = [name for name in wanted if name not in feeds]
    if missing:
        raise ModelError(f"no values for input {missing[0]!r}", hint="record it in the --inputs file, or give its --shape")
    outputs = [o.name for o in made.get_outputs()]
    return model, dict(zip(outputs, made.run(outputs, {name: feeds[name] for name in wanted}), strict=True))


def load_inputs(path: str) -> Arrays:
    """Recorded inputs from an ``.npz`` file."""
    with np.load(Path(path)) as stored:
        return {name: stored[name] for name in stored.files}


def outputs_in_order(model: ir.Model) -> list[str]:
    """Names of the graph's own outputs."""
    return [v.name or "" for v in model.graph.outputs]


def compare(model: str, other: str | None, shapes: dict[str, Any], inputs: str | None) -> dict[str, Any]:
    """Health of a model's outputs, and their distance to another model's, output by output in order.

    Outputs are matched by position, so that a renamed one still finds its partner. ``other`` may be an ``.npz`` file with recorded outputs.
    """
    built, got = run(model, shapes, inputs)
    found: dict[str, Any] = {
        "health": {name: metrics.numbers(metrics.health(got[name])) for name in outputs_in_order(built)},
        "complaints": {name: metrics.health(got[name]).complaints() for name in outputs_in_order(built)},
    }
    if other is None:
        return found
    if other.endswith(".npz"):
        recorded = load_inputs(other)
        expected = [recorded[n] if n in recorded else list(recorded.values())[i] for i, n in enumerate(outputs_in_order(built))]
    else:
        parent, theirs = run(other, shapes, inputs)
        expected = [theirs[name] for name in outputs_in_order(parent)]
    pairs = zip(outputs_in_order(built), expected, strict=False)
    found["distance"] = {name: metrics.numbers(metrics.distance(got[name], value)) for name, value in pairs}
    return found


MOST_TAPS = 64


def layers(model: str, other: str, shapes: dict[str, Any], inputs: str | None, threshold: float) -> dict[str, Any]:
    """Compare intermediate values that both models call by the same name, and find the first that is off.

    Values are tapped as extra outputs; weights stay where they are. At most `MOST_TAPS` values are held at a time: first spread over the
    whole graph, then all those between the last good one and the first bad one, until neighbours are left.

    Returns:
        ``rows``: [name, place, relative L2] of the values looked at, in order; ``first``: the first row above ``threshold``, or None.
    """
    built = emulated(model)
    theirs = {v.name for node in emulated(other).graph for v in node.outputs if v.name}
    floats = {ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16}
    types = infer(built)
    common = [
        (v.name, f"{node.name or v.name} ({node.op_type})")
        for node in built.graph
        for v in node.outputs
        if v.name in theirs and v in types and (kind := types[v].type) is not None and kind.dtype in floats
    ]
    low, high = 0, len(common)
    rows: dict[int, list[Any]] = {}
    first: int | None = None
    while True:
        step = max(1, -(-(high - low) // MOST_TAPS))
        chosen = list(range(low, high, step))
        names = [common[i][0] or "" for i in chosen]
        _, a = run(model, shapes, inputs, names)
        _, b = run(other, shapes, inputs, names)
        for i, name in zip(chosen, names, strict=True):
            gap = metrics.distance(a[name], b[name]).rel_l2 if a[name].shape == b[name].shape else float("inf")
            rows[i] = [name, common[i][1], min(gap, 1e308)]
        bad = [i for i in sorted(rows) if not rows[i][2] <= threshold]
        if not bad:
            break
        first = bad[0]
        good = [i for i in rows if i < first]
        low, high = (max(good) + 1 if good else 0), first
        if low >= high:
            break
    return {"rows": [rows[i] for i in sorted(rows)], "first": rows[first] if first is not None else None}
