"""The benchmark measures what its page says: the same files, outputs that were looked at, figures that a second command does not repeat."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT

TOOLS = ROOT / "tools"


def bench(folder, *args):
    command = [sys.executable, str(TOOLS / "bench.py"), "--folder", str(folder / "work"), "--json", str(folder / "bench.json"), *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 3}, done.stderr
    return done.returncode, done.stdout, {row["key"]: row for row in json.loads((folder / "bench.json").read_text())["rows"]}


SMALL = ["--nodes", "60", "--gigabytes", "0.0001", "--repeats", "1"]


def test_the_same_work_is_found_by_looking_at_the_outputs(tmp_path):
    peers = ["--peers", "graphfix", "recipe", "onnx-bare", "surgeon", "cp"]
    code, _, rows = bench(tmp_path, "--part", "gigabytes", "--kinds", "nvfp4", *SMALL, *peers)
    said = {row["peer"]: row.get("output") for row in rows.values()}
    assert code == 0
    assert said["graphfix"] == said["recipe"] == "valid"
    assert said["onnx-bare"] == "96 of 96 quantizers without their types"
    assert "opset 20" in said["surgeon"]
    assert said["cp"] is None
    assert all(row["runs"][0]["process"] > 0 for row in rows.values())
    assert rows["gigabytes/nvfp4/0.0001/graphfix"]["runs"][0]["megabytes"] > 20
    assert rows["gigabytes/nvfp4/0.0001/cp"]["wrote"] > 96 * 16 * 16 * 2
    left = {path.name for path in (tmp_path / "work" / "gigabytes0.0001").iterdir() if path.is_file()}
    assert left == {"nvfp4.onnx", "plain.onnx", "weights.bin"}

    before = (tmp_path / "bench.json").read_bytes()
    bench(tmp_path, "--part", "gigabytes", "--kinds", "nvfp4", *SMALL, *peers)
    assert (tmp_path / "bench.json").read_bytes() == before


def test_a_run_beyond_its_limit_is_a_row_that_says_so(tmp_path):
    _, _, rows = bench(tmp_path, "--part", "nodes", "--kinds", "plain", "--peers", "graphfix", "--limit", "0.05", *SMALL)
    (row,) = rows.values()
    assert (row["status"], row["says"], row["runs"]) == ("timeout", "> 0.05 s", [])
    _, _, rows = bench(tmp_path, "--part", "nodes", "--kinds", "plain", "--peers", "recipe", "--memory", "1", *SMALL)
    assert rows["nodes/plain/60/recipe"]["status"] == "memory"


def test_a_spent_budget_ends_the_command_and_measures_nothing(tmp_path):
    bench(tmp_path, "--part", "start")
    code, out, rows = bench(tmp_path, "--part", "nodes", "--budget", "1", *SMALL)
    assert code == 3
    assert "the same command again does what is left" in out
    assert {row["part"] for row in rows.values()} == {"start"}
    assert rows["start//0/graphfix --version"]["imports"] == []


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import bench_page

    return bench_page


def document(rows):
    return {"machine": {"cores": 2}, "versions": {}, "rows": rows}


def row(part, size, peer, seconds, megabytes, **more):
    runs = [{"seconds": seconds, "process": seconds + 1, "megabytes": megabytes}]
    return {"key": f"{part}/nvfp4/{size:g}/{peer}", "part": part, "kind": "nvfp4", "size": size, "peer": peer, "runs": runs, **more}


def test_claims_are_computed_from_the_figures(page, tmp_path):
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.write_text(json.dumps(document([row("nodes", 1000, "graphfix", 1, 100), row("nodes", 100_000, "graphfix", 200, 100)])))
    weights = [row("gigabytes", 3, "graphfix", 1, 100), row("gigabytes", 3, "recipe", 30, 3000, output="valid")]
    two.write_text(json.dumps(document([*weights, row("gigabytes", 3, "surgeon", 0.5, 100, output="opset 20")])))
    found = {claim: (measured, judged) for claim, measured, judged in page.claims(page.Figures([one, two]))}
    assert found["at least 20 times faster than the recipe at 3 GB"] == ("30 times", "held")
    assert found["at least 40 times less memory than the recipe at 3 GB"] == ("30 times", "**missed**")
    assert found["growth exponent at most 1.1 from 1,000 to 100,000 nodes, nvfp4"] == ("1.15", "**missed**")
    assert found["no peer faster at the same work (its output is valid), nvfp4, 3 GB"] == ("none", "held")


def test_figures_of_two_machines_are_not_mixed(page, tmp_path):
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.write_text(json.dumps(document([])))
    two.write_text(json.dumps({**document([]), "machine": {"cores": 16}}))
    with pytest.raises(SystemExit, match="another machine"):
        page.Figures([one, two])
