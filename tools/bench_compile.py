"""The compile tier beside TensorRT-RTX's own API, on the same file and target, in turns: the gate must cost next to nothing.

    python tools/bench_compile.py [MODEL.onnx] [--target sm120] [--repeats 2] [--shape name=2x16x..] ...

Without a model it makes one: 24 layers of six quantized linears each, 319 M parameters in NVFP4 after `trtrtx`. What counts is the
ratio of one run. The engine is thrown away.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import graphfix
from graphfix.validate.compile import compile_model

ALONE = """
import json, sys, time
from graphfix.validate.compile_worker import build
began = time.perf_counter()
found = build(**json.loads(sys.argv[1]))
assert found["ok"], found
print(json.dumps({"seconds": time.perf_counter() - began}))
"""
WIDTH, LAYERS = 1152, 24


def make(folder: Path) -> Path:
    """Raw NVFP4 as torch exports it: 24 x (q, k, v, out, up, down) on float16 weights, then `trtrtx`."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes, weights, x = [], [], "x"

    def linear(name: str, source: str, rows: int, columns: int) -> str:
        array = (rng.standard_normal((rows, columns)) / columns**0.5).astype(np.float16)
        weights.append(numpy_helper.from_array(array, f"{name}.w"))
        nodes.append(helper.make_node("Constant", [], [f"{name}.g"], value=helper.make_tensor("g", TensorProto.FLOAT, [], [0.001])))
        quantize = {"domain": "trt", "axis": -1, "block_size": 16, "scale_type": 17}
        nodes.append(helper.make_node("TRT_FP4DynamicQuantize", [source, f"{name}.g"], [f"{name}.q", f"{name}.s"], **quantize))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.s", f"{name}.g"], [f"{name}.sd"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.q", f"{name}.sd"], [f"{name}.d"], axis=-1, block_size=16))
        nodes.append(helper.make_node("Cast", [f"{name}.d"], [f"{name}.x"], to=TensorProto.FLOAT16))
        nodes.append(helper.make_node("TRT_FP4QDQ", [f"{name}.w"], [f"{name}.wd"], domain="trt", block_size=16))
        nodes.append(helper.make_node("Transpose", [f"{name}.wd"], [f"{name}.wt"], perm=[1, 0]))
        nodes.append(helper.make_node("MatMul", [f"{name}.x", f"{name}.wt"], [f"{name}.y"]))
        return f"{name}.y"

    def op(kind: str, *inputs: str) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [f"v{len(nodes)}"], name=f"n{len(nodes)}"))
        return f"v{len(nodes) - 1}"

    for i in range(LAYERS):
        q, k, v = (linear(f"{i}.{part}", x, WIDTH, WIDTH) for part in "qkv")
        mixed = op("Mul", op("Sigmoid", op("Mul", q, k)), v)
        x = op("Add", x, linear(f"{i}.out", mixed, WIDTH, WIDTH))
        up = linear(f"{i}.up", x, 4 * WIDTH - 1152, WIDTH)
        x = op("Add", x, linear(f"{i}.down", op("Tanh", up), WIDTH, 4 * WIDTH - 1152))
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT16, ["batch", "tokens", WIDTH]) for n in ("x", x)]
    graph = helper.make_graph(nodes, "layers", value[:1], value[1:], weights)
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("trt", 1)]
    model = helper.make_model(graph, ir_version=9, opset_imports=imports)
    return graphfix.apply(model, "trtrtx").save(folder / "layers.onnx").path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--target", default="sm120")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--shape", action="append", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or make(Path(folder))
        shapes = {k: tuple(map(int, v.split("x"))) for k, v in (s.rsplit("=", 1) for s in options.shape)} or {"x": (2, 64, WIDTH)}
        gate, alone = [], []
        for _ in range(options.repeats):
            began = time.perf_counter()
            found = compile_model(model, options.target, shapes)
            gate.append(time.perf_counter() - began)
            if not found.ok:
                raise SystemExit(f"no engine: {found.errors}")
            job = json.dumps({"model": str(model), "target": options.target, "shapes": {k: list(v) for k, v in shapes.items()}})
            done = subprocess.run([sys.executable, "-c", ALONE, job], capture_output=True, text=True, check=True)
            alone.append(json.loads(done.stdout.splitlines()[-1])["seconds"])
    size = f"engine {found.engine_bytes / 1e6:.0f} MB, peak {found.peak_bytes / 1e9:.2f} GB"
    print(f"gate {min(gate):.2f} s, TensorRT-RTX alone {min(alone):.2f} s, ratio {min(gate) / min(alone):.2f}; {size}")


if __name__ == "__main__":
    main()
