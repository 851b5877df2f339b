"""Blocked quantization as several lints look at it: which axis of which input a node cuts into blocks, and how long it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from graphfix.facts.trt_ops import CONTRACTS
from graphfix.lints.base import QDQ, LintContext
from graphfix.model import int_attribute, operand


@dataclass(frozen=True)
class Blocked:
    """A node that works on blocks: the axis as written, the block size, and the shape it applies to (None where unknown)."""

    node: ir.Node
    axis: int
    size: int
    shape: ir.Shape | None

    @property
    def in_range(self) -> bool:
        """Whether the shape has this axis."""
        return self.shape is not None and -len(self.shape) <= self.axis < len(self.shape)

    @property
    def dim(self) -> int | ir.SymbolicDim | None:
        """The length of the blocked axis; None where the rank is not known or lacks the axis."""
        return self.shape[self.axis] if self.shape is not None and self.in_range else None


def blocked_nodes(ctx: LintContext) -> Iterator[Blocked]:
    """Every node that quantizes or dequantizes in blocks, by the operator's own defaults where an attribute is absent."""
    for _, node in ctx.trt_nodes():
        contract = CONTRACTS.get(node.op_type)
        if contract is None or node.op_type in QDQ or contract.attributes.get("axis") is None:
            continue
        axis = int_attribute(node, "axis", contract.attributes["axis"])
        size = int_attribute(node, "block_size", contract.attributes["block_size"])
        if axis is not None and size:
            yield Blocked(node, axis, size, ctx.shape(operand(node)))
    for domain in ("", "trt"):
        for _, node in ctx.find(*QDQ, domain=domain):
            axis, size = int_attribute(node, "axis", 1), int_attribute(node, "block_size", 0)
            if axis is not None and size:
                yield Blocked(node, axis, size, ctx.shape(operand(node)))
