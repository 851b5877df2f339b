"""Batches on this machine: right, resumable, and whole whatever dies."""

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from graphfix import UnavailableError, io
from graphfix.batch import carry_out, jobs, outstanding
from graphfix.batch.local import Local
from graphfix.batch.manifest import read
from graphfix.batch.matrix import plan
from graphfix.batch.run import ATTEMPTS, run
from graphfix.batch.store import Store
from graphfix.io.lock import only_writer

EXPORTS = """
models = ["sd3_*.onnx"]
targets = ["sm89", "sm120"]
tiers = ["load", "compile"]
[pipelines]
recipe = "opset23,trt-types"
as-exported = ""
[[exclude]]
model = "*int8*"
pipeline = "as-exported"
"""
CHEAP = 'models = ["*.onnx"]\ntiers = ["check"]\n[pipelines]\nup = "opset23"\n'


def outcomes(told):
    return {(c["model"], c["pipeline"], c["target"]): c["outcome"] for c in told["cells"]}


def test_a_matrix_of_real_exports(fleet, serial, tmp_path):
    manifest = fleet(EXPORTS, "sd3_nvfp4_20", "sd3_int8_20")
    told = serial(manifest, workers=2)
    assert outcomes(told) == {
        ("sd3_int8_20", "recipe", "sm89"): "ok",
        ("sd3_int8_20", "recipe", "sm120"): "ok",
        ("sd3_nvfp4_20", "recipe", "sm89"): "findings",  # FP4 is not for RTX 40
        ("sd3_nvfp4_20", "recipe", "sm120"): "ok",
        ("sd3_nvfp4_20", "as-exported", "sm89"): "findings",
        ("sd3_nvfp4_20", "as-exported", "sm120"): "findings",
    }
    assert told["verdict"] == "FAILED 3 of 6: 3 findings"
    assert json.loads((tmp_path / "fleet.out" / "batch.json").read_text()) == told
    assert "fp4_e2m1" in next(p["message"] for p in told["problems"] if p["stage"] == "compile")
    assert str(tmp_path) not in json.dumps(told)
    # One output for each model and pipeline, whole, and the input as it was.
    for row in told["applied"]:
        model = io.load(tmp_path / "fleet.out" / row["files"][0])
        assert model.opset_imports[""] == 23
        assert row["changes"] > 100
    # And again: nothing is left to do, and the same is told.
    second = serial(manifest)
    assert second["run"]["jobs"] == second["run"]["resumed"] == told["run"]["jobs"]
    assert second["cells"] == told["cells"]


def test_what_changed_is_asked_again_and_nothing_else(fleet, serial, tmp_path):
    manifest = fleet(CHEAP, "a", "b")
    assert serial(manifest)["run"]["resumed"] == 0
    (tmp_path / "a.onnx").write_bytes((tmp_path / "a.onnx").read_bytes() + b"\x12\x01p")
    assert serial(manifest)["run"]["resumed"] == 2
    # An output that is gone is made again; what was said of it still holds.
    (tmp_path / "fleet.out" / "models" / "up" / "b" / "b.onnx").unlink()
    told = serial(manifest)
    assert (told["run"]["resumed"], told["passed"]) == (3, True)
    assert (tmp_path / "fleet.out" / "models" / "up" / "b" / "b.onnx").exists()
    # An answer that was cut off is none.
    kept = tmp_path / "fleet.out" / "jobs" / f"{plan(read(manifest)).jobs[0].key}.json"
    kept.write_text(kept.read_text()[:40])
    assert serial(manifest)["run"]["resumed"] == 3
    assert serial(manifest, rerun="all")["run"]["resumed"] == 0


def test_what_failed_is_asked_again_only_when_told_to(fleet, serial):
    text = 'models = ["*.onnx"]\ntiers = ["load"]\n[pipelines]\nas-exported = ""\n'
    manifest = fleet(text, "good", "sd3_nvfp4_20")
    told = serial(manifest)
    assert {m: o for (m, _, _), o in outcomes(told).items()} == {"good": "ok", "sd3_nvfp4_20": "findings"}
    assert serial(manifest)["run"]["resumed"] == 2
    assert serial(manifest, rerun="failed")["run"]["resumed"] == 1


def test_a_file_that_is_no_model_and_a_pass_that_refuses_leave_the_rest_alone(fleet, serial, exports, tmp_path):
    manifest = fleet(CHEAP.replace("opset23", "opset13"), "good", "sd3_nvfp4_20")
    (tmp_path / "torn.onnx").write_bytes(exports["sd3_fp8_20"].path.read_bytes()[:1000])
    told = serial(manifest)
    assert {m: o for (m, _, _), o in outcomes(told).items()} == {"good": "ok", "sd3_nvfp4_20": "refused", "torn": "refused"}
    why = {c["model"]: c["why"] for c in told["cells"]}
    assert why["torn"][0]["stage"] == "read"
    assert "cut off" in why["torn"][0]["message"]
    assert why["sd3_nvfp4_20"][0]["stage"] == "apply"
    assert told["run"]["not_run"] == 1


DEADLY = """
import os, signal, graphfix
class Deadly(graphfix.Pass):
    name, summary = "deadly", "End the process"
    def run(self, model, ctx):
        os.kill(os.getpid(), signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
        yield
"""


def test_passes_that_crash_or_hang_are_outcomes(fleet, serial, tmp_path):
    (tmp_path / "deadly.py").write_text(DEADLY)
    manifest = fleet('plugins = ["deadly.py"]\n' + CHEAP + 'bad = "deadly"\n', "a")
    told = serial(manifest)
    assert outcomes(told) == {("a", "up", "sm120"): "ok", ("a", "bad", "sm120"): "crashed"}
    assert not list((tmp_path / "fleet.out" / "models" / "bad").rglob("*.onnx"))
    manifest.write_text("timeout = 0.05\n" + CHEAP)
    told = serial(manifest, rerun="all")
    assert told["counts"]["timed out"] == 1
    # More time is reason enough to ask again.
    manifest.write_text("timeout = 60\n" + CHEAP)
    assert serial(manifest)["passed"]


def test_a_worker_that_is_killed_midway_is_replaced_and_its_job_done_again(fleet, serial, essence, tmp_path, again):
    manifest = fleet(CHEAP, "a", "b")
    undisturbed = essence(serial(manifest))
    again()
    made = Local(2)
    killed = []

    def kill_once(event):
        if event.what == "ended" and not killed and made.pids():
            pid, job = next(iter(made.pids().items()))
            killed.append(str(job))
            os.kill(pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)

    told, _ = carry_out(manifest, lambda: made, report=kill_once)
    assert essence(told) == undisturbed
    (death,) = told["run"]["deaths"]
    assert (death["job"], death["attempt"]) == (killed[0], 1)
    assert "ended abruptly" in death["how"]


def test_a_job_that_kills_every_worker_is_given_up_and_the_rest_done(fleet, tmp_path):
    asked = plan(read(fleet(CHEAP, "a", "b")))
    store = Store(asked.manifest.output)
    store.prepare()
    made, over = Local(1), threading.Event()

    def hunt():
        while not over.wait(0.02):
            for pid, job in list(made.pids().items()):
                if str(job) == "b up apply":
                    try:
                        os.kill(pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
                    except OSError:
                        continue

    hunter = threading.Thread(target=hunt)
    hunter.start()
    done = run(asked, store, made)
    over.set()
    hunter.join()
    made.close(now=False)
    answers = {str(job): done.answers[job.key].outcome for job in asked.jobs if job.key in done.answers}
    assert answers == {"a up apply": "ok", "a up check": "ok", "b up apply": "crashed"}
    assert [(death.job, death.attempt) for death in done.deaths] == [("b up apply", n + 1) for n in range(ATTEMPTS)]
    assert done.skipped == 1


def test_an_environment_that_differs_from_the_planners_is_no_verdict_on_the_model(fleet, monkeypatch, tmp_path):
    (job, *_) = plan(read(fleet(CHEAP, "a"))).jobs
    answer = jobs.run(jobs.Job(**{**vars(job), "versions": {**job.versions, "onnx": "1.0"}}))
    assert answer.outcome == "unavailable"
    assert "the matrix was planned with 1.0" in answer.message
    (tmp_path / "a.onnx").unlink()
    assert "under the same path" in jobs.run(job).message


def test_a_tier_that_this_machine_has_nothing_for_is_exit_3(fleet, tmp_path):
    from importlib.util import find_spec

    if find_spec("onnxruntime_ep_nv_tensorrt_rtx"):
        pytest.skip("this machine may have what it takes")
    manifest = fleet(CHEAP.replace('["check"]', '["check", "run"]'), "a")
    done = subprocess.run([sys.executable, "-m", "graphfix", "batch", str(manifest)], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "INCOMPLETE 1 of 1: 1 unavailable" in done.stdout


def test_the_command_line(fleet, tmp_path):
    def graphfix(*args):
        done = subprocess.run([sys.executable, "-m", "graphfix", "batch", *args], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    fleet(CHEAP, "a", "b")
    code, out, err = graphfix("fleet.toml", "--dry-run")
    assert (code, err) == (0, "")
    assert out.endswith("4 of 4 jobs to do for 2 places of the matrix\n")
    assert not (tmp_path / "fleet.out").exists()
    code, out, err = graphfix("fleet.toml", "--format", "json", "-j", "1")
    assert (code, json.loads(out)["verdict"]) == (0, "PASSED all 2")
    assert err.splitlines()[3].startswith("[4/4] b up check  ok")
    assert "\x1b" not in err
    code, out, err = graphfix("fleet.toml")
    assert (code, err) == (0, "")
    assert "4 answers, 4 of them from before" in out
    assert out.endswith("PASSED all 2\n")
    for args in (["--rerun", "some"], ["--format", "xml"], ["--workers", "-1"], ["--workers", "2", "--ray", "auto"]):
        code, _, err = graphfix("fleet.toml", *args)
        assert (code, err[:7]) == (2, "error: ")
    with only_writer(tmp_path / "fleet.out"):
        code, _, err = graphfix("fleet.toml")
    assert code == 3
    assert "another graphfix is writing into fleet.out" in err
    code, _, err = graphfix("a.onnx")
    assert (code, "takes a manifest, not a model" in err) == (2, True)


def gone(group):
    """Whether a process group has no process left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


SLEEPY = """
import pathlib, time, graphfix
class Sleepy(graphfix.Pass):
    name, summary = "sleepy", "Take forever"
    def run(self, model, ctx):
        pathlib.Path(__file__).with_name("asleep").touch()
        time.sleep(300)
        yield
"""


@pytest.mark.skipif(os.name == "nt", reason="sends signals to one process")
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_however_it_is_stopped_it_leaves_what_is_done_and_no_process(fleet, tmp_path, how):
    (tmp_path / "sleepy.py").write_text(SLEEPY)
    manifest = fleet('plugins = ["sleepy.py"]\n' + CHEAP + 'slow = "sleepy"\n', "a")
    command = [sys.executable, "-m", "graphfix", "batch", str(manifest), "-j", "1"]
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what runs the tests may ignore Ctrl-C, as under nohup
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **streams, text=True, start_new_session=True, preexec_fn=heard) as started:
        while not (tmp_path / "asleep").exists() and started.poll() is None:
            time.sleep(0.1)
        started.send_signal(getattr(signal, how))
        _, err = started.communicate(timeout=60)
    lines = err.splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == ["[1/4] a up apply", "[2/4] a up check"]
    if how == "SIGINT":
        assert started.returncode == 130
        assert "the same command goes on from there" in err
    # Not the worker, nor the process in which the pass sleeps.
    assert any(gone(started.pid) or time.sleep(0.1) for _ in range(300))
    assert not list((tmp_path / "fleet.out").rglob("*.tmp-*"))
    assert [str(job) for job in outstanding(manifest)[1]] == ["a slow apply", "a slow check"]


def test_two_runs_in_one_folder(fleet, serial, tmp_path):
    manifest = fleet(CHEAP, "a")
    (tmp_path / "fleet.out").mkdir()
    with only_writer(tmp_path / "fleet.out"), pytest.raises(UnavailableError, match="another graphfix is writing"):
        serial(manifest)
    assert serial(manifest)["passed"]
