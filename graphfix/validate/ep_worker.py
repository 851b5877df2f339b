"""In the run and bench tiers' child processes: load on an execution provider, run, time."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from graphfix import io
from graphfix.validate import cpu, ep, metrics


def run(model: str, spec: str, options: dict[str, str], shapes: dict[str, Any], inputs: str | None, allow_cpu: bool) -> dict[str, Any]:
    """Load cold and warm, place, run twice on several inputs, and compare with the CPU's emulation of the same model.

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
        feeds = cpu.load_inputs(inputs) if inputs else cpu.make_inputs(loaded, shapes)
        wanted = {i.name: feeds[i.name] for i in session.get_inputs()}
        first = session.run(None, wanted)
        again = session.run(None, wanted)
        names = [o.name for o in session.get_outputs()]
        found["deterministic"] = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again, strict=True))
        found["complaints"] = {n: metrics.health(np.asarray(v)).complaints() for n, v in zip(names, first, strict=True)}
        _, expected = cpu.run(model, shapes, inputs)
        found["distance"] = {n: metrics.numbers(metrics.distance(np.asarray(v), expected[n])) for n, v in zip(names, first, strict=True)}
        del session
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
