"""What this machine can do, and how two models differ."""

import json
import subprocess
import sys

import numpy as np
import onnx_ir as ir
import pytest

import graphfix
from graphfix import doctor, io
from graphfix.difference import differences


def run(*args):
    done = subprocess.run([sys.executable, "-m", "graphfix", *map(str, args)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_doctor_looks_at_everything_and_says_what_to_type():
    code, out = run("doctor", "--format", "json")
    rows = {row["what"]: row for row in json.loads(out)}
    assert code == 0
    assert {"Python", "onnx", "ONNX Runtime", "TensorRT-RTX (compile tier)", "TensorRT-RTX EP (run tier)"} <= rows.keys()
    assert all(row["hint"] for row in rows.values() if row["status"] == doctor.MISSING)


def test_both_onnx_runtime_wheels_at_once_are_wrong(monkeypatch):
    monkeypatch.setattr(doctor, "version", lambda name: "1.31.1")
    row = next(row for row in doctor.examine() if row.what == "ONNX Runtime")
    assert row.status == doctor.WRONG
    assert "pip uninstall onnxruntime onnxruntime-gpu" in row.hint


@pytest.mark.parametrize(
    ("capability", "good"),
    [("7.5", False), ("8.0", False), ("8.6", True), ("8.9", True), ("9.0", False), ("10.0", False), ("12.0", True), ("12.1", True)],
)
def test_which_gpus_the_ep_runs_on(capability, good):
    assert doctor.supported(capability) == good


def test_a_model_does_not_differ_from_itself(export):
    assert list(differences(io.load(export.path), io.load(export.path), weights=True)) == []


def test_diff_shows_what_the_pipeline_did(exports, tmp_path):
    model = exports["sd3_nvfp4mha_20_mo046"].copy_to(tmp_path)
    fixed = graphfix.apply(model, "opset23,init-inputs,trt-types").save(tmp_path / "fixed.onnx").path
    code, out = run("diff", model, fixed, "--weights")
    assert code == 1
    heads = [line for line in out.splitlines() if not line.startswith(" ")]
    assert heads == ["header: 1 different", "opset: 1 different", "type: 42 different"]
    assert run("diff", fixed, fixed)[0] == 0


def test_weights_are_compared_byte_by_byte_only_when_asked(exports):
    a, b = (io.load(exports["sd3_int8_20"].path) for _ in "ab")
    name, value = next((n, v) for n, v in b.graph.initializers.items() if v.const_value.nbytes > 100)
    changed = value.const_value.numpy().copy()
    changed.flat[0] += np.float16(1)
    value.const_value = ir.Tensor(changed, name=name)
    assert list(differences(a, b)) == []
    assert [(d.part, d.where) for d in differences(a, b, weights=True)] == [("weight", name)]
