"""The gate says what it looked at, what it found, and what it could not look at; and nothing takes it down."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest

import graphfix
from graphfix import io
from graphfix.report import render
from graphfix.report.result import FAILED, PASSED, SKIPPED, Check, Report, hold
from graphfix.validate import child, cpu, gate, metrics, ort_door, shapes
from graphfix.validate.job import Job


def cli(*args, cwd=None):
    """Exit code, stdout, stderr of ``graphfix validate``."""
    command = [sys.executable, "-m", "graphfix", "validate", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def fixed(exports, tmp_path):
    """An NVFP4 export, and the file that the recommended pipeline made of it."""
    model = exports["sd3_nvfp4mha_20"].copy_to(tmp_path)
    return graphfix.apply(model).save(tmp_path / "fixed.onnx").path


def job_for(path, **given):
    chosen = shapes.choose(io.load(path), {}, {"batch_size": 2})
    return Job(path, shapes=chosen.shapes, assumed=chosen.assumed, **given)


def test_by_default_it_does_all_that_this_machine_can_and_says_what_it_cannot(fixed):
    code, out, _ = cli(fixed, "--dim", "batch_size=2", "--before", fixed.with_name("sd3_nvfp4mha_20.onnx"))
    assert code == 0, out
    assert out.splitlines()[-1] == "PASSED check, load, compile, numerics; not looked at: run, bench"
    assert "bit-identical" in out


def test_every_tier_finds_a_raw_export_wanting(exports, tmp_path):
    raw = exports["sd3_nvfp4mha_20_mo046"].copy_to(tmp_path)
    report = gate.validate(job_for(raw, tiers=("check", "load")))
    assert [c.status for c in report.checks] == [FAILED, FAILED]
    assert all("block_size" in c.message for c in report.checks)
    assert all("--passes trtrtx" in c.fix for c in report.checks)


def test_the_load_tier_says_what_the_compiled_door_says(export, ort_door):
    ours = gate.load.ort_door.Door(ort_door_library()).complaint(export.path)
    theirs = ort_door(export.path)
    assert bool(ours) == bool(theirs)
    assert ours.split("failed:")[-1].split("inferred types")[0] in theirs  # the types behind that come in no fixed order


def ort_door_library():
    library = ort_door.library()
    assert library is not None
    return library


def test_a_tier_asked_for_by_name_that_cannot_run_here_is_exit_3(fixed):
    code, _, err = cli(fixed, "--tier", "run")
    assert code == 3
    assert "pip install onnxruntime-ep-nv-tensorrt-rtx" in err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--tier", "fly"], "no tier 'fly'"),
        (["--target", "sm90"], "no target 'sm90'"),
        (["--shape", "x=2x2"], "no input 'x'"),
        (["--shape", "hidden_states=2x16"], "2 dimensions given"),
        (["--shape", "encoder_hidden_states=2x16x65"], "axis 2 is 64"),
        (["--shape", "hidden_states"], "write name=value"),
        (["--min", "hidden_states=64x16x16x16"], "every size must be at most that of --shape"),
        (["--max", "nothing=64"], "no such input"),
        (["--shape", "hidden_states=axb"], "cannot read the shape"),
        (["--dim", "batch_size=0"], "positive whole number"),
        (["--threshold", "beauty=1"], "no metric 'beauty'"),
        (["--threshold", "cosine=high"], "expected a number"),
        (["--format", "pdf"], "--format pdf"),
        (["--before", "nowhere.onnx"], "no file nowhere.onnx"),
    ],
)
def test_mistakes_are_exit_2(fixed, args, says):
    code, out, err = cli(fixed, *args)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


def test_a_relabelled_model_is_caught_and_the_first_layer_named(exports, tmp_path):
    model = exports["sd3_int8_20"].copy_to(tmp_path)
    plain = graphfix.apply(model, "opset23{precision=false}").save(tmp_path / "plain.onnx").path
    report = gate.validate(job_for(plain, tiers=("numerics",), before=model, layers=True))
    failed = {c.name: c for c in report.failed}
    assert set(failed) == {"sample before and after", "layers"}
    assert failed["layers"].where.endswith("norm1/linear/input_quantizer/DequantizeLinear (DequantizeLinear)")
    rows = failed["layers"].details["layers"]
    index = next(i for i, row in enumerate(rows) if row[2] > 0)
    assert rows[index][1] == failed["layers"].where
    assert report.verdict().startswith("FAILED 2 of 3 checks")


def test_the_distance_to_the_unquantized_parent_is_held_against_thresholds(exports, fixed, tmp_path):
    parent = exports["sd3_none_20"].path
    loose = gate.validate(job_for(fixed, tiers=("numerics",), reference=parent))
    assert loose.passed
    strict = gate.validate(job_for(fixed, tiers=("numerics",), reference=parent, thresholds={"rel_l2": 1e-4}))
    (check,) = strict.failed
    assert check.name == "sample rel_l2"
    assert check.margin < 0
    assert 0.05 < check.value < 0.3


def test_recorded_inputs_give_every_tier_their_shapes(fixed, tmp_path):
    chosen = shapes.choose(io.load(fixed), {}, {"batch_size": 2, "height": 8, "width": 8, "sequence_length": 5}).shapes
    np.savez(tmp_path / "inputs.npz", **cpu.make_inputs(io.load(fixed), chosen), more=np.zeros(3))
    code, out, err = cli(fixed, "--tier", "check", "--inputs", tmp_path / "inputs.npz", "--format", "json")
    assert code == 0, err
    assert json.loads(out)["assumed_axes"] == []
    (tmp_path / "inputs.npz").write_bytes(b"no archive")
    code, _, err = cli(fixed, "--tier", "check", "--inputs", tmp_path / "inputs.npz")
    assert code == 2
    assert "cannot read" in err


def test_recorded_inputs_and_outputs_are_a_reference_too(exports, fixed, tmp_path):
    chosen = shapes.choose(io.load(fixed), {}, {"batch_size": 2}).shapes
    feeds = cpu.make_inputs(io.load(fixed), chosen, seed=7)
    np.savez(tmp_path / "inputs.npz", **feeds)
    _, outputs = cpu.run(str(fixed), chosen, str(tmp_path / "inputs.npz"))
    np.savez(tmp_path / "outputs.npz", **outputs)
    job = job_for(
        fixed, tiers=("numerics",), inputs=tmp_path / "inputs.npz", reference=tmp_path / "outputs.npz", thresholds={"max_abs": 0.0}
    )
    assert gate.validate(job).passed
    assert not gate.validate(Job(**{**vars(job), "inputs": None})).passed


@pytest.mark.parametrize(
    ("values", "says"),
    [([1.0, np.nan], "1 NaN"), ([1.0, np.inf], "1 Inf"), ([2.0, 2.0], "constant"), ([65504.0, 1.0], "largest number"), ([1.0, -1.0], "")],
)
def test_an_unhealthy_output_is_called_so(values, says):
    assert says in ", ".join(metrics.health(np.array(values, np.float16)).complaints())


def test_metrics_are_what_their_names_say():
    found = metrics.distance(np.array([1.0, 2.0, 2.0]), np.array([1.0, 2.0, 0.0]))
    assert not found.equal
    assert found.max_abs == 2.0
    assert found.rel_l2 == pytest.approx(2 / np.sqrt(5))
    assert found.cosine == pytest.approx(5 / (3 * np.sqrt(5)))
    assert found.psnr == pytest.approx(10 * np.log10(4 / (4 / 3)))
    same = metrics.distance(np.array([1.0, np.nan]), np.array([1.0, np.nan]))
    assert same.equal
    assert hold("t", "n", float("nan"), 1.0, at_least=False).status == FAILED


CRASHES = """
import ctypes, os, signal, time
def segfault(): ctypes.string_at(0)
def kill(): os.kill(os.getpid(), signal.SIGKILL)
def leave(): os._exit(7)
def hang(): time.sleep(60)
def fail(): raise ValueError("no")
def fine(): return {"answer": 42}
"""


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("segfault", "signal SIGSEGV"),
        ("kill", "signal SIGKILL"),
        ("leave", "exit code 7"),
        ("hang", "no answer within 3 s"),
        ("fail", "ValueError: no"),
        ("fine", ""),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX; Windows reports exit codes")
def test_nothing_that_happens_in_a_child_takes_the_gate_down(tmp_path, monkeypatch, function, says):
    (tmp_path / "crashes.py").write_text(CRASHES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    outcome = child.call(f"crashes:{function}", {}, 3 if function == "hang" else 30)
    assert says in outcome.error
    assert (outcome.value == {"answer": 42}) == (function == "fine")


SMALL = """<ir_version: 9, opset_import: ["" : 20]>
g (float[8, 16] x) => (float[8, 4] y) {
  a = MatMul (x, w)
  b = Add (a, c)
  y = Softmax (b)
}"""


def small(tmp_path):
    """A graph that the plugin provider claims whole."""
    model = onnx.parser.parse_model(SMALL)
    rng = np.random.default_rng(0)
    for name, shape in (("w", (16, 4)), ("c", (4,))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name))
    path = tmp_path / "small.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_a_profile_from_smallest_to_largest_compiles(fixed):
    batch = "hidden_states={}x16x16x16", "encoder_hidden_states={}x16x64", "pooled_projections={}x64", "timestep={}"
    bounds = [word for option, size in (("--shape", 2), ("--min", 1), ("--max", 4)) for b in batch for word in (option, b.format(size))]
    code, out, _ = cli(fixed, "--tier", "compile", *bounds)
    assert code == 0, out


class TestExecutionProvider:
    """The run and bench tiers with a real plugin provider that runs on any CPU."""

    ep = "onnxruntime_ggml"

    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("onnxruntime_ggml", reason="onnxruntime-ggml, the plugin provider that these tests use, is not installed")

    def test_a_graph_that_it_claims_whole_passes(self, tmp_path):
        report = gate.validate(job_for(small(tmp_path), tiers=("run", "bench"), ep=self.ep, runs=5))
        checks = {c.name: c for c in report.checks}
        assert report.passed, report.failed
        assert checks["placement"].message == "2 on ggml, in 1 subgraph(s)"
        assert checks["determinism"].status == PASSED
        assert checks["y rel_l2 against CPU"].value < 0.02
        assert checks["p50_ms"].value > 0

    def test_an_export_of_which_it_claims_nothing_is_a_silent_fallback(self, exports, tmp_path):
        model = exports["sd3_int8_20"].copy_to(tmp_path)
        (check,) = gate.validate(job_for(model, tiers=("run",), ep=self.ep)).failed
        assert check.message.startswith("silent fallback: ggml took none of the nodes")
        assert check.where

    def test_a_slower_run_than_the_baseline_fails(self, tmp_path):
        model = small(tmp_path)
        baseline = tmp_path / "baseline.json"
        for value, passed in ((1e-6, False), (1e6, True)):
            baseline.write_text(json.dumps({"checks": [{"tier": "bench", "name": "p50_ms", "value": value}]}))
            assert gate.validate(job_for(model, tiers=("bench",), ep=self.ep, runs=3, baseline=baseline)).passed == passed


@pytest.mark.gpu
def test_the_tensorrt_rtx_ep_runs_what_the_pipeline_makes(fixed):
    report = gate.validate(job_for(fixed, tiers=("run",)))
    if all(c.status == SKIPPED for c in report.checks):
        pytest.skip(report.checks[0].message)
    assert report.passed, report.failed


def sample():
    """A report with every kind of check, and text that is hard on formats."""
    return Report(
        {
            "name": "m|odel.onnx",
            "sha256": "0" * 64,
            "header_bytes": 10,
            "data_bytes": 20,
            "nodes": 3,
            "opsets": {"": 23},
            "ir_version": 11,
            "passes": [],
        },
        [
            Check("check", "onnx checker", PASSED, "valid", seconds=0.1),
            Check("compile", "sm120", FAILED, "first\nsecond <b>|&\x01 %", where="a/b (Op), c", fix="graphfix apply m"),
            *(Check("load", f"n{i}", FAILED, "no") for i in range(12)),
            hold("numerics", "y cosine", 0.5, 0.9, at_least=True, details={"layers": [["a", "a (Mul)", 0.0], ["b", "b (Add)", 0.5]]}),
            Check("run", "ep", SKIPPED, "no GPU"),
        ],
    )


def test_json_is_the_single_source():
    data = json.loads(render.render(sample(), "json", assumed=["x.0=16"]))
    assert data["schema"] == 1
    assert data["tool"]["packages"]["onnx"] == onnx.__version__
    assert data["checks"][14]["margin"] == pytest.approx(-0.4)
    assert (data["passed"], len(data["checks"])) == (False, 16)


def test_junit_is_xml_with_reasons():
    root = ElementTree.fromstring(render.render(sample(), "junit").encode())
    assert {s.get("name"): (s.get("tests"), s.get("failures"), s.get("skipped")) for s in root} == {
        "m|odel.onnx check": ("1", "0", "0"),
        "m|odel.onnx compile": ("1", "1", "0"),
        "m|odel.onnx load": ("12", "12", "0"),
        "m|odel.onnx numerics": ("1", "1", "0"),
        "m|odel.onnx run": ("1", "0", "1"),
    }
    assert root.find(".//skipped").get("message") == "no GPU"
    assert "next: graphfix apply m" in root.find(".//failure").text


def test_sarif_has_one_result_for_each_thing_that_matters():
    log = json.loads(render.render(sample(), "sarif"))
    run = log["runs"][0]
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    assert [r["level"] for r in run["results"]] == ["error"] * 14 + ["note"]
    assert run["results"][0]["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "a/b (Op), c"
    assert {r["ruleId"] for r in run["results"]} == {r["id"] for r in run["tool"]["driver"]["rules"]}


def test_sarif_of_lints_has_one_result_for_each_message(exports):
    command = [sys.executable, "-m", "graphfix", "lint", str(exports["sd3_nvfp4_20"].path), "--format", "sarif"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    results = json.loads(done.stdout)["runs"][0]["results"]
    assert done.returncode == 1
    assert len(results) < 10
    (untyped,) = (r for r in results if "FLOAT8E4M3FN" in r["message"]["text"])
    assert (untyped["ruleId"], untyped["level"]) == ("GF004", "error")
    assert "(26 places)\nNext: graphfix apply --passes trt-types" in untyped["message"]["text"]


def test_github_shows_at_most_ten_and_escapes():
    lines = render.render(sample(), "github").splitlines()
    assert len(lines) == 12
    assert lines[0].startswith("::error file=m|odel.onnx,title=graphfix compile%3A sm120::first%0Asecond <b>|&\x01 %25%0A")
    assert "and 4 more" in lines[10]


def test_markdown_keeps_its_table():
    lines = [line for line in render.render(sample(), "markdown").splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 16
    assert all(line.replace("\\|", "").count("|") == 5 for line in lines)


def test_html_is_one_self_contained_escaped_page():
    page = render.render(sample(), "html")
    assert "second &lt;b&gt;|&amp;" in page
    assert page.count("<circle") == 2
    for outside in ("http://", "https://", "<script", "@import", "url("):
        assert outside not in page


@pytest.mark.parametrize("format", ["json", "junit", "sarif", "github", "markdown", "html"])
def test_exit_codes_are_the_same_in_every_format(exports, tmp_path, format):
    good = exports["sd3_none_20"].path
    assert cli(good, "--tier", "check", "--format", format)[0] == 0
    bad = exports["sd3_nvfp4mha_20_mo046"].path
    code, out, _ = cli(bad, "--tier", "check", "--format", format, "--output-file", tmp_path / "report")
    assert (code, out) == (1, "FAILED 1 of 1 checks\n")
    assert (tmp_path / "report").stat().st_size > 50


def test_the_report_shows_what_changed_since_the_file_before(fixed):
    report = gate.validate(job_for(fixed, tiers=("check",), before=fixed.with_name("sd3_nvfp4mha_20.onnx")))
    assert report.model["changed"]["counts"]["type"] == 42
    assert "type: 42 different from the file before" in render.render(report, "html")


def test_reports_name_no_folder(fixed):
    report = gate.validate(job_for(fixed, tiers=("check", "load")))
    assert str(fixed.parent) not in json.dumps(report.as_dict())


PROBE = """<script>
document.title = JSON.stringify({
  wide: document.documentElement.scrollWidth > window.innerWidth,
  verdict: document.getElementById("verdict").innerText,
  top: document.getElementById("verdict").getBoundingClientRect().top < 400,
  rows: document.querySelectorAll("#checks tbody tr").length,
});
</script></body>"""


@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_in_a_real_browser(in_browser, width):
    found = in_browser(render.render(sample(), "html"), PROBE, width)
    assert found == {"wide": False, "verdict": "FAILED 14 of 15 checks; not looked at: run", "top": True, "rows": 16}
