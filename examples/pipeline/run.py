"""From a diffusers pipeline to a deployed, quantized backbone, end to end, without a GPU, and without a network but for pip.

    python examples/pipeline/run.py                                    # SD3 and Flux, every format, in ./pipeline-example
    python examples/pipeline/run.py --models sd3 --formats int8        # one of them

For each model: a tiny pipeline with random weights, exported by optimum at opset 20; its backbone quantized by `graphfix quantize` with
prompts as calibration data; the gate; the backbone placed into the pipeline's folder; a picture by optimum's ORTStableDiffusion3Pipeline or
ORTFluxPipeline on ONNX Runtime's CPU provider, compared with the unquantized pipeline's of the same seed; the folder as it was before. What
only a GPU can run is placed as a copy whose operators are emulated, and the deployable file stays as it is.

ModelOpt and optimum ask for versions of transformers that exclude each other, so each has an environment of its own, made at the first run.
On Linux that downloads torch with CUDA; pip's own variables (PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS) point to a smaller build of torch.

Exit codes: 0 all is well; 1 a gate failed, or a picture is too far off; 3 an environment lacks something, with the command that mends it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOOL = ROOT / "tools" / "tiny_pipelines.py"

# name: what pip installs, and what must be importable
ENVIRONMENTS = {
    "modelopt": (["torch==2.13.0", "-e", f"{ROOT}[quantize,validate]"], "graphfix, modelopt, torch, diffusers, onnxruntime"),
    "optimum": (
        ["torch==2.13.0", "optimum-onnx[onnxruntime]==0.1.0", "optimum==2.1.0", "transformers==4.57.6", "diffusers==0.39.0", "accelerate"],
        "optimum.onnxruntime, diffusers, torch, PIL",
    ),
}
# A picture of 64 pixels, and 16 tokens of T5, in each model's own axes.
MODELS = {
    "sd3": {"height": 8, "width": 8, "sequence_length": 77 + 16},
    "flux": {"packed_height_width": 16, "sequence_length": 16},
}
# format: options of `graphfix quantize`, and whether ONNX Runtime's CPU provider needs the operators emulated
FORMATS = {
    "nvfp4": (("--format", "nvfp4", "--mha", "fp8"), True),
    "fp8": (("--format", "fp8"), False),
    "int8": (("--format", "int8"), False),
}
GAIN = {"sd3": 2, "flux": 4}  # of the random weights: enough that the picture depends on what is quantized
STEPS = 8
CLOSER = 6.0  # dB: a quantized backbone's picture must be this much closer than that of a backbone with other weights


PAGE = """# From a diffusers pipeline to a deployed backbone

Written by `python examples/pipeline/run.py --docs`. No GPU, and no network but for pip: tiny pipelines with random weights (so pictures are
textures), exported by optimum at opset 20; the backbone quantized by `graphfix quantize` with prompts as calibration data, gated, placed,
and run by `ORTStableDiffusion3Pipeline` and `ORTFluxPipeline` on ONNX Runtime's CPU provider; then the folder put back as it was. Every
picture has the same seed, {steps} steps and 64 pixels; here they are enlarged.

{pictures}

| model | format | placed | gate | noise | graph | PSNR, dB | quantize, s | gate, s | place, run, undo, s |
|---|---|---|---|---|---|---|---|---|---|
{table}

**PSNR** holds the picture against the unquantized pipeline's. What a wrong backbone scores is told by one with other random weights:
{others}. A format must be {closer} dB closer than that. **Noise** is the distance (relative L2) between torch's
quantized and unquantized module on one sample; **graph** is the distance of the deployable file from the quantized module, as the gate
measures it.

INT8 and FP8 are placed as they are: what `graphfix quantize` writes for them, ONNX Runtime's CPU provider runs too. For NVFP4 (attention
in FP8), which only a GPU runs, a copy is placed, made by `graphfix apply --passes emulate`. The script checks that the deployable file
keeps its bytes, and that `graphfix place --undo` brings every byte of the folder back. Seconds include the start of each process, on
{cores} cores shared with other work.

## What was typed

ModelOpt and optimum ask for versions of transformers that exclude each other, so each has an environment of its own. The script makes
both, or takes `--modelopt-python` and `--optimum-python`. Below, `optimum-python` is the second one's Python, and paths into this
repository begin at its root.

```sh
{commands}
```
"""


@dataclass
class Row:
    """What became of one format of one model.

    Attributes:
        gate: The gate's last line.
        passed: Whether the gate passed.
        noise: Relative L2 distance between the quantized and the unquantized torch module, one sample.
        distance: Relative L2 distance between the file and the quantized torch module, as the gate measured it.
        psnr: Of the picture against the unquantized pipeline's, in dB.
        untouched: Whether the deployable file kept its bytes.
        restored: Whether the pipeline's folder has its bytes back after ``place --undo``.
        seconds: Wall clock of each step, the start of its process included.
    """

    model: str
    format: str
    emulated: bool
    gate: str = ""
    passed: bool = False
    noise: float = 0.0
    distance: float = 0.0
    psnr: float = 0.0
    untouched: bool = False
    restored: bool = False
    seconds: dict[str, float] = field(default_factory=dict)


class StepFailedError(Exception):
    """A command that ended otherwise than it must; says which and what it printed last."""


@dataclass
class Workshop:
    """Where everything is made, with the two Pythons; remembers the commands it ran."""

    folder: Path
    modelopt: str
    optimum: str
    commands: list[list[str]] = field(default_factory=list)

    def graphfix(self, *arguments: str | Path, codes: tuple[int, ...] = (0,)) -> str:
        """Run graphfix; its standard output."""
        return self._call([self.modelopt, "-m", "graphfix", *map(str, arguments)], codes)

    def tool(self, *arguments: str | Path) -> str:
        """Run the maker of tiny pipelines."""
        return self._call([self.optimum, str(TOOL), *map(str, arguments)], (0,))

    def compare(self, *arguments: str | Path) -> Any:
        """Run compare.py; what it found."""
        return json.loads(self._call([self.optimum, str(HERE / "compare.py"), *map(str, arguments)], (0,)))

    def _call(self, command: list[str], codes: tuple[int, ...]) -> str:
        self.commands.append(command)
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
        if done.returncode not in codes:
            said = "\n".join(f"{done.stdout}\n{done.stderr}".strip().splitlines()[-15:])
            raise StepFailedError(f"{self.spelled(command)}\nended with {done.returncode}:\n{said}")
        return done.stdout

    def spelled(self, command: list[str]) -> str:
        """A command as one would type it in the folder, from a shell that finds both environments."""
        line = " ".join(part.replace(str(ROOT) + os.sep, "").replace(os.sep, "/") for part in command[1:])
        return line.removeprefix("-m ") if command[0] == self.modelopt else f"optimum-python {line}"


def environment(name: str, folder: Path) -> str:
    """The Python of an environment, made where there is none yet."""
    packages, _ = ENVIRONMENTS[name]
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = folder / "ready.txt"
    if ready.is_file() and ready.read_text(encoding="utf-8") == "\n".join(packages):
        return str(python)
    print(f"making the environment {folder} (once; minutes)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
    ready.write_text("\n".join(packages), encoding="utf-8")
    return str(python)


def lacks(name: str, python: str) -> str:
    """What an environment cannot import, with the command that mends it; empty where it has all."""
    packages, needed = ENVIRONMENTS[name]
    try:
        done = subprocess.run([python, "-c", f"import {needed}"], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"error: cannot run {python}\n  why:   {error}\n  next:  leave --{name}-python out, and the environment is made"
    if done.returncode == 0:
        return ""
    why = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    return f"error: {python} cannot be used for {name}\n  why:   {why}\n  next:  {python} -m pip install {' '.join(map(_quoted, packages))}"


def _quoted(text: str) -> str:
    return f'"{text}"' if "[" in text else text


def digest(folder: Path) -> str:
    """SHA-256 over names and bytes of all files below a folder."""
    made = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        made.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return made.hexdigest()


@contextmanager
def timed(row: Row, step: str) -> Iterator[None]:
    """Measure a step and say that it is over."""
    began = time.perf_counter()
    yield
    row.seconds[step] = time.perf_counter() - began
    print(f"{row.model:5} {row.format:6} {step:9} {row.seconds[step]:6.1f} s", flush=True)


def base(shop: Workshop, model: str) -> float:
    """Make, export and run the unquantized pipeline.

    Returns:
        PSNR in dB of the picture that a backbone with other weights makes: what a wrong backbone would score.
    """
    began = time.perf_counter()
    home = Path(model)
    shop.tool("make", model, home / "torch", "--gain", str(GAIN[model]))
    shop.tool("export", home / "torch", home / "pipeline", "--dtype", "fp32", "--opset", "20")
    cls = shop.tool("run", home / "pipeline", home / "unquantized.png", "--steps", str(STEPS)).strip().splitlines()[-1]
    shop.tool("make", model, home / "other", "--gain", str(GAIN[model]), "--seed", "1")
    shop.tool("backbone", home / "other", home / "other.onnx", "--dtype", "fp32")
    _picture(shop, home, home / "other.onnx", "other", None)
    found = shop.compare("psnr", home / "unquantized.png", home / "other.png")
    print(f"{model:5} by {cls}: exported, run unquantized and with other weights {time.perf_counter() - began:.1f} s", flush=True)
    return float(found[0])


def deploy(shop: Workshop, model: str, how: str) -> Row:
    """Quantize, gate, place, run, undo."""
    options, emulated = FORMATS[how]
    row = Row(model, how, emulated)
    home = Path(model)
    made = home / how
    sizes = [part for name, size in MODELS[model].items() for part in ("--size", f"{name}={size}")]
    with timed(row, "quantize"):
        prompts = ["--calibration", str(HERE / "prompts.txt"), "--steps", str(STEPS)]
        shop.graphfix("quantize", home / "torch", "-o", made, *options, *prompts, *sizes)
    row.noise = float(json.loads((shop.folder / made / "manifest.json").read_text(encoding="utf-8"))["quantization_noise"])
    before = digest(shop.folder / made)
    file = made / "model.onnx"
    with timed(row, "gate"):
        recorded = ["--inputs", str(made / "inputs.npz"), "--reference", str(made / "reference.npz")]
        said = shop.graphfix("validate", file, *recorded, "--format", "json", codes=(0, 1))
    report = json.loads(said)
    row.passed, row.gate = bool(report["passed"]), str(report["verdict"])
    row.distance = next((float(c["value"]) for c in report["checks"] if c["tier"] == "numerics" and c["name"].endswith("rel_l2")), 0.0)
    if emulated:
        placed = home / f"{how}-cpu" / "model.onnx"
        with timed(row, "emulate"):
            (shop.folder / placed.parent).mkdir(exist_ok=True)
            shop.graphfix("apply", "--passes", "emulate", file, "-o", placed)
    else:
        placed = file
    row.restored = _picture(shop, home, placed, how, row)
    row.psnr = float(shop.compare("psnr", home / "unquantized.png", home / f"{how}.png")[0])
    row.untouched = digest(shop.folder / made) == before
    return row


def _picture(shop: Workshop, home: Path, backbone: Path, name: str, row: Row | None) -> bool:
    """Place, run, undo; whether the folder is as it was."""
    began = time.perf_counter()
    pipeline = home / "pipeline"
    before = digest(shop.folder / pipeline)
    shop.graphfix("place", backbone, pipeline)
    try:
        if digest(shop.folder / pipeline) == before:
            raise StepFailedError(f"graphfix place {backbone} {pipeline} changed nothing")
        shop.tool("run", pipeline, home / f"{name}.png", "--steps", str(STEPS))
    finally:
        shop.graphfix("place", "--undo", pipeline)
    if row is not None:
        row.seconds["picture"] = time.perf_counter() - began
        print(f"{row.model:5} {row.format:6} {'picture':9} {row.seconds['picture']:6.1f} s", flush=True)
    return digest(shop.folder / pipeline) == before


def wrong(row: Row, other: float) -> list[str]:
    """What is not as it must be, in words.

    Args:
        row: What was found.
        other: PSNR of a backbone with other weights.
    """
    least = other + CLOSER
    held = (
        (row.passed, f"the gate: {row.gate}"),
        (row.psnr >= least, f"the picture has {row.psnr:.1f} dB and needs {least:.1f}: a backbone with other weights has {other:.1f}"),
        (row.untouched, "the deployable file was changed"),
        (row.restored, "the pipeline's folder is not as it was"),
    )
    return [why for good, why in held if not good]


def page(rows: list[Row], others: dict[str, float], commands: list[str]) -> str:
    """The page in Markdown."""
    table = []
    for row in rows:
        spent = [f"{row.seconds.get(step, 0):.1f}" for step in ("quantize", "gate", "picture")]
        cells = [row.model, row.format, "emulated copy" if row.emulated else "as it is", row.gate]
        cells += [f"{row.noise:.3f}", f"{row.distance:.4f}", f"{row.psnr:.1f}", *spent]
        bad = wrong(row, others[row.model])
        table.append(f"| {' | '.join(cells)} |" + (f" **{'; '.join(bad)}** |" if bad else ""))
    return PAGE.format(
        steps=STEPS,
        closer=f"{CLOSER:.0f}",
        cores=os.cpu_count(),
        others=", ".join(f"{value:.1f} dB for {model}" for model, value in others.items()),
        table="\n".join(table),
        pictures="\n\n".join(f"![{model}: the pictures side by side](images/end_to_end_{model}.png)" for model in others),
        commands="\n".join(commands),
    )


def main() -> int:
    """Parse, make the environments, run, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("pipeline-example"), help="the folder to work in (default: pipeline-example)")
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=list(MODELS))
    parser.add_argument("--formats", nargs="+", choices=sorted(FORMATS), default=list(FORMATS))
    for name in ENVIRONMENTS:
        parser.add_argument(f"--{name}-python", default="", help=f"a Python with {name}, instead of an environment of its own")
    parser.add_argument("--docs", action="store_true", help="write docs/end_to_end.md and its pictures")
    given = parser.parse_args()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    pythons = {}
    for name in ENVIRONMENTS:
        try:
            found = getattr(given, f"{name}_python") or environment(name, work / f"{name}-env")
        except subprocess.CalledProcessError as error:
            print(
                f"error: the environment for {name} could not be made\n  why:   {error}\n  next:  --{name}-python PYTHON", file=sys.stderr
            )
            return 3
        missing = lacks(name, found)
        if missing:
            print(missing, file=sys.stderr)
            return 3
        pythons[name] = os.path.abspath(shutil.which(found) or found)  # noqa: PTH100 - a link to a Python must not be followed
    shop = Workshop(work, pythons["modelopt"], pythons["optimum"])
    try:
        return work_through(shop, given.models, given.formats, docs=given.docs)
    except StepFailedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def work_through(shop: Workshop, models: list[str], formats: list[str], *, docs: bool) -> int:
    """All models and formats; the exit code."""
    rows: list[Row] = []
    others: dict[str, float] = {}
    for model in models:
        shutil.rmtree(shop.folder / model, ignore_errors=True)
        others[model] = base(shop, model)
        mine = [deploy(shop, model, how) for how in formats]
        rows += mine
        captions = [f"{row.format}.png={row.format}, {row.psnr:.1f} dB" for row in mine]
        pictures = ["unquantized.png=unquantized", *captions, f"other.png=other weights, {others[model]:.1f} dB"]
        shop.compare("sheet", f"{model}/sheet.png", *(f"{model}/{picture}" for picture in pictures))
    (shop.folder / "results.json").write_text(
        json.dumps({"rows": [vars(row) for row in rows], "other_weights_psnr": others}, indent=1) + "\n", encoding="utf-8"
    )
    commands = [shop.spelled(command) for command in shop.commands if "compare.py" not in command[1]]
    text = page(rows, others, commands)
    (shop.folder / "end_to_end.md").write_text(text, encoding="utf-8")
    if docs:
        images = ROOT / "docs" / "images"
        images.mkdir(exist_ok=True)
        (ROOT / "docs" / "end_to_end.md").write_text(text, encoding="utf-8")
        for model in models:
            shutil.copyfile(shop.folder / model / "sheet.png", images / f"end_to_end_{model}.png")
    bad = [f"{row.model} {row.format}: {why}" for row in rows for why in wrong(row, others[row.model])]
    for row in rows:
        print(f"{row.model:5} {row.format:6} {row.psnr:5.1f} dB ({others[row.model]:.1f} with other weights)  gate: {row.gate}")
    print("\n".join(bad) or f"all is well; pictures: {', '.join(f'{shop.folder.name}/{model}/sheet.png' for model in models)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
