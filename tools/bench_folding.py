"""Time and memory of folding NVFP4 weights: graphfix's fp4-weights beside ModelOpt's own exporter, on the same raw export.

    python tools/bench_folding.py [--layers 24] [--width 1024] [--modelopt-python PATH] [--keep FOLDER] [--json]

Each contender runs in a process of its own, from file to file, one after the other; imports are not counted. The tensors
of both outputs are compared bit by bit.
ModelOpt is skipped where it cannot be imported; ``--modelopt-python`` names an interpreter that has it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

GRAPHFIX = """
import graphfix.api, onnxscript, graphfix_passes.fp4_weights, graphfix_passes.opset
began = time.perf_counter()
graphfix.apply(source, "opset23,init-inputs,fp4-weights").save(target)
"""

MODELOPT = """
import torch, onnx
from modelopt.onnx.export.nvfp4_exporter import NVFP4QuantExporter as Exporter
began = time.perf_counter()
model = onnx.load(source)
for step in (Exporter.pre_process, Exporter.compute_scales, Exporter.compress_weights, Exporter.post_process):
    model = step(model)
onnx.save(model, target, save_as_external_data=True, location=target.rsplit("/", 1)[-1] + "_data")
"""

# Peak resident memory of the process, in bytes; 0 where the platform does not tell.
FRAME = """
import json, sys, time
source, target = sys.argv[1:3]
began = time.perf_counter()
{body}
seconds = time.perf_counter() - began
try:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
except ImportError:
    peak = 0
print(json.dumps({{"seconds": seconds, "peak": peak}}))
"""


def make_raw(path: Path, layers: int, width: int) -> int:
    """Write a raw NVFP4 export: six linears a layer behind TRT_FP4QDQ, as in a transformer block. Returns the number of parameters."""
    rng = np.random.default_rng(0)
    shapes = [(width, width)] * 4 + [(4 * width, width), (width, 4 * width)]
    pool = (rng.standard_normal(4 * width * width) * 0.02).astype(np.float16)
    nodes, tensors, infos, offset, current = [], [], [], 0, "x"
    data = path.with_name(path.name + "_data")
    with data.open("wb") as file:
        for i in range(layers):
            for j, shape in enumerate(shapes):
                name = f"layers.{i}.{j}.weight"
                count = shape[0] * shape[1]
                values = np.roll(pool, 7919 * (6 * i + j))[:count]
                file.write(values.tobytes())
                tensor = TensorProto(name=name, data_type=TensorProto.FLOAT16, dims=shape, data_location=TensorProto.EXTERNAL)
                for key, value in (("location", data.name), ("offset", offset), ("length", 2 * count)):
                    tensor.external_data.add(key=key, value=str(value))
                offset += 2 * count
                tensors.append(tensor)
                nodes.append(helper.make_node("TRT_FP4QDQ", [name], [f"{name}/q"], f"{name}/q", domain="trt", block_size=16))
                nodes.append(helper.make_node("Transpose", [f"{name}/q"], [f"{name}/t"], f"{name}/t", perm=[1, 0]))
                nodes.append(helper.make_node("MatMul", [current, f"{name}/t"], [f"{name}/y"], f"{name}/y"))
                infos.append(helper.make_tensor_value_info(f"{name}/q", TensorProto.FLOAT16, shape))
                current = f"{name}/y"
    graph = helper.make_graph(
        nodes,
        "raw",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, [1, width])],
        [helper.make_tensor_value_info(current, TensorProto.FLOAT16, [1, width])],
        tensors,
        value_info=infos,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("trt", 1)], ir_version=9), path)
    return offset // 2


def measure(python: str, body: str, source: Path, target: Path) -> dict[str, Any]:
    """Run one contender in a process of its own."""
    command = [python, "-c", FRAME.format(body=body), str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def differing(ours: Path, theirs: Path) -> tuple[int, int]:
    """How many initializers both files have, and how many of them differ in a bit."""
    from graphfix import io

    a, b = io.load(ours).graph.initializers, io.load(theirs).graph.initializers
    common = a.keys() & b.keys()
    different = 0
    for name in common:
        x, y = a[name].const_value, b[name].const_value
        assert x is not None
        assert y is not None
        different += x.dtype != y.dtype or x.shape != y.shape or x.tobytes() != y.tobytes()
    return len(common), different


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--modelopt-python", default=sys.executable, help="an interpreter that can import modelopt")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave the files there")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows: dict[str, dict[str, Any]] = {}
        sizes = {"graphfix, a quarter of the layers": max(1, given.layers // 4), "graphfix": given.layers}
        for label, layers in sizes.items():
            (folder / f"in{layers}").mkdir(exist_ok=True)
            source = folder / f"in{layers}" / "raw.onnx"
            parameters = make_raw(source, layers, given.width)
            rows[label] = {"parameters": parameters, **measure(sys.executable, GRAPHFIX, source, folder / f"graphfix{layers}.onnx")}
        probe = subprocess.run([given.modelopt_python, "-c", "import torch, modelopt.onnx.export"], capture_output=True, check=False)
        if probe.returncode:
            print("ModelOpt cannot be imported: skipped (--modelopt-python names an interpreter that has it)", file=sys.stderr)
        else:
            target = folder / "modelopt.onnx"
            rows["ModelOpt"] = {"parameters": parameters, **measure(given.modelopt_python, MODELOPT, source, target)}
            rows["ModelOpt"]["compared"], rows["ModelOpt"]["different"] = differing(folder / f"graphfix{given.layers}.onnx", target)
    if given.json:
        print(json.dumps(rows))
        return 0
    for label, row in rows.items():
        print(f"{label:34} {row['parameters'] / 1e6:6.0f} M parameters  {row['seconds']:7.2f} s  {row['peak'] / 1e6:6.0f} MB peak")
    if "ModelOpt" in rows:
        row, times = rows["ModelOpt"], rows["ModelOpt"]["seconds"] / rows["graphfix"]["seconds"]
        print(f"{times:.1f} times as fast; {row['compared']} tensors compared, {row['different']} differ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
