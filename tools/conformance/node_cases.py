"""onnx's node test cases with their shipped inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onnx
import onnx.numpy_helper
from onnx.backend.test.case.node import collect_testcases

from conformance.running import ENGINES, RANDOM, Outputs, all_same, attempt, opset


@dataclass
class Case:
    """A model with data sets of (inputs, outputs).

    Attributes:
        name: The case's name.
        model: One node, or a graph around one, at the version at which the operator last changed.
        data: Inputs and expected outputs.
        tolerance: What onnx allows for this case.
    """

    name: str
    model: onnx.ModelProto
    data: list[tuple[list[Any], list[Any]]]
    tolerance: float

    def feeds(self, inputs: list[Any]) -> dict[str, Any]:
        """The inputs by name."""
        return {entry.name: value for entry, value in zip(self.model.graph.input, inputs, strict=False)}


def cases(*, below: int | None = None) -> Iterator[Case]:
    """The node cases of the installed onnx release that use the default domain and draw no numbers, optionally only below an opset."""
    for case in collect_testcases(None):  # type: ignore[arg-type]
        if case.model is None or not opset(case.model) or (below is not None and opset(case.model) >= below):
            continue
        if not RANDOM.isdisjoint(node.op_type for node in case.model.graph.node):
            continue
        data = [(list(map(_array, inputs)), list(map(_array, outputs))) for inputs, outputs in case.data_sets]
        yield Case(case.name, case.model, data, max(case.rtol, case.atol))


def _array(value: Any) -> Any:
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def verdict(case: Case, after: onnx.ModelProto | None = None) -> str:
    """``same`` if a model gives the shipped outputs, else what went wrong."""
    worst = "no engine runs it"
    for engine in ENGINES:
        results = [(attempt(engine, after or case.model, case.feeds(inputs)), outputs) for inputs, outputs in case.data]
        if any(isinstance(got, str) for got, _ in results):
            continue
        if all(_matches(got, wanted, case.tolerance) for got, wanted in results):  # type: ignore[arg-type]
            return "same"
        worst = "different from the shipped outputs"
    return worst


def _matches(got: Outputs, wanted: list[Any], tolerance: float) -> bool:
    return all_same([g for g, w in zip(got, wanted, strict=False)], wanted, max(tolerance, 1e-5))
