"""Writes docs/quantize.md: every model by every format that `graphfix quantize` takes, in every form that ModelOpt leaves it in.

    python tools/quantize_matrix.py [--check] [--only MODEL] [--jobs N]

Each row is a tiny model, quantized and exported here, held against the doors of `formats_matrix.py` before and after `trtrtx`, and against
the fake-quantized torch module. ``--check`` fails when the page says something else: a door, or an error by more than a factor of
three. Needs `graphfix[quantize,compile]` and onnxruntime. Takes minutes; ``--only sd3`` is what CI checks.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from formats_matrix import TARGETS, Doors, table

if TYPE_CHECKING:
    from exports import Kind, Made

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "quantize.md"
MODELS = {"sd3": "SD3", "sd35": "SD3.5", "flux": "Flux", "sdxl": "SDXL"}
# Format, attention, the forms in which users have it, and the oldest GPU generation that has its types.
ROWS = (
    ("nvfp4", "", ("raw", "modelopt", "0.46"), "sm120"),
    ("nvfp4", "fp8", ("raw", "modelopt", "0.46"), "sm120"),
    ("svdquant", "", ("raw", "modelopt", "0.46"), "sm120"),
    ("fp8", "", ("raw", "modelopt"), "sm89"),
    ("int8", "", ("raw",), "sm86"),
    ("int8-sq", "", ("raw",), "sm86"),
    ("mxfp8", "", ("raw", "modelopt"), "sm89"),
    ("int4-awq", "", ("raw", "modelopt"), "sm86"),
)
FORMS = {"raw": "raw", "modelopt": "ModelOpt 0.47", "0.46": "as ModelOpt 0.46"}
SMALL = {"batch_size": 1, "height": 8, "width": 8, "sequence_length": 8, "latent_dim": 16, "steps": 1}


@dataclass(frozen=True)
class Task:
    """One row."""

    model: str
    format: str
    mha: str
    form: str
    oldest: str


def tasks(only: str | None) -> list[Task]:
    return [
        Task(model, how, mha, form, oldest)
        for model in MODELS
        if only in {None, model}
        for how, mha, forms, oldest in ROWS
        for form in forms
    ]


def examine(task: Task) -> list[str]:
    """The row's cells."""
    import numpy as np
    from exports import Kind, make, write

    import graphfix
    from graphfix.quantize.quiet import captured

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with captured(folder / "log"):
            model = f"{task.model}_wide" if task.format == "int4-awq" else task.model
            kind = Kind(model, task.format, task.mha, task.form)
            made = make(kind)
            write(made.proto, folder / "export.onnx")
            fixed = graphfix.apply(folder / "export.onnx").save(folder / "fixed.onnx").path
            shapes = {name: list(array.shape) for name, array in made.inputs.items()}
            story = {"shapes": shapes, "expect": {"targets": [task.oldest]}}
            doors = Doors(folder)
            pairs = [
                f"{b} → {a}" if b != "·" else b
                for b, a in zip(doors.row(folder / "export.onnx", story), doors.row(fixed, story), strict=True)
            ]
            half = _distance(made, fixed)
            noise = np.linalg.norm(made.reference.astype(float) - made.unquantized) / np.linalg.norm(made.unquantized.astype(float))
            exact = "·" if task.mha or task.form != "raw" else f"{min(_exact(kind, folder)):.0e}"
    name = f"{task.format} + {task.mha} attention" if task.mha else task.format
    return [MODELS[task.model], name, FORMS[task.form], *pairs, f"{noise:.0e}", f"{half:.0e}", exact]


def _distance(made: Made, path: Path) -> float:
    """Relative L2 distance between what the file at ``path`` and the fake-quantized torch module compute."""
    import numpy as np

    from graphfix.validate.cpu import run

    inputs = path.with_name("inputs.npz")
    np.savez(inputs, **made.inputs)
    _, outputs = run(str(path), {}, str(inputs))
    ours, theirs = next(iter(outputs.values())).astype(np.float64), made.reference.astype(np.float64)
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def _exact(kind: Kind, folder: Path) -> list[float]:
    """Distances in float32, of small samples, until one has no value on a quantizer's edge."""
    from exports import make, recipe_of, write

    import graphfix

    found: list[float] = []
    for seed in range(4):
        asked = replace(kind, dtype="fp32", seed=seed)
        known = recipe_of(asked).sizes
        made = make(asked, {name: size for name, size in SMALL.items() if name in known})
        write(made.proto, folder / "exact.onnx")
        fixed = graphfix.apply(folder / "exact.onnx").save(folder / "exact.fixed.onnx").path
        found.append(_distance(made, fixed))
        if found[-1] < 1e-5:
            break
    return found


HEAD = """# What `graphfix quantize` makes

Tiny models of the real classes with random weights, quantized by ModelOpt and exported by torch, in every form that users have:
**raw** as torch writes it, finished by **ModelOpt 0.47**'s exporters, and **as ModelOpt 0.46** left NVFP4 (its weights were divided by
block scales before these were rounded, which no pass can repair). Written by `tools/quantize_matrix.py`; CI checks SD3's rows.

Doors are those of [formats.md](formats.md), before → after `trtrtx`; `·` means that the GPU generation lacks the type. **noise** is what
quantization costs: the fake-quantized torch module against the unquantized one. **float16** is the distance between the file, its
quantizers emulated on a CPU, and the fake-quantized module. Both round, and a value next to a step of a quantizer falls on the other side;
so it may come near the noise. **float32** is the same in float32, on the best of up to four small samples: it says whether the graph
computes what the module computes. All are relative L2 distances. FP8 attention is exported with a quantizer behind Softmax that the
torch module does not have, and in 16 bits only; ModelOpt's exporters know 16 bits only as well.

"""


def page(only: str | None, jobs: int) -> tuple[str, list[list[str]]]:
    asked = tasks(only)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(examine, asked))
    titles = ["model", "format", "form", "checker", "ORT", *(t.upper() for t in TARGETS), "noise", "float16", "float32"]
    return HEAD + table(titles, rows), rows


def parse(text: str) -> dict[tuple[str, ...], list[str]]:
    """The rows of a page by model, format and form."""
    lines = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in text.splitlines() if line.startswith("| ")]
    return {tuple(cells[:3]): cells[3:] for cells in lines[2:]}


NUMBER = re.compile(r"\de[-+]\d\d")
TINY = 1e-4  # what rounding makes, which no two processors share


def agree(old: list[str], new: list[str]) -> bool:
    for a, b in zip(old, new, strict=True):
        if NUMBER.fullmatch(a) and NUMBER.fullmatch(b):
            if max(float(a), float(b)) > TINY and not 1 / 3 <= float(a) / max(float(b), 1e-30) <= 3:
                return False
        elif a != b:
            return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", choices=MODELS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--to", type=Path, default=PAGE)
    given = parser.parse_args()
    text, rows = page(given.only, given.jobs)
    if not given.check:
        given.to.write_text(text, encoding="utf-8", newline="\n")
        print(text.partition("\n| model")[2])
        return 0
    held = parse(PAGE.read_text(encoding="utf-8")) if PAGE.is_file() else {}
    wrong = [row for row in rows if not agree(held.get(tuple(row[:3]), ["?"] * len(row[3:])), row[3:])]
    for row in wrong:
        print(f"docs/quantize.md says {held.get(tuple(row[:3]))}, this tree {row}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
