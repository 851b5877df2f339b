"""The default domain's operators at an opset, as several lints ask for them: attributes, admitted types, and since when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import onnx.defs
import onnx_ir as ir

from graphfix.facts import opsets

Types = frozenset[str]


@dataclass(frozen=True)
class Definition:
    """One version of one operator: its attributes and, for each port, the names of the types it admits (empty: no tensor)."""

    attributes: frozenset[str]
    inputs: tuple[Types, ...]
    outputs: tuple[Types, ...]

    def admits(self, direction: str, index: int, kind: ir.DataType) -> bool:
        """Whether an input or output port takes a type; the last port stands for a variadic tail."""
        ports = self.inputs if direction == "input" else self.outputs
        allowed = ports[min(index, len(ports) - 1)] if ports else frozenset()
        return not allowed or kind.name in allowed


@lru_cache(maxsize=4096)
def definition(op_type: str, opset: int) -> Definition | None:
    """The definition that holds at an opset; None where there is none."""
    if not onnx.defs.has(op_type, max_inclusive_version=opset, domain=""):
        return None
    schema = onnx.defs.get_schema(op_type, opset, "")
    return Definition(
        frozenset(schema.attributes),
        tuple(_names(port.types) for port in schema.inputs),
        tuple(_names(port.types) for port in schema.outputs),
    )


def _names(types: set[str]) -> Types:
    return frozenset(t[len("tensor(") : -1].upper() for t in types if t.startswith("tensor("))


def first_opset(op_type: str, after: int, fits: Callable[[Definition], bool]) -> int | None:
    """The first opset behind ``after`` at which the operator's definition fits; None where none does."""
    for row in opsets.table().get(op_type, ()):
        if row.to > after and (found := definition(op_type, row.to)) is not None and fits(found):
            return row.to
    return None


def migration(opset: int | None) -> str:
    """The pass that brings a model to an opset; 23 at least, which is what FP4 and the TensorRT-RTX pipeline use."""
    return f"opset{max(opset, 23)}" if opset is not None else ""
