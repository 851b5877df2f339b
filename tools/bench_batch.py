"""A batch one job at a time, on a pool of processes, and on a local Ray cluster of two nodes that loses a worker midway: in one run.

    python tools/bench_batch.py [--models 40] [--targets sm86 sm89 sm120] [--nodes 2] [--keep FOLDER]

The models are copies of the fixtures' exports in turn, each with weights of its own, so that no two are one. What counts are the ratios,
and that all three say the same. The killed worker's job is done again; a second run on the cluster's answers must find nothing to do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphfix.batch import carry_out
from graphfix.batch.executor import Executor
from graphfix.batch.local import Local
from graphfix.batch.ray_executor import Ray
from graphfix.batch.run import Event

EXPORTS = Path(__file__).parents[1] / "fixtures" / "exports"


def make(folder: Path, count: int, targets: list[str]) -> Path:
    """``count`` models, each with its data, and a manifest."""
    sources = sorted(EXPORTS.glob("*.onnx"))
    (folder / "models").mkdir()
    for i in range(count):
        source = sources[i % len(sources)]
        own = folder / "models" / f"{i:02d}_{source.stem}"
        own.mkdir()
        shutil.copyfile(source, own / source.name)
        with (own / source.name).open("ab") as file:
            file.write(b"\x12\x04m" + f"{i:03d}".encode())  # producer_name: another file, the same graph
        shutil.copyfile(source.with_name(source.name + "_data"), own / f"{source.name}_data")
    manifest = folder / "fleet.toml"
    manifest.write_text(f'output = "out"\nmodels = ["models/*/*.onnx"]\ntargets = {json.dumps(targets)}\n', encoding="utf-8")
    return manifest


def essence(told: dict[str, Any]) -> list[Any]:
    """What must be the same: every outcome with its reasons, every check, every output's bytes."""
    cells = [
        (c["model"], c["target"], c["outcome"], c["why"], [(k["tier"], k["name"], k["status"]) for k in c["checks"]]) for c in told["cells"]
    ]
    return [cells, [(row["model"], row["changes"], row["sha256"]) for row in told["applied"]]]


class Killer:
    """Kills one worker of a cluster when half of the jobs are done."""

    def __init__(self, raylets: set[int]) -> None:
        self.raylets, self.killed = raylets, 0

    def __call__(self, event: Event) -> None:
        if self.killed or event.what != "ended" or event.done < event.total // 2:
            return
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                title = (folder / "cmdline").read_text(encoding="utf-8")
                parent = int((folder / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError):
                continue
            if parent in self.raylets and title.startswith("ray::") and "trtrtx" in title:
                os.kill(int(folder.name), signal.SIGKILL)
                self.killed = int(folder.name)
                return


def timed(manifest: Path, executor: Callable[[], Executor], report: Callable[[Event], None] | None = None) -> dict[str, Any]:
    """One batch from nothing; prints its line."""
    shutil.rmtree(manifest.parent / "out", ignore_errors=True)
    began = time.perf_counter()
    told, _ = carry_out(manifest, executor, report=report)
    told["wall"] = time.perf_counter() - began
    print(f"{told['run']['executor']:24} {told['wall']:7.1f} s  {told['run']['jobs']} answers  {told['verdict']}", flush=True)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--targets", nargs="+", default=["sm86", "sm89", "sm120"])
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="copy the cluster's batch.json and batch.html there")
    options = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as folder:
        manifest = make(Path(folder), options.models, options.targets)
        serial = timed(manifest, lambda: Local(1))
        pool = timed(manifest, lambda: Local(options.nodes))
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        for _ in range(options.nodes - 1):
            cluster.add_node(num_cpus=1)
        killer = Killer({info.process.pid for node in cluster.list_all_nodes() for info in node.all_processes["raylet"]})
        try:
            spread = timed(manifest, lambda: Ray(cluster.address), killer)
        finally:
            cluster.shutdown()
        if options.keep is not None:
            for name in ("batch.json", "batch.html"):
                shutil.copyfile(manifest.parent / "out" / name, options.keep / name)
        again, _ = carry_out(manifest, lambda: Local(1))
    same = essence(serial) == essence(pool) == essence(spread)
    deaths = [f"{death['job']}, {death['how']}" for death in spread["run"]["deaths"]]
    print(f"places {len(serial['cells'])}; the same outcomes, checks and output bytes in all three: {same}")
    print(f"worker killed: {killer.killed}; reported and done again: {deaths}")
    print(f"a second run asks {again['run']['jobs'] - again['run']['resumed']} of {again['run']['jobs']}")
    ratios = {"pool": serial["wall"] / pool["wall"], "Ray": serial["wall"] / spread["wall"]}
    print("serial / " + ", serial / ".join(f"{name} = {ratio:.2f}" for name, ratio in ratios.items()))
    if not same or not killer.killed or len(deaths) != 1 or again["run"]["jobs"] != again["run"]["resumed"]:
        raise SystemExit("not complete and correct")


if __name__ == "__main__":
    main()
