"""emulate: a quantized model that plain ONNX Runtime on a CPU can run, for looking at numbers; not for deployment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx_ir as ir

from graphfix.base import Change, Context, Pass, documented
from graphfix.facts.trt_ops import CONTRACTS, DOMAIN
from graphfix.model import int_attribute, walk

FP4, FP8 = ir.DataType.FLOAT4E2M1, ir.DataType.FLOAT8E4M3FN


@dataclass(frozen=True)
class Options:
    """For which engine."""

    engine: str = documented("ort", "ort (FP4 carried in FP8, exactly) or reference (onnx's evaluator, real FP4)")


class Emulate(Pass):
    """The ``trt`` operators become model-local functions, and FP4 tensors are carried in FP8, so that a CPU can run the model.

    Why: ONNX Runtime's CPU build has no ``trt`` operators and no FP4 kernels, so nothing can be compared without a GPU.

    Before: ``trt::TRT_FP4DynamicQuantize``, FLOAT4E2M1 initializers.

    After: the same nodes with a function behind them that computes what ModelOpt computes; each FLOAT4E2M1 initializer as FLOAT8E4M3FN with
    the same values (all fifteen are exact).

    Leaves alone: everything else. The result is for numbers, not for deployment: it is larger and slower.
    """

    name = "emulate"
    summary = "Debug: make a quantized model run on plain ONNX Runtime CPU, exactly"
    Options = Options
    after = ("opset", "fp4-qdq", "trt-types", "opset-imports", "init-inputs")
    reads_weights = True

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each function added and each tensor carried over."""
        from graphfix_passes import reference_ops

        proxy = self.options.engine != "reference"
        if self.options.engine not in {"ort", "reference"}:
            raise ctx.refuse(model, f"engine={self.options.engine}", "there are two engines", "emulate{engine=ort} or {engine=reference}")
        present = {f.name for f in model.functions.values() if f.domain == DOMAIN}
        for node in list(walk(model)):
            if node.domain != DOMAIN:
                continue
            self._spell_out_defaults(node)
            if node.op_type in present:
                continue
            if node.op_type not in reference_ops.FUNCTIONS:
                raise ctx.refuse(node, f"to emulate {node.op_type}", "it has no reference implementation")
            self._last_axis(node, ctx)
            present.add(node.op_type)
            function = ir.serde.deserialize_function(reference_ops.function_proto(node.op_type, proxy=proxy))
            model.functions[function.identifier()] = function
            yield ctx.change(node, "function", "none", f"{DOMAIN}::{node.op_type}", "the reference arithmetic as a local function")
        for node in walk(model):
            if node.domain == DOMAIN:
                for value in node.outputs:
                    if not value.is_graph_output():
                        value.type = value.shape = None  # the function says
        if proxy:
            yield from self._carry(model, ctx)

    def _spell_out_defaults(self, node: ir.Node) -> None:
        """Write the operator's defaults into the node: a function's own defaults are not applied by every engine."""
        contract = CONTRACTS.get(node.op_type)
        for name, default in contract.attributes.items() if contract is not None else ():
            if default is not None and name not in node.attributes:
                node.attributes[name] = ir.AttrInt64(name, default)

    def _last_axis(self, node: ir.Node, ctx: Context) -> None:
        default = CONTRACTS[node.op_type].attributes.get("axis")
        if default is None:
            return
        axis = int_attribute(node, "axis", default)
        first = node.inputs[0]
        shape = ctx.types()[first].shape if first is not None and first in ctx.types() else None
        if axis != -1 and (shape is None or axis != len(shape) - 1):
            raise ctx.refuse(node, f"to emulate axis={axis}", "the reference functions block the last axis")

    def _carry(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        for graph in model.graphs():
            for value in graph.initializers.values():
                tensor = value.const_value
                if tensor is None or tensor.dtype != FP4:
                    continue
                array = tensor.numpy().astype(np.float32).astype(ml_dtypes.float8_e4m3fn)
                value.const_value = ir.Tensor(array, dtype=FP8, name=value.name)
                value.type = ir.TensorType(FP8)
                yield ctx.change(value, "element type", FP4.name, FP8.name, "all E2M1 values are exact in E4M3")
        for node in walk(model):
            for value in node.outputs:
                if value.dtype == FP4:
                    value.type = ir.TensorType(FP8)
