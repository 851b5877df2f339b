"""Kill graphfix -9 at random moments and see what is left: ``python tools/faults.py --kills 300``.

A campaign prepares a folder and runs one command in it over and over, each time killed at a random moment between its start and a little
after its usual end. Each time the output must be the old file or the new one, whole, down to the bytes of every weight. At the end
the command runs undisturbed and must leave nothing behind but its output. Add a campaign to `CAMPAIGNS`; nothing else has to change.

Prints for each campaign how many kills found the old output, the new one and a torn one, and in how many the command was caught while
it was writing. Exit code 1 if anything was torn. POSIX only: it forks, so that a kill hits the work and not Python's start-up.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Campaign:
    """One command under fire.

    Attributes:
        story: What is held.
        prepare: Fill an empty folder with what the command needs, the old output included.
        arguments: The command's arguments; it runs in the folder.
        output: The file that must be old or new, relative to the folder.
        imports: What the command imports late; imported before forking, so that a kill does not hit that.
        since: The share of the command's usual time before which it is not killed, where the save comes last.
    """

    story: str
    prepare: Callable[[Path], None]
    arguments: Sequence[str]
    output: str
    imports: Sequence[str] = ()
    since: float = 0.0


def whole(path: Path) -> str:
    """A digest of a model with all its weights; raises what onnx raises where a weight is not there, or its checker finds something."""
    onnx.checker.check_model(path)
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if len(onnx.numpy_helper.to_array(tensor).reshape(-1)) != int(np.prod(tensor.dims)):
            raise ValueError(tensor.name)
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def weights(path: Path, seed: int, columns: int, quantizer: str = "") -> None:
    """A chain of four MatMuls with external weights of ``columns`` x 1024 float16, behind a ModelOpt quantizer if one is named."""
    rng = np.random.default_rng(seed)
    nodes, tensors = [], []
    for i in range(4):
        tensors.append(onnx.numpy_helper.from_array(rng.standard_normal((columns, 1024)).astype(np.float16), f"w{i}"))
        name = f"w{i}"
        if quantizer:
            nodes.append(onnx.helper.make_node(quantizer, [name], [f"q{i}"], domain="trt", block_size=16))
            name = f"q{i}"
        nodes.append(onnx.helper.make_node("Gather", [name, "x"], [f"y{i}"], name=f"n{seed}_{i}"))
    outputs = [onnx.helper.make_tensor_value_info(f"y{i}", onnx.TensorProto.FLOAT16, ["n", 1024]) for i in range(4)]
    graph = onnx.helper.make_graph(nodes, "g", [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.INT64, ["n"])], outputs, tensors)
    imports = [onnx.helper.make_opsetid("", 20 if not quantizer else 23), onnx.helper.make_opsetid("trt", 1)]
    model = onnx.helper.make_model(graph, opset_imports=imports, ir_version=11)
    onnx.save(model, path, save_as_external_data=True, location=path.name + "_data", size_threshold=1024)


def beside(folder: Path) -> None:
    """An input whose output lies beside it and shares its data; an older output is there."""
    weights(folder / "old.onnx", 0, 512)
    run(folder, ["apply", "old.onnx", "--passes", "opset23", "-o", "out.onnx"])
    weights(folder / "in.onnx", 1, 4096)


def elsewhere(folder: Path) -> None:
    """An input of 32 MB whose output goes to another folder with a copy of its data; an older output is there."""
    (folder / "out").mkdir()
    weights(folder / "old.onnx", 0, 512)
    run(folder, ["apply", "old.onnx", "--passes", "opset23", "-o", "out/out.onnx"])
    weights(folder / "in.onnx", 1, 4096)


def folding(folder: Path) -> None:
    """An input whose weights are computed and written; an older output is there."""
    (folder / "out").mkdir()
    weights(folder / "old.onnx", 0, 512, "TRT_FP4QDQ")
    run(folder, ["apply", "old.onnx", "--passes", "fp4-weights", "-o", "out/out.onnx"])
    weights(folder / "in.onnx", 1, 1024, "TRT_FP4QDQ")


def replaced(folder: Path) -> None:
    """An input that is replaced by its output, with new weights."""
    weights(folder / "in.onnx", 1, 1024, "TRT_FP4QDQ")


def gathering(folder: Path) -> None:
    """An input whose weights all go to one new data file, as quantize saves; an older output is there."""
    (folder / "out").mkdir()
    weights(folder / "old.onnx", 0, 512)
    run(folder, ["apply", "old.onnx", "--passes", "opset23", "--data", "gather", "-o", "out/out.onnx"])
    weights(folder / "in.onnx", 1, 4096)


def quantizing(folder: Path) -> None:
    """A folder that quantize wrote, with other weights."""
    run(folder, [*QUANTIZE, "--random-weights", "1"])


QUANTIZE = ["quantize", str(ROOT / "fixtures" / "models" / "sd3"), "--format", "fp8", "--steps", "1", "-o", "out"]
CAMPAIGNS: dict[str, Campaign] = {
    "beside": Campaign("header only, data shared", beside, ["apply", "in.onnx", "-p", "opset23", "-o", "out.onnx"], "out.onnx"),
    "elsewhere": Campaign(
        "header only, data copied", elsewhere, ["apply", "in.onnx", "-p", "opset23", "-o", "out/out.onnx"], "out/out.onnx"
    ),
    "folding": Campaign("weights computed", folding, ["apply", "in.onnx", "-p", "fp4-weights", "-o", "out/out.onnx"], "out/out.onnx"),
    "in-place": Campaign("weights computed, --in-place", replaced, ["apply", "in.onnx", "-p", "fp4-weights", "--in-place"], "in.onnx"),
    "gather": Campaign(
        "data gathered", gathering, ["apply", "in.onnx", "-p", "opset23", "--data", "gather", "-o", "out/out.onnx"], "out/out.onnx"
    ),
}
# Those that need an extra of graphfix: run only by name.
WITH_EXTRAS: dict[str, Campaign] = {
    "quantize": Campaign(
        "quantized and exported again with other weights",
        quantizing,
        [*QUANTIZE, "--random-weights", "0"],
        "out/model.onnx",
        ("torch", "diffusers", "modelopt.torch.quantization", "graphfix.quantize.run", "graphfix.quantize.export"),
        since=0.6,
    ),
}


def start(folder: Path, arguments: Sequence[str]) -> int:
    """Run the command line in a forked child, silently; returns its process id."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    os.chdir(folder)
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    sys.argv = ["graphfix", *arguments]
    try:
        from graphfix.cli import main

        main()
    except SystemExit as error:
        os._exit(int(error.code or 0))
    except BaseException:  # noqa: BLE001 - a forked child must not return into the parent's code
        os._exit(99)
    os._exit(0)


def run(folder: Path, arguments: Sequence[str]) -> float:
    """Run the command line to its end; returns seconds.

    Raises:
        RuntimeError: It did not end with 0.
    """
    began = time.perf_counter()
    _, status = os.waitpid(start(folder, arguments), 0)
    if status:
        raise RuntimeError(f"graphfix {' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began


def files(folder: Path) -> set[str]:
    """Every file below ``folder``."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def fire(campaign: Campaign, kills: int, seed: int, base: Path) -> Counter[str]:
    """Run one campaign; counts of old, new, torn, caught, late (ended before the kill), and left (files left at the end)."""
    rng = random.Random(seed)
    pristine, arena = base / "pristine", base / "arena"
    pristine.mkdir()
    campaign.prepare(pristine)
    old = whole(pristine / campaign.output)

    def reset() -> None:
        shutil.rmtree(arena, ignore_errors=True)
        shutil.copytree(pristine, arena)

    seconds = []
    for _ in range(3):
        reset()
        seconds.append(run(arena, campaign.arguments))
    usual, new, expected = statistics.median(seconds), whole(arena / campaign.output), files(arena)
    found: Counter[str] = Counter(torn=0, caught=0)
    reset()
    for _ in range(kills):
        if whole(arena / campaign.output) == new:
            reset()  # the interesting moments are those in which something is replaced
        before = files(arena)
        child = start(arena, campaign.arguments)
        time.sleep(rng.uniform(usual * campaign.since, usual * 1.1))
        found["late"] += os.waitpid(child, os.WNOHANG)[0] != 0
        try:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        except PermissionError:
            os.kill(child, signal.SIGKILL)
        found["caught"] += any(".tmp-" in name for name in files(arena) - before)
        try:
            digest = whole(arena / campaign.output)
        except Exception as error:  # noqa: BLE001 - whatever onnx raises, the file is not whole
            print(f"  torn: {error}", file=sys.stderr)
            digest = ""
        found["old" if digest == old else "new" if digest == new else "torn"] += 1
        if digest not in {old, new}:
            reset()
    if whole(arena / campaign.output) == old:
        run(arena, campaign.arguments)
    found["left"] = len(files(arena) - expected)
    found["torn"] += whole(arena / campaign.output) != new
    return found


def main() -> int:
    """Parse, run the campaigns, print a table."""
    known = {**CAMPAIGNS, **WITH_EXTRAS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300, help="for all campaigns together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], choices=sorted(known), help="only this campaign; may be repeated")
    parser.add_argument("--folder", help="where to work; on the file system that is asked about")
    arguments = parser.parse_args()
    for name in ("api", "cli", "config", "report.summary"):
        import_module(f"graphfix.{name}")  # before forking, so that no child spends its life on imports
    from graphfix.registry import Registry

    registry = Registry.load()
    for name in registry.names():
        registry.pass_class(name)
    chosen = arguments.only or list(CAMPAIGNS)
    for module in (module for name in chosen for module in known[name].imports):
        import_module(module)
    torn = 0
    print("| campaign | kills | old output | new output | torn | caught while writing | ended before the kill | files left over |")
    print("|---|---|---|---|---|---|---|---|")
    for i, name in enumerate(chosen):
        kills = arguments.kills // len(chosen) + (i < arguments.kills % len(chosen))
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            row = fire(known[name], kills, arguments.seed + i, Path(folder))
        torn += row["torn"]
        cells = (row[key] for key in ("old", "new", "torn", "caught", "late", "left"))
        print(f"| {name}: {known[name].story} | {kills} | {' | '.join(map(str, cells))} |", flush=True)
    return 1 if torn else 0


if __name__ == "__main__":
    sys.exit(main())
