"""Time and peak memory, side by side in one run: graphfix, the published recipe, and plain `cp`, on the same files.

    python tools/bench.py [--gigabytes 3] [--nodes 2000,20000,200000] [--folder DIR]

Each measurement is a process of its own: seconds from after `import onnx_ir` (for cp: from its start) to the end, and the peak resident
memory of that process. What counts are the ratios of one run, not its seconds. Files are made in a temporary folder and removed.

The recipe is the one that ModelOpt's README for diffusers on Windows publishes: load, rebuild the model with new opset imports, type the
custom operators' outputs by the letters in their names, save. It is written here from its description.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def make_weights(folder: Path, gigabytes: float) -> Path:
    """A chain of NVFP4 activation quantizers and MatMuls on float16 weights of 4096 x 4096, one external data file."""
    import onnx
    from onnx import TensorProto, helper

    side = 4096
    count = max(1, round(gigabytes * 1e9 / (side * side * 2)))
    path = folder / "big.onnx"
    with (folder / "big.onnx_data").open("wb") as file:
        block = np.random.default_rng(0).standard_normal(side * side).astype(np.float16).tobytes()
        for _ in range(count):
            file.write(block)
    nodes, weights = [], []
    for i in range(count):
        tensor = TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT16, dims=[side, side], data_location=TensorProto.EXTERNAL)
        for key, value in (("location", "big.onnx_data"), ("offset", str(i * len(block))), ("length", str(len(block)))):
            tensor.external_data.add(key=key, value=value)
        weights.append(tensor)
        nodes += quantized_matmul(i)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, ["batch", side]) for name in ("x0", f"x{count}")]
    graph = helper.make_graph(nodes, "big", value[:1], value[1:], weights)
    save(helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("trt", 1)]), path)
    assert onnx.load(path, load_external_data=False).graph.node
    return path


def quantized_matmul(i: int) -> list:
    """One layer as ModelOpt writes it: quantize, dequantize the scales, dequantize, cast, multiply."""
    from onnx import TensorProto, helper

    scale = helper.make_node("Constant", [], [f"g{i}"], value=helper.make_tensor("g", TensorProto.FLOAT, [], [0.01]))
    quantize = helper.make_node(
        "TRT_FP4DynamicQuantize",
        [f"x{i}", f"g{i}"],
        [f"q{i}_output_0", f"q{i}_output_1"],
        domain="trt",
        axis=-1,
        block_size=16,
        scale_type=17,
    )
    return [
        scale,
        quantize,
        helper.make_node("DequantizeLinear", [f"q{i}_output_1", f"g{i}"], [f"s{i}"]),
        helper.make_node("DequantizeLinear", [f"q{i}_output_0", f"s{i}"], [f"d{i}"], axis=-1, block_size=16),
        helper.make_node("Cast", [f"d{i}"], [f"c{i}"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", [f"c{i}", f"w{i}"], [f"x{i + 1}"]),
    ]


def make_nodes(folder: Path, count: int) -> Path:
    """As above with one small shared weight, ``count`` nodes in all."""
    from onnx import TensorProto, helper

    side = 64
    layers = count // 6
    nodes = [node for i in range(layers) for node in quantized_matmul(i)]
    for node in nodes:
        if node.op_type == "MatMul":
            node.input[1] = "w"
    weight = helper.make_tensor("w", TensorProto.FLOAT16, [side, side], np.eye(side, dtype=np.float16).tobytes(), raw=True)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, ["batch", side]) for name in ("x0", f"x{layers}")]
    graph = helper.make_graph(nodes, "nodes", value[:1], value[1:], [weight])
    path = folder / f"nodes{count}.onnx"
    save(helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("trt", 1)]), path)
    return path


def save(model: object, path: Path) -> None:
    """Write a header; its data lies beside it already."""
    path.write_bytes(model.SerializeToString())  # type: ignore[attr-defined]


def run_graphfix(source: Path, target: Path) -> None:
    """`graphfix apply` through its API."""
    import graphfix

    graphfix.apply(source, "trtrtx").save(target)


def run_recipe(source: Path, target: Path) -> None:
    """The published recipe."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(source)
    imports = [helper.make_opsetid("", 23), helper.make_opsetid("trt", 1), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(model.graph, opset_imports=imports)
    for node in model.graph.node:
        if node.op_type != "TRT_FP4DynamicQuantize":
            continue
        for name in node.output:
            kind = TensorProto.FLOAT4E2M1 if "output_0" in name else TensorProto.FLOAT8E4M3FN
            for info in model.graph.value_info:
                if info.name == name:
                    info.type.tensor_type.elem_type = kind
                    break
            else:
                model.graph.value_info.append(helper.make_tensor_value_info(name, kind, None))
    onnx.save(model, target, save_as_external_data=True, all_tensors_to_one_file=True, location=target.name + "_data")


JOBS: dict[str, Callable[[Path, Path], None]] = {"graphfix": run_graphfix, "recipe": run_recipe}


def worker(job: str, source: str, target: str) -> None:
    """The measured process."""
    import onnx_ir  # noqa: F401 - its import is not part of the measure

    began = time.perf_counter()
    JOBS[job](Path(source), Path(target))
    print(json.dumps({"seconds": time.perf_counter() - began, "megabytes": peak_megabytes()}))


def peak_megabytes() -> float:
    """Peak resident memory of this process; Linux's VmHWM, because ru_maxrss counts what the parent held when it forked."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(job: str, source: Path, target: Path, repeats: int = 3) -> dict[str, float]:
    """The best of ``repeats`` runs; the target's files are removed before each."""
    best: dict[str, float] = {}
    for _ in range(repeats):
        for old in target.parent.glob(target.name + "*"):
            old.unlink()
        os.sync()
        command = [sys.executable, __file__, "--worker", job, str(source), str(target)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        if not best or found["seconds"] < best["seconds"]:
            best = found
    return best


def measure_cp(source: Path, folder: Path, *, durable: bool, repeats: int = 3) -> float:
    """Plain ``cp`` of header and data, with ``sync`` of the files where ``durable``."""
    times = []
    for _ in range(repeats):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        os.sync()
        began = time.perf_counter()
        subprocess.run(["cp", str(source), str(source) + "_data", str(folder)], check=True)
        if durable:
            subprocess.run(["sync", *map(str, folder.iterdir())], check=True)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--nodes", default="2000,20000,200000")
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-recipe", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        if options.gigabytes:
            weights(folder, options)
        nodes(folder, [int(n) for n in options.nodes.split(",") if n], options.repeats)


def weights(folder: Path, options: argparse.Namespace) -> None:
    """External data: the same folder, another folder, `cp`, the recipe."""
    source = make_weights(folder, options.gigabytes)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(["cat", f"{source}_data"], stdout=subprocess.DEVNULL, check=True)  # so that every contender reads a cached file
    print(f"{options.gigabytes:g} GB of external weights".ljust(44) + "seconds   peak MB")
    shared = measure("graphfix", source, folder / "shared.onnx", options.repeats)
    print(f"  {'graphfix, beside the input':42}{shared['seconds']:7.2f}{shared['megabytes']:10.0f}")
    copied = measure("graphfix", source, elsewhere / "copied.onnx", options.repeats)
    print(f"  {'graphfix, in another folder':42}{copied['seconds']:7.2f}{copied['megabytes']:10.0f}")
    for path in elsewhere.iterdir():
        path.unlink()
    plain = measure_cp(source, folder / "cp", durable=False, repeats=options.repeats)
    synced = measure_cp(source, folder / "cp", durable=True, repeats=options.repeats)
    shutil.rmtree(folder / "cp")
    print(f"  {'cp':42}{plain:7.2f}")
    print(f"  {'cp, then sync of the copies':42}{synced:7.2f}")
    print(f"  another folder / cp: {copied['seconds'] / plain:.2f};  another folder / cp and sync: {copied['seconds'] / synced:.2f}")
    if not options.no_recipe:
        recipe = measure("recipe", source, elsewhere / "recipe.onnx", 1)
        print(f"  {'published recipe':42}{recipe['seconds']:7.2f}{recipe['megabytes']:10.0f}")
        print(
            f"  recipe / graphfix beside the input: {recipe['seconds'] / shared['seconds']:.0f} times the time, "
            f"{recipe['megabytes'] / shared['megabytes']:.0f} times the memory"
        )
    shutil.rmtree(elsewhere)


def nodes(folder: Path, counts: list[int], repeats: int) -> None:
    """Growth with the number of nodes; the exponent is 1 for linear growth."""
    print("nodes through trtrtx".ljust(44) + "seconds   peak MB")
    before: tuple[int, float] | None = None
    for count in counts:
        found = measure("graphfix", make_nodes(folder, count), folder / "out.onnx", repeats if count < 100_000 else 1)
        growth = ""
        if before is not None:
            growth = f"   exponent {math.log(found['seconds'] / before[1]) / math.log(count / before[0]):.2f}"
        print(f"  {f'{count:,}':42}{found['seconds']:7.2f}{found['megabytes']:10.0f}{growth}")
        before = (count, found["seconds"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:])
    else:
        main()
