"""Writes docs/formats.md: every export in fixtures/exports by door, before and after `trtrtx`, with numerics and bytes.

    python tools/formats_matrix.py [--check] [--only NAME]

``--check`` changes nothing and fails when the page says something else than this run: a door, an identity, a size; errors may differ by
a factor of two, for they depend on the CPU. Needs onnxruntime, TensorRT-RTX and a C compiler. Takes a few minutes.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

import graphfix
from graphfix.validate.compile import compile_model
from graphfix_passes.pipelines import TRTRTX

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
EXPORTS = ROOT / "fixtures" / "exports"
PAGE = ROOT / "docs" / "formats.md"
TARGETS = ("sm86", "sm89", "sm120")
NO_KERNEL = "Could not find an implementation for"  # everything resolved and typed; the CPU build only lacks FP4 kernels
# By the first word of a format: a pass with other options than in trtrtx, or one that follows it.
VARIANTS = {
    "FP8": ["fp8-native", "fp8-native{activations=trt}"],
    "MXFP8": ["mxfp8{activations=float}"],
    "INT4": ["int4-native{scales=keep}"],
}


def with_variant(variant: str) -> str:
    """trtrtx with that pass: in its place, or at the end."""
    name = variant.partition("{")[0]
    steps = TRTRTX.split(",")
    return ",".join(variant if step == name else step for step in steps) if name in steps else f"{TRTRTX},{variant}"


def feed_for(story: dict[str, Any], kinds: dict[str, Any]) -> dict[str, Any]:
    """Seeded inputs: latents of unit variance, a timestep in the range of the model's scheduler."""
    rng = np.random.default_rng(0)
    feed = {}
    for name, kind in kinds.items():
        value = rng.standard_normal(story["shapes"][name])
        if name == "timestep":
            value = np.full(value.shape, 0.5 if story["model"].startswith("Flux") else 500.0)
        if name.endswith("_ids"):
            value = rng.integers(0, 8, value.shape)
        feed[name] = value.astype(kind)
    return feed


def run_ort(path: Path, story: dict[str, Any]) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    kinds = {"tensor(float16)": np.float16, "tensor(float)": np.float32}
    types = {i.name: kinds[i.type] for i in session.get_inputs() if i.name in story["shapes"]}
    out: np.ndarray = session.run(None, feed_for(story, types))[0]
    return out


def run_reference(path: Path, story: dict[str, Any]) -> np.ndarray:
    model = onnx.load(path)
    types = {
        i.name: onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in model.graph.input if i.name in story["shapes"]
    }
    out: np.ndarray = ReferenceEvaluator(model).run(None, feed_for(story, types))[0]
    return out


class Doors:
    """The doors, with ONNX Runtime's built once."""

    def __init__(self, folder: Path) -> None:
        self._library = folder / "ort_door.so"
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise SystemExit("no C compiler to build tools/ort_door.c with")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", self._library, ROOT / "tools" / "ort_door.c"], check=True)

    def checker(self, path: Path) -> bool:
        # In a process of its own: in this one the checker knows the trt operators too, and is stricter than a user's.
        code = "import sys, onnx; onnx.checker.check_model(sys.argv[1], full_check=True)"
        return subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=False).returncode == 0

    def onnxruntime(self, path: Path) -> bool:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.register_custom_ops_library(str(self._library))
        try:
            ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions share no base class
            return NO_KERNEL in str(error)
        return True

    def row(self, path: Path, story: dict[str, Any]) -> list[str]:
        """One cell for each door. A GPU generation that lacks the data type has an empty one."""
        shapes = {name: tuple(shape) for name, shape in story["shapes"].items()}
        oldest = TARGETS.index(story["expect"]["targets"][0])
        cells = [self.checker(path), self.onnxruntime(path)]
        cells += [compile_model(path, target, shapes).ok for target in TARGETS[oldest:]]
        marks = ["yes" if cell else "**no**" for cell in cells]
        return marks[:2] + ["·"] * oldest + marks[2:]


def compare(a: Path, before: str, b: Path, after: str, story: dict[str, Any], folder: Path) -> str:
    """How far two pipelines' results lie apart on a CPU: identical under some engine, or the smallest relative L2 distance."""
    found = []
    for engine, name, run in (("ort", "ORT", run_ort), ("reference", "reference", run_reference)):
        try:
            results = []
            for i, (path, passes) in enumerate(((a, before), (b, after))):
                emulated = f"{passes},emulate{{engine={engine}}}" if passes else f"emulate{{engine={engine}}}"
                saved = graphfix.apply(path, emulated).save(folder / f"{engine}{i}.onnx").path
                results.append(run(saved, story))
        except Exception:  # noqa: BLE001 - an original that is not a valid model runs nowhere
            continue
        x, y = (r.astype(np.float64) for r in results)
        if np.array_equal(results[0], results[1], equal_nan=True):
            return f"bit-identical ({name})"
        found.append((float(np.linalg.norm(x - y) / np.linalg.norm(x)), name))
    return "{:.0e} ({})".format(*min(found)) if found else "the original runs nowhere"


def size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.parent.glob(path.name + "*"))


def examine(path: Path, doors: Doors, folder: Path) -> tuple[list[str], list[list[str]]]:
    """The export's row, and one row for each of its variants."""
    story = tomllib.loads(path.with_suffix(".toml").read_text(encoding="utf-8"))
    data = path.with_name(path.name + "_data")
    (folder / "out").mkdir(parents=True)
    saved = graphfix.apply(path).save(folder / "out" / "fixed.onnx").path
    twin = story["expect"].get("same_as")
    numerics = (
        compare(EXPORTS / f"{twin}.onnx", "trtrtx", path, "trtrtx", story, folder).replace(" (", f" to {twin} (", 1)
        if twin
        else compare(path, "init-inputs", path, "trtrtx", story, folder)
    )
    before = path.stat().st_size + data.stat().st_size
    pairs = [f"{b} → {a}" if b != "·" else "·" for b, a in zip(doors.row(path, story), doors.row(saved, story), strict=True)]
    row = [f"`{path.stem}`", story["format"], *pairs, numerics, f"{before:,} → {size(saved):,}"]
    variants = []
    for i, variant in enumerate(VARIANTS.get(story["format"].split()[0].rstrip(","), ())):
        passes = with_variant(variant)
        (folder / f"v{i}").mkdir()
        other = graphfix.apply(path, passes).save(folder / f"v{i}" / "fixed.onnx").path
        distance = compare(path, "trtrtx", path, passes, story, folder)
        variants.append([f"`{path.stem}`", f"`{variant}`", *doors.row(other, story), distance, f"{size(other):,}"])
    return row, variants


HEAD = """# Formats

What `graphfix apply --passes trtrtx` does to real exports, held against every door that opens without a GPU. Written by
`tools/formats_matrix.py`; CI checks it.

A cell says whether the file passes *before → after*. **checker** is onnx's, with full shape inference. **ORT** is ONNX Runtime's
loader with the three `trt` operators registered as the TensorRT-RTX EP registers them. **SM86, SM89, SM120** are engines built by
TensorRT-RTX for that GPU generation; `·` means that the generation lacks the data type. **Numerics** compares the file before and
after on a CPU, with the `trt` operators emulated, under ONNX Runtime or onnx's reference evaluator: bit-identical under one of them,
or the smaller relative L2 distance. ONNX Runtime is comparable bit by bit only where the structure stays, for it drops float16
round trips by structure. **Bytes** are header and data in a folder of their own.

"""


def table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def page(names: list[Path]) -> str:
    with tempfile.TemporaryDirectory() as temporary:
        doors = Doors(Path(temporary))
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda p: examine(p, doors, Path(temporary) / p.stem), names))
    targets = [t.upper() for t in TARGETS]
    text = HEAD + table(["export", "format", "checker", "ORT", *targets, "numerics", "bytes"], [row for row, _ in found])
    text += "\n## Options\n\nThe same doors after `trtrtx` with another pass or option; numerics against `trtrtx`.\n\n"
    return text + table(["export", "with", "checker", "ORT", *targets, "numerics", "bytes"], [v for _, rows in found for v in rows])


ERROR = re.compile(r"\b\de-\d\d\b")


def agrees(old: str, new: str) -> bool:
    """Whether two pages say the same, errors apart, and errors within a factor of two."""
    if ERROR.sub("E", old) != ERROR.sub("E", new):
        return False
    pairs = zip(ERROR.findall(old), ERROR.findall(new), strict=True)
    return all(0.5 <= float(a) / float(b) <= 2 for a, b in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", help="print the rows of one export")
    given = parser.parse_args()
    names = sorted(EXPORTS.glob(f"{given.only or '*'}.onnx"))
    text = page(names)
    if given.only:
        print(text.partition("\n| export")[2])
        return 0
    if not given.check:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, encoding="utf-8", newline="\n")
        return 0
    if PAGE.is_file() and agrees(PAGE.read_text(encoding="utf-8"), text):
        return 0
    print("docs/formats.md is not what this tree does: run python tools/formats_matrix.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
