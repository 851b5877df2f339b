"""The files that `tools/bench.py` measures with: graphs of any number of nodes, and of any size of weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LAYERS = 96  # of the files with large weights: the same graph at every size, so that only the weights grow
KINDS = ("nvfp4", "plain")


def quantized_matmul(i: int, weight: str) -> list[Any]:
    """One layer as ModelOpt writes it: quantize, dequantize the scales, dequantize, cast, multiply."""
    from onnx import TensorProto, helper

    return [
        helper.make_node("Constant", [], [f"g{i}"], value=helper.make_tensor("g", TensorProto.FLOAT, [], [0.01])),
        helper.make_node(
            "TRT_FP4DynamicQuantize",
            [f"x{i}", f"g{i}"],
            [f"q{i}_output_0", f"q{i}_output_1"],
            domain="trt",
            axis=-1,
            block_size=16,
            scale_type=17,
        ),
        helper.make_node("DequantizeLinear", [f"q{i}_output_1", f"g{i}"], [f"s{i}"]),
        helper.make_node("DequantizeLinear", [f"q{i}_output_0", f"s{i}"], [f"d{i}"], axis=-1, block_size=16),
        helper.make_node("Cast", [f"d{i}"], [f"c{i}"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", [f"c{i}", weight], [f"x{i + 1}"]),
    ]


def plain_matmul(i: int, weight: str) -> list[Any]:
    """One layer that every tool can read: operators of onnx only."""
    from onnx import TensorProto, helper

    return [
        helper.make_node("MatMul", [f"x{i}", weight], [f"m{i}"]),
        helper.make_node("Cast", [f"m{i}"], [f"f{i}"], to=TensorProto.FLOAT),
        helper.make_node("Softmax", [f"f{i}"], [f"s{i}"], axis=-1),
        helper.make_node("Tanh", [f"s{i}"], [f"t{i}"]),
        helper.make_node("Cast", [f"t{i}"], [f"h{i}"], to=TensorProto.FLOAT16),
        helper.make_node("Add", [f"h{i}", f"x{i}"], [f"x{i + 1}"]),
    ]


LAYER: dict[str, Callable[[int, str], list[Any]]] = {"nvfp4": quantized_matmul, "plain": plain_matmul}


def write_model(path: Path, kind: str, layers: int, side: int, weights: list[Any]) -> None:
    """A chain of layers at opset 20; with fewer weights than layers they take turns."""
    from onnx import TensorProto, helper

    nodes = [node for i in range(layers) for node in LAYER[kind](i, weights[i % len(weights)].name)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, ["batch", side]) for name in ("x0", f"x{layers}")]
    graph = helper.make_graph(nodes, kind, values[:1], values[1:], weights)
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("trt", 1)]
    path.write_bytes(helper.make_model(graph, ir_version=9, opset_imports=imports).SerializeToString())


def make_weights(folder: Path, gigabytes: float) -> dict[str, Path]:
    """Both kinds of graph over one external data file of ``gigabytes``, each weight with bytes of its own."""
    from onnx import TensorProto

    side = max(16, round((gigabytes * 1e9 / 2 / LAYERS) ** 0.5 / 16) * 16)
    data = folder / "weights.bin"
    paths = {kind: folder / f"{kind}.onnx" for kind in KINDS}
    if all(path.exists() for path in paths.values()):
        return paths
    folder.mkdir(parents=True, exist_ok=True)
    size = side * side * 2
    pool = (np.random.default_rng(0).standard_normal(side * side, np.float32) * 0.02).astype(np.float16)
    weights = []
    with data.open("wb") as file:
        for i in range(LAYERS):
            cut = 7919 * i % len(pool)
            file.write(memoryview(pool[cut:]).cast("B"))
            file.write(memoryview(pool[:cut]).cast("B"))
            tensor = TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT16, dims=[side, side], data_location=TensorProto.EXTERNAL)
            for key, value in (("location", data.name), ("offset", str(i * size)), ("length", str(size))):
                tensor.external_data.add(key=key, value=value)
            weights.append(tensor)
    for kind, path in paths.items():
        write_model(path, kind, LAYERS, side, weights)
    return paths


def make_nodes(folder: Path, count: int) -> dict[str, Path]:
    """Both kinds of graph with ``count`` nodes over one small weight."""
    from onnx import TensorProto, helper

    folder.mkdir(parents=True, exist_ok=True)
    side = 64
    weight = helper.make_tensor("w", TensorProto.FLOAT16, [side, side], np.eye(side, dtype=np.float16).tobytes(), raw=True)
    paths = {kind: folder / f"{kind}.onnx" for kind in KINDS}
    for kind, path in paths.items():
        if not path.exists():
            write_model(path, kind, count // 6, side, [weight])
    return paths
