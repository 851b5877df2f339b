"""A bounded run of the fuzzer, and what it found before."""

import importlib.util
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module
    spec.loader.exec_module(module)
    return module


def test_a_bounded_run_finds_nothing(tmp_path):
    pytest.importorskip("atheris")
    command = [sys.executable, str(TOOL), "--runs", "400", "--seed", "3", "--findings", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    executions, edges, findings = map(
        int, re.search(r"executions (\d+) .* edges ([\d,]+);.* findings (\d+)", done.stdout.replace(",", "")).groups()
    )
    assert executions >= 400
    assert edges > 1000
    assert findings == 0


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "fixtures" / "fuzz").glob("*.onnx")), ids=lambda p: p.stem)
def test_what_was_found_stays_mended(fuzz, path):
    assert fuzz.replay(path) == 0


def test_every_pass_and_verb_is_a_target(fuzz):
    from graphfix.registry import Registry

    assert set(Registry.load().names()) | {"lint", "inspect", "diff", "trtrtx"} <= fuzz.targets().keys()


def test_a_fault_is_found_and_told_from_others(fuzz, tmp_path):
    box = fuzz.Box(tmp_path)
    blob = fuzz.seeds()["subgraphs"]
    assert box.run(blob, "lint") == ""
    box.targets["one"] = lambda path: {}["a"]
    box.targets["other"] = lambda path: [].index(1)
    assert "KeyError" in box.run(blob, "one")
    assert len({fuzz.signature(box.run(blob, name)) for name in ("one", "other")}) == 2


def test_mutations_are_models_and_differ(fuzz):
    import onnx

    pool = list(fuzz.seeds().values())
    assert len(pool) > 60
    made = {fuzz.mutate(pool[i % len(pool)], random.Random(i), pool) for i in range(200)}
    assert len(made) > 150
    for blob in made:
        onnx.ModelProto.FromString(blob)
