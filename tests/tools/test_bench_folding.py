"""The benchmark's files are what its name says: every form goes through its pipeline, and nothing is left to measure twice."""

import importlib.util
import json
import subprocess
import sys

import pytest

import graphfix
from graphfix import io
from tests.conftest import ROOT

TOOL = ROOT / "tools" / "bench_folding.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("bench_folding", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("form", ["nvfp4", "fp8", "mxfp8", "int4"])
def test_every_form_is_converted(tool, form, tmp_path):
    source = tmp_path / "raw.onnx"
    parameters = tool.make_raw(source, 1, 128, form)
    assert parameters == 12 * 128 * 128
    saved = graphfix.apply(source, tool.PASSES[form]).save(tmp_path / "fixed.onnx")
    left = {n.op_type for n in io.load(saved.path).graph if n.domain == "trt"}
    assert left == set()


def test_it_runs_where_modelopt_is_not_installed(tmp_path):
    command = [sys.executable, str(TOOL), "--layers", "1", "--width", "64", "--json", "--modelopt-python", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)
    assert rows["graphfix"]["parameters"] == 12 * 64 * 64
    assert rows["graphfix"]["seconds"] > 0
    assert "ModelOpt" in rows or "skipped" in done.stderr
