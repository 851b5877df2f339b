"""graphfix lint and explain as a person meets them."""

import json
import subprocess
import sys

import onnx
import pytest

from graphfix.lints.base import HEADS


def graphfix(*args):
    done = subprocess.run([sys.executable, "-m", "graphfix", *map(str, args)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def model(exports, tmp_path):
    return exports["sd3_nvfp4_20_legacytrtdq"].copy_to(tmp_path)


def test_text_is_grouped_by_code_and_says_what_to_type(model):
    code, out, err = graphfix("lint", model)
    assert (code, err) == (1, "")
    assert "GF004 untyped-trt-output: 52 x error\n" in out
    assert "GF007 qdq-in-trt-domain: 52 x error\n    DequantizeLinear belongs to the default domain" in out
    assert "    and 49 more\n    next: graphfix apply --passes fp4-qdq " in out
    assert "    no pass mends this: graphfix explain GF030\n" in out
    assert out.index("GF007") < out.index("GF010")  # errors before warnings
    assert "156 errors, 104 warnings, 0 info: 34 rules, 870 nodes" in out
    assert "not asked without --target sm120: GF014\n" in out
    assert len(list(model.parent.iterdir())) == 2


def test_a_clean_file_is_exit_0(exports):
    code, out, _ = graphfix("lint", exports["sd3_int8_20"].path)
    assert (code, out.split(":")[0]) == (0, "no findings")


def test_json_holds_everything(model):
    code, out, _ = graphfix("lint", model, "--format", "json", "--target", "sm89", "--ort", "1.22")
    report = json.loads(out)
    assert code == 1
    assert report["schema"] == 1
    assert report["input"]["name"] == model.name
    assert report["summary"]["error"] == sum(f["level"] == "error" for f in report["findings"])
    assert {"code", "level", "where", "message", "fix", "name"} == set(report["findings"][0])
    assert report["skipped"] == []
    assert str(model.parent) not in out


def test_fix_runs_the_passes_in_their_order_and_writes_like_apply(model):
    code, out, _ = graphfix("lint", "--fix", model)
    fixed = model.with_name("sd3_nvfp4_20_legacytrtdq.fixed.onnx")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "mended 234 of 260 findings with opset23,fp4-qdq,trt-types,init-inputs"
    assert lines[1] == f"wrote {fixed}"
    assert "0 errors, 26 warnings" in out  # the weights of ModelOpt 0.46 stay what they are
    onnx.checker.check_model(fixed, full_check=True)
    code, out, _ = graphfix("lint", "--fix", fixed)
    assert (code, out.splitlines()[0]) == (0, "mended 0 of 26 findings with no pass")
    assert not fixed.with_name("sd3_nvfp4_20_legacytrtdq.fixed.fixed.onnx").exists()


def test_fix_can_write_elsewhere_and_in_place(model, tmp_path):
    (tmp_path / "out").mkdir()
    code, _, _ = graphfix("lint", "--fix", model, "-o", tmp_path / "out")
    assert code == 0
    assert (tmp_path / "out" / model.name).exists()
    assert graphfix("lint", "--fix", model, "--in-place")[0] == 0
    assert graphfix("lint", model)[0] == 0


def test_select_and_ignore_take_codes_their_beginnings_and_names(model):
    assert "GF004" not in graphfix("lint", model, "--ignore", "GF004")[1]
    code, out, _ = graphfix("lint", model, "--select", "initializer-as-input,GF03")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line.startswith("GF")] == ["GF010", "GF030"]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("--select", "GF999"), "no lint is called 'GF999'"),
        (("--ignore", "untyped-trt-outputs"), "did you mean untyped-trt-output?"),
        (("--target", "sm90"), "one of sm75, sm80, sm86, sm89, sm120, sm121"),
        (("--ort", "newest"), "a release such as 1.30"),
        (("--ort", "1.2"), "the table begins at 1.19"),
        (("--format", "xml"), "--format text, json or sarif"),
        (("--in-place",), "add --fix"),
        (("--fix", "--in-place", "-o", "x.onnx"), "exclude each other"),
    ],
)
def test_mistakes_are_exit_2_with_what_to_type(model, words, answer):
    code, _, err = graphfix("lint", model, *words)
    assert code == 2
    assert answer in err


def test_a_file_that_is_no_model_is_exit_1_and_a_missing_one_2(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    assert graphfix("lint", tmp_path / "bad.onnx")[0] == 1
    assert graphfix("lint", tmp_path / "none.onnx")[0] == 2


def test_missing_data_is_a_finding_and_no_failure(model):
    model.with_name(model.name + "_data").unlink()
    code, out, err = graphfix("lint", model)
    assert (code, err) == (1, "")
    assert "GF024 external-data-missing: 1 x error" in out
    code, _, err = graphfix("lint", "--fix", model)
    assert code == 1
    assert "external data is missing" in err


@pytest.mark.parametrize("word", ["GF004", "gf004", "untyped-trt-output"])
def test_explain_prints_the_five_heads(word):
    code, out, _ = graphfix("explain", word)
    assert code == 0
    assert out.startswith("GF004 untyped-trt-output (error)\n")
    assert [line for line in out.splitlines() if line in HEADS] == list(HEADS)
    assert "Mended by: graphfix apply --passes trt-types MODEL" in out


def test_explain_lists_all_and_answers_to_mistakes():
    code, out, _ = graphfix("explain")
    assert code == 0
    assert out.count("\nGF") == 37
    code, _, err = graphfix("explain", "GF004x")
    assert code == 2
    assert "next:" in err
