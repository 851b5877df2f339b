"""Kill ``graphfix place`` and ``--undo`` at random moments; after each kill the folder must hold one whole model, the old or a new one.

    python tools/fault_place.py FOLDER BACKBONE [BACKBONE ...] --kills 300

FOLDER is what optimum exported (tools/tiny_pipelines.py makes a small one); it is copied. A child places one backbone after the other and
undoes, over and over, and is killed (SIGKILL, or TerminateProcess on Windows) once, anywhere in its cycle. The header of what is left and
every byte of its weights are compared with what they may be, onnx loads it and its checker passes it; then ``place`` or ``--undo`` must
succeed, and in the end the folder must be the bytes that it was.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import onnx
from faults import whole

from graphfix import io
from graphfix.place import place, undo

Snapshot = dict[str, str]


def snapshot(folder: Path) -> Snapshot:
    """SHA-256 of every file, by its path in ``folder``."""
    return {p.relative_to(folder).as_posix(): io.digest(p) for p in folder.rglob("*") if p.is_file()}


def cycle(folder: Path, backbones: list[Path]) -> None:
    """Place and undo until killed."""
    print("ready", flush=True)
    while True:
        for backbone in backbones:
            place(backbone, folder)
        undo(folder)
        print(".", flush=True)


def kill(source: Path, backbones: list[Path], kills: int, seed: int = 0) -> Counter[str]:
    """Kill the cycle ``kills`` times.

    Returns:
        How often each model was found afterwards: ``old``, or the name of a backbone; and how often journal and data lay about.

    Raises:
        AssertionError: Something was torn.
    """
    rng = random.Random(seed)
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room) / "pipeline"
        shutil.copytree(source, folder)
        before = snapshot(folder)
        done = undo(folder)
        model = folder / done.component / "model.onnx"
        known = {whole(model): "old"}
        for backbone in backbones:
            placed = place(backbone, folder)
            assert placed.action == "placed", placed.lines()
            known[whole(model)] = backbone.name
        began = time.perf_counter()
        undo(folder)
        for backbone in backbones:
            place(backbone, folder)
        undo(folder)
        span = time.perf_counter() - began
        assert snapshot(folder) == before
        for _ in range(kills):
            command = [sys.executable, __file__, str(folder), *map(str, backbones), "--cycle"]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert child.stdout is not None
            assert child.stdout.readline().strip() == b"ready"
            time.sleep(rng.uniform(0, span))
            assert child.poll() is None, child.communicate()[1].decode()
            child.kill()
            child.communicate()
            left = known.get(whole(model), "torn")
            assert left != "torn", sorted(snapshot(folder))
            found[left] += 1
            found["with something to clear up"] += set(snapshot(folder)) not in (set(before), {*before, *_of_a_placement(folder, model)})
            if rng.random() < 0.5:
                assert place(rng.choice(backbones), folder).action in {"placed", "unchanged"}
            else:
                assert undo(folder).action in {"undone", "unchanged"}
                assert snapshot(folder) == before
        undo(folder)
        assert snapshot(folder) == before
    return found


def _of_a_placement(folder: Path, model: Path) -> set[str]:
    """What lies in a folder where a backbone is placed and nothing was interrupted."""
    held = onnx.load(model, load_external_data=False)
    data = {entry.value for t in held.graph.initializer for entry in t.external_data if entry.key == "location"}
    here = model.parent
    return {
        p.relative_to(folder).as_posix()
        for p in (*(here / name for name in data), here / "model.replaced.onnx", here / ".graphfix/place.json")
    }


def main() -> None:
    """Parse and call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("backbones", type=Path, nargs="+")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cycle", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.cycle:
        cycle(given.folder, given.backbones)
    began = time.perf_counter()
    for what, count in sorted(kill(given.folder, given.backbones, given.kills, given.seed).items()):
        print(f"{count:>6} {what}")
    print(f"{given.kills} kills in {time.perf_counter() - began:.0f} s; nothing was torn")


if __name__ == "__main__":
    main()
