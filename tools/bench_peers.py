"""What runs in a measured process of `tools/bench.py`: graphfix and its peers, each from file to file, and a look at what they wrote.

    python tools/bench_peers.py PEER KIND SOURCE TARGET [CORES]

Prints one line of JSON: seconds of the work (imports not counted) and the peak resident memory of the process in MB. The recipe is the one
that ModelOpt's README for diffusers on Windows publishes with its type script, written here from its description.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPSET = 23
PASSES = {"nvfp4": "opset23,trt-types", "plain": "opset23"}


def graphfix(source: Path, target: Path, kind: str) -> None:
    import graphfix

    graphfix.apply(source, PASSES[kind]).save(target)


def graphfix_trtrtx(source: Path, target: Path, kind: str) -> None:  # noqa: ARG001 - the signature is the table's
    import graphfix

    graphfix.apply(source, "trtrtx").save(target)


def graphfix_copy_no_sync(source: Path, target: Path, kind: str) -> None:
    import graphfix

    graphfix.apply(source, PASSES[kind]).save(target, data="copy", sync=False)


def graphfix_copy(source: Path, target: Path, kind: str) -> None:
    import graphfix

    graphfix.apply(source, PASSES[kind]).save(target, data="copy")


def graphfix_fold(source: Path, target: Path, kind: str) -> None:
    from bench_folding import PASSES as FOLDING

    import graphfix

    graphfix.apply(source, FOLDING[kind]).save(target)


def recipe(source: Path, target: Path, kind: str) -> None:  # noqa: ARG001
    """Load, rebuild the model with new opset imports, type the custom operators by the letters in their outputs' names, save."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(source)
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("trt", 1), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(model.graph, opset_imports=imports)
    for node in model.graph.node:
        if node.op_type != "TRT_FP4DynamicQuantize":
            continue
        for name in node.output:
            elem_type = TensorProto.FLOAT4E2M1 if "output_0" in name else TensorProto.FLOAT8E4M3FN
            for info in model.graph.value_info:
                if info.name == name:
                    info.type.tensor_type.elem_type = elem_type
                    break
            else:
                model.graph.value_info.append(helper.make_tensor_value_info(name, elem_type, None))
    save_with_data(model, target)


def onnx_converter(source: Path, target: Path, kind: str) -> None:  # noqa: ARG001
    import onnx
    from onnx import version_converter

    save_with_data(version_converter.convert_version(onnx.load(source), OPSET), target)


def onnx_converter_bare(source: Path, target: Path, kind: str) -> None:  # noqa: ARG001
    """The workaround that its users wrote down: leave the data out and keep the references."""
    import onnx
    from onnx import version_converter

    model = version_converter.convert_version(onnx.load(source, load_external_data=False), OPSET)
    target.write_bytes(model.SerializeToString())


def onnxscript_converter(source: Path, target: Path, kind: str) -> None:  # noqa: ARG001
    import onnx_ir
    from onnxscript import version_converter

    model = onnx_ir.load(source)
    version_converter.convert_version(model, OPSET)
    onnx_ir.save(model, target)


def slim(source: Path, target: Path, kind: str) -> None:  # noqa: ARG001
    import onnxslim

    onnxslim.slim(str(source), str(target), save_as_external_data=True)


def sim(source: Path, target: Path, kind: str) -> None:  # noqa: ARG001
    import onnxsim

    onnxsim.simplify(str(source), target_opset_version=OPSET, output_path=str(target))


def surgeon(source: Path, target: Path, kind: str) -> None:  # noqa: ARG001
    import onnx
    import onnx_graphsurgeon

    save_with_data(onnx_graphsurgeon.export_onnx(onnx_graphsurgeon.import_onnx(onnx.load(source))), target)


def save_with_data(model: Any, target: Path) -> None:
    import onnx

    onnx.save(model, target, save_as_external_data=True, all_tensors_to_one_file=True, location=f"{target.name}_data")


@dataclass(frozen=True)
class Peer:
    """A row of the table.

    ``imports`` come before the clock starts. ``pip`` is what to install where they fail.
    """

    label: str
    does: str
    run: Callable[[Path, Path, str], None] | None
    imports: tuple[str, ...] = ()
    pip: str = ""


GRAPHFIX = ("graphfix.api", "onnx", "onnx_ir", "numpy", "ml_dtypes", "graphfix_passes.opset", "graphfix_passes.trt_types")
PEERS = {
    "graphfix": Peer(
        "graphfix",
        f"opset {OPSET} with a reason for each node, types of TRT operators by port; data shared; flushed to disk",
        graphfix,
        GRAPHFIX,
    ),
    "graphfix-trtrtx": Peer("graphfix `trtrtx`", "all that the EP needs: eleven passes more than the row above", graphfix_trtrtx, GRAPHFIX),
    "recipe": Peer(
        "published recipe", "relabels the opset, types TRT operators by the letters in names; writes the data again", recipe, ("onnx",)
    ),
    "onnx": Peer(
        "onnx.version_converter", f"opset {OPSET}, no types; writes the data again", onnx_converter, ("onnx", "onnx.version_converter")
    ),
    "onnx-bare": Peer(
        "onnx.version_converter, data left out by hand",
        f"opset {OPSET}, no types; refers to the old data; not flushed",
        onnx_converter_bare,
        ("onnx", "onnx.version_converter"),
    ),
    "onnxscript": Peer(
        "onnxscript.version_converter on onnx_ir",
        f"opset {OPSET}, no types; refers to the old data; not flushed",
        onnxscript_converter,
        ("onnx_ir", "onnxscript", "onnxscript.version_converter"),
    ),
    "onnxslim": Peer("onnxslim", "simplifies, keeps the opset, no types; writes the data again", slim, ("onnxslim",), "onnxslim"),
    "onnxsim": Peer("onnxsim", f"simplifies, opset {OPSET}, no types; writes the data again", sim, ("onnx", "onnxsim"), "onnxsim"),
    "surgeon": Peer(
        "graphsurgeon round trip",
        "nothing: reads and writes, keeps the opset; writes the data again",
        surgeon,
        ("onnx", "onnx_graphsurgeon"),
        "onnx-graphsurgeon",
    ),
    "cp": Peer("`cp`", "nothing: copies header and data; not flushed", None),
}
OTHERS = {
    "copy": Peer("graphfix `--data copy`", "as graphfix, and a copy of the data; flushed", graphfix_copy, GRAPHFIX),
    "copy-no-sync": Peer(
        "graphfix `--data copy --no-sync`", "as graphfix, and a copy of the data; not flushed", graphfix_copy_no_sync, GRAPHFIX
    ),
    "cp": PEERS["cp"],
    "cp-sync": Peer("`cp`, then `sync` of the copies", "as `cp`; flushed", None),
    "fold": Peer("graphfix, folding weights", "computes what the format stores; flushed", graphfix_fold, (*GRAPHFIX, "bench_folding")),
}


def verdict(source: Path, target: Path, kind: str) -> str:
    """``valid``: the checker takes the file, the work is done and the weights are all there. Else what is not so, in words."""
    import onnx
    from onnx import TensorProto

    wrong = []
    try:
        onnx.checker.check_model(str(target))
    except Exception as error:  # noqa: BLE001 - whatever the checker says is the finding
        wrong.append(f"onnx's checker: {last_line(str(error))}")
    before, after = (onnx.load(path, load_external_data=False) for path in (source, target))
    version = next((entry.version for entry in after.opset_import if entry.domain in {"", "ai.onnx"}), None)
    if version != OPSET:
        wrong.append(f"opset {version}")
    if kind == "nvfp4":
        types: dict[str, list[int]] = {}
        for info in after.graph.value_info:
            types.setdefault(info.name, []).append(info.type.tensor_type.elem_type)
        quantizers = [node for node in after.graph.node if node.op_type == "TRT_FP4DynamicQuantize"]
        right = [[TensorProto.FLOAT4E2M1], [TensorProto.FLOAT8E4M3FN]]
        untyped = sum([types.get(name) for name in node.output] != right for node in quantizers)
        if untyped or not quantizers:
            wrong.append(f"{untyped} of {len(quantizers)} quantizers without their types")
    held = {t.name: t for t in after.graph.initializer}
    lost = sum(t.name not in held or sample(t, source.parent) != sample(held[t.name], target.parent) for t in before.graph.initializer)
    if lost:
        wrong.append(f"{lost} of {len(before.graph.initializer)} weights are not as they were")
    return "; ".join(wrong) or "valid"


def sample(tensor: Any, folder: Path) -> tuple[int, bytes, bytes]:
    """Size, first and last bytes of a tensor, wherever it is stored."""
    import onnx
    from onnx import numpy_helper

    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        raw = tensor.raw_data or numpy_helper.to_array(tensor).tobytes()
        return len(raw), raw[:256], raw[-256:]
    entries = {entry.key: entry.value for entry in tensor.external_data}
    offset, length = int(entries.get("offset", 0)), int(entries["length"])
    with (folder / entries["location"]).open("rb") as file:
        file.seek(offset)
        first = file.read(min(256, length))
        file.seek(offset + max(0, length - 256))
        return length, first, file.read(min(256, length))


def last_line(text: str) -> str:
    """The last line that says something, cut to what fits a table."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" =\t")]
    return lines[-1][:160] if lines else ""


def peak_megabytes() -> float:
    """Peak resident memory of this process; Linux's VmHWM, because ru_maxrss counts what the parent held when it forked."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import psutil

    if hasattr(peak := psutil.Process().memory_info(), "peak_wset"):
        return float(peak.peak_wset) / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main(name: str, kind: str, source: str, target: str, cores: str = "0") -> None:
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # where memory runs out, this process goes and not what started it
    if int(cores):
        import psutil

        psutil.Process().cpu_affinity(psutil.Process().cpu_affinity()[: int(cores)])
    if name == "verdict":
        print(json.dumps({"verdict": verdict(Path(source), Path(target), kind)}))
        return
    peer = {**PEERS, **OTHERS}[name]
    for module in peer.imports:
        importlib.import_module(module)
    assert peer.run is not None
    began = time.perf_counter()
    peer.run(Path(source), Path(target), kind)
    seconds = time.perf_counter() - began
    print("\n" + json.dumps({"seconds": seconds, "megabytes": peak_megabytes()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
