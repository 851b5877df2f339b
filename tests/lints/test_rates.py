"""Planted faults are found, and clean files raise no alarm. The faults live in tools/lint_rates.py, which prints both rates."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from onnx.backend.test.case.node import collect_testcases

import graphfix
from graphfix.lints import BUILT_IN

ROOT = Path(__file__).parents[2]
rates = runpy.run_path(str(ROOT / "tools" / "lint_rates.py"))
FAULTS = rates["FAULTS"]
ERRORS = {cls.code for cls in BUILT_IN if cls.level == "error"}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The clean files that faults are planted in."""
    folder = tmp_path_factory.mktemp("good")
    return {name: rates["good"](name, folder / name) for name in sorted({fault.base for fault in FAULTS})}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.code} {fault.what}")
def test_a_planted_fault_is_found_with_its_place_and_its_pass(fault, good, tmp_path):
    assert rates["found"](fault, good[fault.base], tmp_path / "planted") == ""


def test_every_lint_has_a_planted_fault_and_thirty_are_errors():
    assert {fault.code for fault in FAULTS} == {cls.code for cls in BUILT_IN}
    assert len([fault for fault in FAULTS if fault.code in ERRORS]) >= 30
    assert len({fault.what for fault in FAULTS}) == len(FAULTS)


def test_an_error_is_exit_1_and_names_code_place_and_pass(good, tmp_path):
    fault = next(f for f in FAULTS if f.what == "block scale typed fp4")
    assert rates["found"](fault, good[fault.base], tmp_path / "planted") == ""
    done = subprocess.run(
        [sys.executable, "-m", "graphfix", "lint", str(tmp_path / "planted" / "model.onnx")], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "GF005 wrongly-typed-trt-output: 1 x error\n    declared FLOAT4E2M1; the operator makes FLOAT8E4M3FN\n      at /" in done.stdout
    assert "next: graphfix apply --passes trt-types " in done.stdout


@pytest.mark.parametrize("target", ["sm120", "sm121"])
def test_what_the_pipeline_makes_of_deployable_exports_is_clean(deployable, target, tmp_path):
    saved = graphfix.apply(deployable.path, "trtrtx").save(tmp_path / "model.onnx").path
    found = graphfix.lint(saved, targets=[target], ort="1.30").findings
    assert [f for f in found if f.level == "error"] == []


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_onnx_own_node_tests_raise_no_alarm():
    """All are valid, so only what TensorRT-RTX lacks may be told of them: types that it takes nowhere."""
    models = [case.model for case in collect_testcases(None) if case.model is not None]
    assert len(models) > 1500
    alarms = [(m.graph.name, f) for m in models for f in graphfix.lint(m, ignore=["type-on-no-target"]).findings if f.level == "error"]
    assert alarms == []


def test_the_table_in_the_docs_is_what_the_tool_prints():
    missed, alarms = dict.fromkeys((f.what for f in FAULTS), ""), dict.fromkeys(rates["clean"](), 0)
    assert (ROOT / "docs" / "lint_rates.md").read_text(encoding="utf-8") == rates["table"](missed, alarms)
