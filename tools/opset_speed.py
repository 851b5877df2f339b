"""Time the opset pass beside onnxscript's converter on the same model, in one run.

    python tools/opset_speed.py [NODES]

Three nodes of five need a rewrite between opset 7 and 23. onnxscript's converter covers 18 to 25 itself and hands everything older to
onnx's (``fallback=True``), so both ranges are timed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import onnx
import onnx_ir as ir
import onnxscript.version_converter
from onnx import TensorProto, helper

import graphfix


def chain(nodes: int, opset: int) -> onnx.ModelProto:
    """Blocks of five nodes in a row, as an opset writes them."""
    made, last = [], "x"
    for i in range(nodes // 5):
        old = opset < 11
        made += [
            helper.make_node("Softmax", [last], [f"a{i}"], axis=1),
            helper.make_node("Clip", [f"a{i}"], [f"b{i}"], min=0.0, max=1.0) if old else helper.make_node("Clip", [f"a{i}"], [f"b{i}"]),
            helper.make_node("Add", [f"b{i}", "x"], [f"c{i}"]),
            helper.make_node("ReduceMean", [f"c{i}"], [f"d{i}"], **({"axes": [1]} if old else {})),
            helper.make_node("Mul", [f"c{i}", f"d{i}"], [f"e{i}"]),
        ]
        last = f"e{i}"
    kind, shape = TensorProto.FLOAT, [2, 3, 4]
    graph = helper.make_graph(
        made, "g", [helper.make_tensor_value_info("x", kind, shape)], [helper.make_tensor_value_info(last, kind, shape)]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def with_onnxscript(model: onnx.ModelProto) -> onnx.ModelProto:
    """onnxscript's converter, from proto to proto."""
    converted = ir.from_proto(model)
    onnxscript.version_converter.convert_version(converted, 23, fallback=True)
    return ir.to_proto(converted)


def main() -> None:
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    graphfix.apply(chain(5, 7), "opset23")  # tables are read once, not timed
    for opset in (7, 18):
        model = chain(nodes, opset)
        half = chain(nodes // 2, opset)
        # The best of three, taken in turn: a busy machine slows both down.
        turns = [
            (seconds(lambda model=model: graphfix.apply(model, "opset23")), seconds(lambda model=model: with_onnxscript(model)))
            for _ in range(3)
        ]
        ours, theirs = (min(side) for side in zip(*turns, strict=True))
        scale = ours / seconds(lambda half=half: graphfix.apply(half, "opset23"))
        print(f"{nodes} nodes, {opset} to 23: graphfix {ours:.2f} s, onnxscript {theirs:.2f} s ({ours / theirs:.2f} x)", end="; ")
        print(f"{scale:.1f} x the time of half as many")


if __name__ == "__main__":
    main()
