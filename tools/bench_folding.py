"""Time and memory of folding NVFP4 weights: graphfix's fp4-weights beside ModelOpt's own exporter, on the same raw export.

    python tools/bench_folding.py [--layers 24] [--width 1024] [--modelopt-python PATH] [--formats] [--keep FOLDER] [--json]

Each contender runs in a process of its own, from file to file, one after the other; imports are not counted. The tensors of both outputs
are compared bit by bit. ModelOpt is skipped where it cannot be imported; ``--modelopt-python`` names an interpreter that has it.
``--formats`` measures graphfix alone, on every format that has weights to convert.
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
graphfix.apply(source, {passes!r}).save(target)
"""
PASSES = {"nvfp4": "opset23,init-inputs,fp4-weights", "fp8": "trtrtx,fp8-native", "mxfp8": "trtrtx", "int4": "trtrtx"}

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


def weight_parts(form: str, name: str, shape: tuple[int, int], values: np.ndarray) -> tuple[list[tuple[str, int, np.ndarray]], list[Any]]:
    """The tensors that an export holds for one weight (name, element type, array to write) and the nodes that make ``name/q`` of them."""
    trt, rows, columns = {"domain": "trt"}, *shape
    codes = values.view(np.uint8)[: rows * columns]
    if form == "nvfp4":
        return [(name, TensorProto.FLOAT16, values)], [
            helper.make_node("TRT_FP4QDQ", [name], [f"{name}/q"], f"{name}/q", block_size=16, **trt)
        ]
    scale = (f"{name}/s", TensorProto.FLOAT16, np.full((), 0.01, np.float16))
    if form == "fp8":
        return [(name, TensorProto.FLOAT16, values), scale], [
            helper.make_node("TRT_FP8QuantizeLinear", [name, f"{name}/s"], [f"{name}/c"], f"{name}/c", **trt),
            helper.make_node("TRT_FP8DequantizeLinear", [f"{name}/c", f"{name}/s"], [f"{name}/q"], f"{name}/q", **trt),
        ]
    if form == "mxfp8":
        scales = (f"{name}/s", TensorProto.UINT8, np.full((rows, columns // 32), 120, np.uint8))
        node = helper.make_node(
            "TRT_MXFP8DequantizeLinear", [name, f"{name}/s"], [f"{name}/q"], f"{name}/q", axis=-1, block_size=32, output_dtype=10, **trt
        )
        return [(name, TensorProto.FLOAT8E4M3FN, codes & np.uint8(0x7E)), scales], [node]
    if form == "int4":
        scales = (f"{name}/s", TensorProto.FLOAT, np.full((rows, columns // 128), 0.01, np.float32))
        node = helper.make_node("DequantizeLinear", [name, f"{name}/s"], [f"{name}/q"], f"{name}/q", axis=0, block_size=128, **trt)
        return [(name, TensorProto.INT4, codes[: rows * columns // 2]), scales], [node]
    raise ValueError(f"no form {form!r}")


def make_raw(path: Path, layers: int, width: int, form: str = "nvfp4") -> int:
    """Write an export of stacked transformer linears, six a layer, as ModelOpt leaves them. Returns the number of parameters."""
    rng = np.random.default_rng(0)
    shapes = [(width, width)] * 4 + [(4 * width, width), (width, 4 * width)]
    pool = (rng.standard_normal(4 * width * width) * 0.02).astype(np.float16)
    nodes, tensors, infos, offset, parameters, current = [], [], [], 0, 0, "x"
    data = path.with_name(path.name + "_data")
    with data.open("wb") as file:
        for i in range(layers):
            for j, shape in enumerate(shapes):
                name = f"layers.{i}.{j}.weight"
                count = shape[0] * shape[1]
                parameters += count
                parts, makers = weight_parts(form, name, shape, np.roll(pool, 7919 * (6 * i + j))[:count])
                for part, kind, array in parts:
                    dims = shape if part == name else array.shape
                    tensor = TensorProto(name=part, data_type=kind, dims=dims, data_location=TensorProto.EXTERNAL)
                    for key, value in (("location", data.name), ("offset", offset), ("length", array.nbytes)):
                        tensor.external_data.add(key=key, value=str(value))
                    file.write(array.tobytes())
                    offset += array.nbytes
                    tensors.append(tensor)
                nodes.extend(makers)
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
    return parameters


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


def contest(folder: Path, form: str, layers: int, width: int) -> tuple[Path, Path, dict[str, Any]]:
    """Make a raw file and fix it; returns both paths and the row."""
    (folder / f"{form}{layers}").mkdir(exist_ok=True)
    source, target = folder / f"{form}{layers}" / "raw.onnx", folder / f"{form}{layers}.onnx"
    parameters = make_raw(source, layers, width, form)
    return source, target, {"parameters": parameters, **measure(sys.executable, GRAPHFIX.format(passes=PASSES[form]), source, target)}


def every_format(folder: Path, given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """graphfix on each format, a quarter of the layers and all."""
    return {
        f"{form}, {layers} layers": contest(folder, form, layers, given.width)[2]
        for form in PASSES
        for layers in (max(1, given.layers // 4), given.layers)
    }


def side_by_side(folder: Path, given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """graphfix on a quarter of the layers and on all, then ModelOpt."""
    rows = {"graphfix, a quarter of the layers": contest(folder, "nvfp4", max(1, given.layers // 4), given.width)[2]}
    source, ours, rows["graphfix"] = contest(folder, "nvfp4", given.layers, given.width)
    probe = subprocess.run([given.modelopt_python, "-c", "import torch, modelopt.onnx.export"], capture_output=True, check=False)
    if probe.returncode:
        print("ModelOpt cannot be imported: skipped (--modelopt-python names an interpreter that has it)", file=sys.stderr)
        return rows
    theirs = folder / "modelopt.onnx"
    row = {"parameters": rows["graphfix"]["parameters"], **measure(given.modelopt_python, MODELOPT, source, theirs)}
    row["compared"], row["different"] = differing(ours, theirs)
    return {**rows, "ModelOpt": row}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--modelopt-python", default=sys.executable, help="an interpreter that can import modelopt")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave the files there")
    parser.add_argument("--formats", action="store_true", help="graphfix alone, on every format")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = every_format(folder, given) if given.formats else side_by_side(folder, given)
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
