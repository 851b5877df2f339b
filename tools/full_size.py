"""Writes a report: SD3.5-Medium's real architecture (2.5 billion parameters, random weights) from diffusers to an engine, stage by stage.

    python tools/full_size.py --work FOLDER [--device cuda] [--model CONFIG_FOLDER] [--skip-modelopt | --only-modelopt] [--json FILE]
    python tools/full_size.py --page docs/reports/sd35_medium.md OURS.json THEIRS.json

Stages: `graphfix quantize --raw` (NVFP4 linears, FP8 attention), `graphfix apply --passes trtrtx`, TensorRT-RTX's compiler for SM120, and
ModelOpt's own exporter on the same raw file, as its diffusers example calls it. Every stage is a process of its own, so that its peak
memory is its own. Needs `graphfix[quantize,compile]`, 20 GB of disk, and for the real size a GPU.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from measure import watch

# Source: transformer/config.json of stabilityai/stable-diffusion-3.5-medium.
SD35_MEDIUM = {
    "_class_name": "SD3Transformer2DModel",
    "sample_size": 128,
    "patch_size": 2,
    "in_channels": 16,
    "out_channels": 16,
    "num_layers": 24,
    "attention_head_dim": 64,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048,
    "pos_embed_max_size": 384,
    "qk_norm": "rms_norm",
    "dual_attention_layers": list(range(13)),
}
MODELOPT = """
import sys, onnx
from modelopt.onnx.export import NVFP4QuantExporter
model = NVFP4QuantExporter.process_model(onnx.load(sys.argv[1], load_external_data=True))
onnx.save(model, sys.argv[2], save_as_external_data=True, all_tensors_to_one_file=True, location="model.onnx_data", size_threshold=1024)
"""
COMPILE = """
import json, sys
from pathlib import Path
from graphfix.validate.compile import compile_model
found = compile_model(Path(sys.argv[1]), "sm120", {k: tuple(v) for k, v in json.loads(sys.argv[2]).items()})
print(found)
sys.exit(0 if found.ok else 1)
"""


def measure(name: str, command: list[str]) -> dict[str, Any]:
    """Run a process; its seconds, and the largest resident size of it and its children together."""
    print(f"{name}: {' '.join(command)[:160]}", flush=True)
    began = time.perf_counter()
    process = subprocess.Popen(command)
    peak, _ = watch(process)
    code = process.wait()
    found = {"name": name, "seconds": round(time.perf_counter() - began, 1), "peak_mb": round(peak), "ok": code == 0}
    print(json.dumps(found), flush=True)
    return found


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("model.onnx*"))


def run(given: argparse.Namespace) -> dict[str, Any]:
    work: Path = given.work
    work.mkdir(parents=True, exist_ok=True)
    model = given.model
    if model is None:
        model = work / "sd35_medium"
        model.mkdir(exist_ok=True)
        (model / "config.json").write_text(json.dumps(SD35_MEDIUM, indent=1))
    raw, fixed, theirs = work / "raw", work / "fixed", work / "modelopt"
    for folder in (fixed, theirs):
        folder.mkdir(exist_ok=True)
    python, steps = sys.executable, []
    if not given.only_modelopt:
        asked = ["--format", "nvfp4", "--mha", "fp8", "--random-weights", "0", "--steps", "8", "--device", given.device, "--raw"]
        steps.append(measure("quantize and export", [python, "-m", "graphfix", "quantize", str(model), *asked, "-o", str(raw)]))
        steps.append(measure("apply trtrtx", [python, "-m", "graphfix", "apply", str(raw / "model.onnx"), "-o", str(fixed / "model.onnx")]))
        shapes = json.loads((raw / "manifest.json").read_text())["shapes"]
        steps.append(measure("compile for SM120", [python, "-c", COMPILE, str(fixed / "model.onnx"), json.dumps(shapes)]))
    if not given.skip_modelopt:
        steps.append(measure("ModelOpt's exporter", [python, "-c", MODELOPT, str(raw / "model.onnx"), str(theirs / "model.onnx")]))
    manifest = json.loads((raw / "manifest.json").read_text())
    return {
        "machine": {"gpu": gpu(), "cpus": os.cpu_count(), "python": platform.python_version(), **manifest["versions"]},
        "layers": {key: len(value) for key, value in manifest["layers"].items()},
        "stages": manifest["stages"],
        "steps": steps,
        "bytes": {"raw": size(raw), "fixed": size(fixed), "modelopt": size(theirs)},
        "noise": manifest["quantization_noise"],
        "equal": compared(fixed, theirs),
    }


PAGE = """# SD3.5-Medium at full size

The real architecture of SD3.5-Medium ({parameters:.1f} billion parameters, random weights), NVFP4 linears and FP8 attention,
from diffusers to an engine. Written by `tools/full_size.py` from a run on {gpu} with {cpus} cores ({versions}).

| step | seconds | peak memory |
| --- | ---: | ---: |
{steps}
{layers[quantized]} layers are quantized and {layers[kept]} kept, {layers[attention]} attentions are in FP8. The export is {raw:.2f} GB;
after `trtrtx` it is {fixed:.2f} GB. TensorRT-RTX builds the engine for SM120 without such a GPU.

ModelOpt's own exporter does the work of `graphfix apply` on the same file, as its diffusers example calls it. It takes {times:.1f}
times as long and {memory:.0f} times the memory. {equal}

Inside `graphfix quantize --raw`, which is ModelOpt's and torch's work:

| stage | seconds | peak memory | peak on the GPU |
| --- | ---: | ---: | ---: |
{stages}
"""


def page(found: list[dict[str, Any]]) -> str:
    """The report from the JSON of one run, or of two where ModelOpt's exporter ran apart."""
    first = found[0]
    steps = {step["name"]: step for part in found for step in part["steps"]}
    ours, theirs = steps["apply trtrtx"], steps["ModelOpt's exporter"]
    names = {"quantize and export": "`graphfix quantize --raw`", "apply trtrtx": "`graphfix apply --passes trtrtx`"}
    versions = ", ".join(f"{k} {v}" for k, v in first["machine"].items() if k not in {"gpu", "cpus"})
    return PAGE.format(
        parameters=first["bytes"]["raw"] / 2e9,
        gpu=first["machine"]["gpu"],
        cpus=first["machine"]["cpus"],
        versions=versions,
        layers=first["layers"],
        steps="".join(f"| {names.get(n, n)} | {s['seconds']:.1f} | {s['peak_mb']:,} MB |\n" for n, s in steps.items()),
        stages="".join(
            f"| {s['name']} | {s['seconds']:.1f} | {s['peak_bytes'] >> 20:,} MB | {s['gpu_peak_bytes'] >> 20:,} MB |\n"
            for s in first["stages"]
        ).rstrip(),
        raw=first["bytes"]["raw"] / 1e9,
        fixed=first["bytes"]["fixed"] / 1e9,
        times=theirs["seconds"] / ours["seconds"],
        memory=theirs["peak_mb"] / ours["peak_mb"],
        equal=next((part["equal"] for part in reversed(found) if part.get("equal")), ""),
    )


def tensors(folder: Path) -> Counter[tuple[int, str]]:
    """Digests of all FP4 and FP8 tensors of a model, by type."""
    import onnx
    from onnx.external_data_helper import load_external_data_for_tensor

    made: Counter[tuple[int, str]] = Counter()
    for tensor in onnx.load(folder / "model.onnx", load_external_data=False).graph.initializer:
        if tensor.data_type in {onnx.TensorProto.FLOAT4E2M1, onnx.TensorProto.FLOAT8E4M3FN}:
            if tensor.external_data:
                load_external_data_for_tensor(tensor, str(folder))
            made[tensor.data_type, hashlib.sha256(tensor.raw_data).hexdigest()] += 1
            tensor.ClearField("raw_data")
    return made


def compared(fixed: Path, theirs: Path) -> str:
    """One sentence on whether both made the same weights."""
    if not all((folder / "model.onnx").is_file() for folder in (fixed, theirs)):
        return ""
    ours, other = tensors(fixed), tensors(theirs)
    differ = (ours - other).total()
    return f"Of {ours.total()} FP4 and FP8 tensors {differ} differ between the two results."


def gpu() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("found", nargs="*", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--skip-modelopt", action="store_true")
    parser.add_argument("--only-modelopt", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.page is not None:
        given.page.write_text(page([json.loads(path.read_text()) for path in given.found]), encoding="utf-8", newline="\n")
        return 0
    if given.work is None:
        parser.error("--work names the folder to work in")
    found = run(given)
    text = json.dumps(found, indent=1)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n")
    return 0 if all(step["ok"] for step in found["steps"]) else 1


if __name__ == "__main__":
    sys.exit(main())
