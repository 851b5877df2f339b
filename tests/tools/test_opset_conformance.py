"""The numbers that docs/opset_conformance.md promises hold: onnx's tests, onnx's cases, and a slice of our own corpus."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "opset_conformance.py"


@pytest.mark.parametrize("corpus", [["--peer"], ["--nodes"], ["--differential", "2"], ["--down", "1"]], ids=lambda c: c[0][2:])
def test_the_promised_numbers(corpus):
    result = subprocess.run([sys.executable, TOOL, *corpus], capture_output=True, text=True, check=False, timeout=900)
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]
