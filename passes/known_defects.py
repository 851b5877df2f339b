"""known-defects: findings for what is wrong in a file and no pass can repair."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Change, Context, Pass
from graphfix.facts.trt_ops import CONTRACTS, DOMAIN
from graphfix.model import opset_version, walk

FP4_SINCE = 23  # the opset that defines FLOAT4E2M1 for DequantizeLinear, and that ModelOpt sets from 0.47 on


class KnownDefects(Pass):
    """What a file's origin got wrong for good is said before anything is repaired.

    Why: ModelOpt up to 0.46 divided FP4 weights by block scales that it rounded afterwards. The codes are what they are: the file
    deploys and is four times as far from the torch module as it should be (9.8e-2 instead of 2.6e-2 on SD3). And exporters newer than
    this table may write ``trt`` operators whose meaning nothing here knows.

    Before: FLOAT4E2M1 weights in a file of an opset below 23, as 0.46 saved them (0.47 sets 23); ``trt`` operators that the table lacks.

    After: the same model, and findings with the codes of the lints: GF030 for the weights, GF006 once for each such operator.

    Leaves alone: everything.
    """

    name = "known-defects"
    summary = "Findings only: what is wrong in a file and no pass can repair"

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """No changes."""
        version = opset_version(model.opset_imports)
        weights = [
            value
            for graph in model.graphs()
            for value in graph.initializers.values()
            if value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT4E2M1
        ]
        if weights and version is not None and version < FP4_SINCE:
            ctx.note(
                "GF030",
                weights[0],
                f"{len(weights)} FP4 weights at opset {version}: ModelOpt 0.46 divided them by unrounded block scales, which costs "
                "accuracy and cannot be undone; export the model again with ModelOpt 0.47 or newer",
            )
        unknown: dict[str, list[ir.Node]] = {}
        for node in walk(model):
            if node.domain == DOMAIN and node.op_type not in CONTRACTS:
                unknown.setdefault(node.op_type, []).append(node)
        for op_type, nodes in unknown.items():
            ctx.note(
                "GF006",
                nodes[0],
                f"nothing is known of {DOMAIN}::{op_type} ({len(nodes)} nodes): its outputs keep their annotations, and ONNX Runtime's EP "
                "may not register it",
                level="error",
            )
        return ()
