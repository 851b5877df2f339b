"""In the run and bench tiers' child processes: load on an execution provider, run, time."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnx_ir as ir

from graphfix import io
from graphfix.validate import cpu, ep, metrics


def run(model: str, spec: str, options: dict[str, str], shapes: dict[str, Any], inputs: str | None, allow_cpu: bool) -> dict[str, Any]:
    """Load cold and warm, place, run twice on each of several inputs, and compare with the CPU's emulation: the worst distance counts.

    Args:
        model: Path of the model.
        spec: The provider, see `graphfix.validate.ep.provider`.
        options: Its options.
        shapes: Input shapes.
        inputs: An ``.npz`` with recorded inputs, or None.
        allow_cpu: Whether nodes may stay on the CPU provider.
    """
    with ep.provider(spec) as chosen:
        began = time.perf_counter()
        session = ep.make_session(model, chosen, options)
        cold = time.perf_counter() - began
        placed = ep.placement(session, chosen.name)
        found: dict[str, Any] = {
            "provider": chosen.name,
            "device": str(chosen.devices[0].device.vendor) if chosen.devices else "",
            "cold_seconds": cold,
            "nodes": placed.nodes,
            "subgraphs": placed.subgraphs,
            "elsewhere": list(placed.elsewhere[:20]),
            "elsewhere_count": len(placed.elsewhere),
        }
        if placed.nodes.get(chosen.name, 0) == 0 or (placed.elsewhere and not allow_cpu):
            return found
        began = time.perf_counter()
        session = ep.make_session(model, chosen, options)
        found["warm_seconds"] = time.perf_counter() - began
        loaded = io.load(model)
        names = [o.name for o in session.get_outputs()]
        found["deterministic"], found["complaints"], found["distance"], found["inputs"] = True, {}, {}, []
        for variant, seed in variants(loaded, shapes, recorded=inputs is not None):
            feeds = cpu.load_inputs(inputs) if inputs else cpu.make_inputs(loaded, variant, seed)
            wanted = {i.name: feeds[i.name] for i in session.get_inputs()}
            first = [np.asarray(v) for v in session.run(None, wanted)]
            again = session.run(None, wanted)
            found["inputs"].append({name: list(value.shape) for name, value in wanted.items()})
            found["deterministic"] &= all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again, strict=True))
            _, expected = cpu.run(model, variant, inputs, seed=seed)
            for name, value in zip(names, first, strict=True):
                found["complaints"].setdefault(name, []).extend(metrics.health(value).complaints())
                distance = metrics.numbers(metrics.distance(value, expected[name]))
                if name not in found["distance"] or distance["rel_l2"] > found["distance"][name]["rel_l2"]:
                    found["distance"][name] = distance
        del session
    return found


def variants(model: ir.Model, shapes: dict[str, Any], *, recorded: bool) -> list[tuple[dict[str, Any], int]]:
    """The (shapes, seed) to run: three levels of noise, and where every input's leading axis is dynamic a batch of twice the size."""
    if recorded:
        return [(shapes, 0)]
    inputs = [v for v in model.graph.inputs if v.name in shapes]
    found = [(shapes, seed) for seed in range(3)]
    if inputs and all(v.shape is not None and len(v.shape) and not isinstance(v.shape[0], int) for v in inputs):
        found.append(({name: [2 * shape[0], *shape[1:]] for name, shape in shapes.items()}, 0))
    return found


def bench(model: str, spec: str, options: dict[str, str], shapes: dict[str, Any], inputs: str | None, runs: int) -> dict[str, Any]:
    """Latency of ``runs`` runs after three to warm up: milliseconds at the median and the 95th percentile."""
    with ep.provider(spec) as chosen:
        session = ep.make_session(model, chosen, options)
        feeds = cpu.load_inputs(inputs) if inputs else cpu.make_inputs(io.load(model), shapes)
        wanted = {i.name: feeds[i.name] for i in session.get_inputs()}
        times = []
        for i in range(runs + 3):
            began = time.perf_counter()
            session.run(None, wanted)
            if i >= 3:
                times.append((time.perf_counter() - began) * 1e3)
        del session
    return {"provider": chosen.name, "p50_ms": float(np.percentile(times, 50)), "p95_ms": float(np.percentile(times, 95)), "runs": runs}
