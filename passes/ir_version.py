"""ir-version: the lowest IR version that the model's content needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx_ir as ir

from graphfix.base import Change, Context, Pass
from graphfix.facts.opsets import IR_VERSION, NEWEST
from graphfix.facts.types import SINCE
from graphfix.model import SPARSE, TRAINING, opset_version, scopes

# What came with an IR version, beside opsets and types. Source: onnx.proto, enum Version.
INITIALIZERS, SPARSE_TENSORS, TRAINING_INFO, FUNCTIONS, METADATA = 4, 5, 7, 8, 10


class IrVersion(Pass):
    """The IR version becomes the lowest that the opsets, the element types and the structure of the model need.

    Why: ``onnx.helper.make_model`` stamps the newest IR version that the installed onnx knows, and older releases of ONNX Runtime refuse
    the file for that number alone: ``Unsupported model IR version: 14, max supported IR version: 13``.

    Before: IR 14 on a graph of opset 23.

    After: IR 11, which is what opset 23 came with.

    Leaves alone: everything but the number; models whose opset the table does not know, and those of IR 3 and older, where initializers
    have to be listed as inputs.
    """

    name = "ir-version"
    summary = "The lowest IR version that the content needs, for older ONNX Runtimes"
    after = ("opset", "opset-imports")

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """At most one change."""
        opset = opset_version(model.graph.opset_imports)
        if opset is None or opset > NEWEST or model.ir_version is None or model.ir_version < INITIALIZERS:
            return
        needed = max(_needs(model))
        if model.ir_version != needed:
            yield ctx.change(model, "IR version", model.ir_version, needed, "the lowest that the opsets, types and structure need")
            model.ir_version = needed


def _needs(model: ir.Model) -> Iterator[int]:
    yield INITIALIZERS
    if model.functions:
        yield FUNCTIONS
    if TRAINING in model.meta:
        yield TRAINING_INFO
    for scope in scopes(model):
        yield IR_VERSION.get(opset_version(scope.opset_imports) or 0, 0)
        body = scope.body
        if body.metadata_props:
            yield METADATA
        if isinstance(body, ir.Graph):
            if SPARSE in body.meta:
                yield SPARSE_TENSORS
            yield from (_type(value) for value in (*body.inputs, *body.outputs, *body.initializers.values()))
        for node in body:
            if node.metadata_props or node.overload:
                yield METADATA
            yield from (_type(value) for value in node.outputs)


def _type(value: ir.Value) -> int:
    return SINCE.get(value.dtype.name, (0, 0))[1] if value.dtype is not None else 0
