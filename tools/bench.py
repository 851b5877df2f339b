"""Time and peak memory, side by side in one run: graphfix, its peers, and plain `cp`, on the same files.

    python tools/bench.py --part nodes --part gigabytes --json bench.json [--nodes 2000 20000] [--gigabytes 0.5 3] [--folder DIR]
    python tools/bench.py --page bench.json ...      # writes docs/bench.md and its plots

Each measurement is a process of its own (`bench_peers.py`), watched from outside: seconds of the work after the imports, seconds of the
whole process, and the peak resident memory. Short ones are repeated, in turn with the others, and the best counts; files are read once
before, so that every contender finds them cached, and the disk is idle when a measurement begins. The JSON is written after every
measurement: the same command again does what is left. `--budget` ends a command early, for machines that limit one.

Parts: ``start`` (start-up of the command), ``nodes`` (growth with the graph), ``gigabytes`` (growth with the weights), ``saving``
(header-only and `--data copy` beside `cp`), ``folding`` (weights computed, by format and by number of cores).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bench_page
import psutil
from bench_files import KINDS, make_nodes, make_weights
from bench_folding import PASSES, make_raw
from bench_peers import OTHERS, PEERS
from measure import execute

WORKER = Path(__file__).with_name("bench_peers.py")
SHORT = 20.0  # seconds: what takes less is repeated
PACKAGES = ("graphfix", "onnx", "onnx-ir", "onnxscript", "onnxslim", "onnxsim", "onnx-graphsurgeon", "numpy", "protobuf")
Row = dict[str, Any]


class OutOfTime(Exception):
    """The budget of this command is spent."""


@dataclass
class Bench:
    """One command: where it works, what it may use, and the rows it has."""

    given: argparse.Namespace
    folder: Path
    rows: dict[str, Row] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    def left(self) -> float:
        return float(self.given.budget) - (time.perf_counter() - self.began)

    def load(self) -> None:
        if self.given.json.exists():
            old = json.loads(self.given.json.read_text(encoding="utf-8"))
            if old["machine"] != machine():
                sys.exit(f"error: {self.given.json} holds figures of another machine; next: --json with another name")
            self.rows = {row["key"]: row for row in old["rows"]}

    def keep(self) -> None:
        document = {"machine": machine(), "versions": versions(), "rows": [row for row in self.rows.values() if "status" in row]}
        draft = self.given.json.with_name(self.given.json.name + ".tmp")
        draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        draft.replace(self.given.json)

    def row(self, part: str, kind: str, size: float, peer: str, cores: int = 0) -> Row:
        key = f"{part}/{kind}/{size:g}/{peer}" + (f"/{cores}" if cores else "")
        values = {"key": key, "part": part, "kind": kind, "size": size, "peer": peer, "cores": cores, "runs": []}
        return self.rows.setdefault(key, values)

    def contest(self, contenders: list[tuple[Row, Path, Path]]) -> None:
        """Measure all in turn, as often as each is to be measured."""
        for turn in range(self.given.repeats):
            for row, source, target in contenders:
                if not finished(row, turn):
                    self.measure(row, source, target)

    def measure(self, row: Row, source: Path, target: Path) -> None:
        """One run, kept in the row; its output is looked at after the first and removed after each."""
        peer = {**PEERS, **OTHERS}[row["peer"]]
        missing = [name for name in peer.imports if importlib.util.find_spec(name.split(".")[0]) is None]
        if missing:
            row.update(status="missing", says=f"not installed: pip install {peer.pip or missing[0]}")
            self.keep()
            return
        if self.left() < 15:
            raise OutOfTime
        files = data_of(source)
        warm(files)
        os.sync() if hasattr(os, "sync") else None
        limit = min(self.given.limit, max(10.0, self.left()))
        sync = row["peer"] == "cp-sync"
        target.parent.mkdir(parents=True, exist_ok=True)
        if row["peer"] in {"cp", "cp-sync"}:
            run = execute(copy_command(files, target.parent, sync), limit, self.given.memory, self.folder)
        else:
            cores = [str(row["cores"])] if row["cores"] else []
            command = [sys.executable, str(WORKER), row["peer"], row["kind"], str(source), str(target), *cores]
            run = execute(command, limit, self.given.memory, self.folder)
        if run.status == "timeout" and limit < self.given.limit:
            remove(target, files)
            raise OutOfTime
        if run.status == "ok":
            row["runs"].append({"seconds": run.seconds, "process": run.process, "megabytes": run.megabytes})
        row.update(status=run.status, says=run.says)
        if run.status != "ok":
            row["megabytes"] = run.megabytes
            row["process"] = run.process
        elif peer.run is not None and row["part"] != "folding" and "output" not in row:
            look = execute(
                [sys.executable, str(WORKER), "verdict", row["kind"], str(source), str(target)], 120, self.given.memory, self.folder
            )
            row["output"] = look.says if look.status == "ok" else f"could not be read: {look.says}"
        row["wrote"] = sum(path.stat().st_size for path in outputs(target, files))
        remove(target, files)
        self.keep()
        print(f"  {row['key']:44}{told(row)}", flush=True)


def finished(row: Row, turn: int) -> bool:
    """Whether this turn is done, or there is no point in another."""
    if row.get("status", "ok") != "ok":
        return True
    return len(row["runs"]) > turn or (bool(row["runs"]) and row["runs"][0]["process"] > SHORT)


def told(row: Row) -> str:
    if not row["runs"]:
        return f"{row['status']}: {row['says']}  ({row.get('megabytes', 0):,.0f} MB)"
    best = bench_page.best(row)
    return f"{best['seconds']:8.2f} s  {best['process']:8.2f} s in all  {best['megabytes']:8,.0f} MB  {row.get('output', '')}"


def data_of(source: Path) -> list[Path]:
    """The header and the data files it refers to."""
    import onnx

    graph = onnx.load(source, load_external_data=False).graph
    names = {entry.value for tensor in graph.initializer for entry in tensor.external_data if entry.key == "location"}
    return [source, *(source.parent / name for name in sorted(names))]


def warm(files: list[Path]) -> None:
    for path in files:
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass


def copy_command(files: list[Path], folder: Path, sync: bool) -> list[str]:
    """`cp`, where there is one; else Python's copy."""
    if shutil.which("cp") is None:
        script = "import shutil, sys; [shutil.copy(p, sys.argv[-1]) for p in sys.argv[1:-1]]"
        return [sys.executable, "-c", script, *map(str, files), str(folder)]
    if not sync:
        return ["cp", *map(str, files), str(folder)]
    return ["sh", "-c", 'cp "$@" && for last; do :; done && sync "$last"/*', "sh", *map(str, files), str(folder)]


def outputs(target: Path, files: list[Path]) -> Iterator[Path]:
    """What a measurement wrote: files named after its target, and copies in a folder of its own."""
    if target.parent != files[0].parent:
        yield from (path for path in target.parent.iterdir() if path.is_file())
    else:
        yield from (path for path in target.parent.glob(f"{target.name}*") if path not in files)


def remove(target: Path, files: list[Path]) -> None:
    for path in list(outputs(target, files)):
        path.unlink()


# ---------------------------------------------------------------------------------------------------------------- parts


def part_start(bench: Bench) -> None:
    """Start-up of the command, beside an interpreter that does nothing; what it imports."""
    python = [sys.executable]
    script = Path(sys.executable).with_name("graphfix")
    graphfix = [str(script)] if script.exists() else [*python, "-m", "graphfix"]
    commands = {
        "python -c pass": [*python, "-c", "pass"],
        "graphfix --version": [*graphfix, "--version"],
        "graphfix --help": [*graphfix, "--help"],
    }
    for label, command in commands.items():
        row = bench.row("start", "", 0, label)
        if row["runs"]:
            continue
        runs = [execute(command, 60, bench.given.memory) for _ in range(10)]
        best = min(runs, key=lambda run: run.process)
        row.update(
            status=best.status, says=best.says, runs=[{"seconds": r.process, "process": r.process, "megabytes": r.megabytes} for r in runs]
        )
        look = subprocess.run(
            [*python, "-X", "importtime", "-m", "graphfix", label.split()[-1]], capture_output=True, text=True, check=False
        )
        loaded = {line.rsplit("|", 1)[-1].strip() for line in look.stderr.splitlines()} if label.startswith("graphfix") else set()
        row["imports"] = sorted(loaded & {"numpy", "onnx", "onnx_ir", "onnxscript", "torch", "ray", "onnxruntime"})
        bench.keep()
        print(f"  {row['key']:44}{told(row)}  imports {', '.join(row['imports']) or 'none of the large ones'}")


def part_nodes(bench: Bench) -> None:
    """Growth with the graph."""
    for count in bench.given.nodes:
        grow(bench, "nodes", count, make_nodes(bench.folder / f"nodes{count}", count))


def out(source: Path, peer: str) -> Path:
    """Beside the input, where tools that refer to the old data need it; a folder of its own for `cp`."""
    return source.parent / "copy" / source.name if peer.startswith(("cp", "copy")) else source.with_name(f"out-{peer}.onnx")


def part_gigabytes(bench: Bench) -> None:
    """Growth with the weights; the graph is the same at every size."""
    for size in bench.given.gigabytes:
        grow(bench, "gigabytes", size, make_weights(bench.folder / f"gigabytes{size:g}", size))


def grow(bench: Bench, part: str, size: float, paths: dict[str, Path]) -> None:
    """Every peer on files of one size."""
    for kind in bench.given.kinds:
        source = paths[kind]
        bench.contest([(bench.row(part, kind, size, peer), source, out(source, peer)) for peer in bench.given.peers])


def part_saving(bench: Bench) -> None:
    """Header-only from 12 MB on; a copy of the data beside `cp`, and beside `cp` and `sync` of what it wrote."""
    for size in (0.012, *bench.given.gigabytes):
        source = make_weights(bench.folder / f"gigabytes{size:g}", size)["nvfp4"]
        peers = ("graphfix", "copy", "copy-no-sync", "cp", "cp-sync")
        bench.contest([(bench.row("saving", "nvfp4", size, peer), source, out(source, peer)) for peer in peers])


def part_folding(bench: Bench) -> None:
    """Weights computed: NVFP4 by number of cores and by size, then every format."""
    most = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process(), "cpu_affinity") else 0
    cores = sorted({n for n in (1, 2, 4, 8, 16, 32, most) if n <= most}) or [0]
    cases = [("nvfp4", bench.given.layers, n) for n in cores] + [("nvfp4", max(1, bench.given.layers // 4), most)]
    cases += [(form, bench.given.layers, most) for form in PASSES if form != "nvfp4"]
    contenders = []
    for form, layers, count in cases:
        folder = bench.folder / f"folding-{form}{layers}"
        folder.mkdir(parents=True, exist_ok=True)
        source, parameters = folder / "raw.onnx", 12 * bench.given.width**2 * layers
        if not source.exists():
            make_raw(source, layers, bench.given.width, form)
        row = bench.row("folding", form, parameters, "fold", count)
        row.update(input=sum(path.stat().st_size for path in data_of(source)))
        contenders.append((row, source, folder / "out.onnx"))
    bench.contest(contenders)


PARTS: dict[str, Callable[[Bench], None]] = {
    "start": part_start,
    "nodes": part_nodes,
    "gigabytes": part_gigabytes,
    "saving": part_saving,
    "folding": part_folding,
}


def machine() -> dict[str, Any]:
    """What the figures are of. No name: figures are of a kind of machine."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next((line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")), model)
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(memory() / 1e9),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def memory() -> int:
    """Bytes that this machine has, or that a container gives."""
    total = int(psutil.virtual_memory().total)
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return min(total, int(text)) if text.isdigit() else total


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--nodes", type=int, nargs="+", default=[2_000, 20_000, 200_000])
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.5, 3.0, 12.0], help="disk needed: about three times the largest")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--layers", type=int, default=24, help="of the model whose weights are folded")
    parser.add_argument("--width", type=int, default=2048, help="of the model whose weights are folded")
    parser.add_argument("--repeats", type=int, default=3, help=f"runs of what takes less than {SHORT:g} s; the best counts")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for one run")
    parser.add_argument("--memory", type=float, default=memory() * 0.85 / 2**20, help="MB for one run (default: 85%% of the machine)")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds for this command; the next one goes on from there")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "graphfix-bench", help="kept, so that files are made once"
    )
    parser.add_argument("--clean", action="store_true", help="remove the folder at the end")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="figures; the same command again does what is left")
    parser.add_argument("--page", type=Path, nargs="+", metavar="JSON", help="measure nothing: write docs/bench.md from these files")
    given = parser.parse_args()
    if given.page:
        return bench_page.write(given.page, Path(__file__).resolve().parent.parent / "docs")
    bench = Bench(given, given.folder.resolve())
    bench.folder.mkdir(parents=True, exist_ok=True)
    bench.load()
    try:
        for name in given.part or PARTS:
            print(name, flush=True)
            PARTS[name](bench)
    except OutOfTime:
        print("the budget is spent; the same command again does what is left")
        return 3
    if given.clean:
        shutil.rmtree(bench.folder)
    print(f"done: {given.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
