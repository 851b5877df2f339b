"""The maker of tiny pipelines explains itself anywhere, and a pipeline makes the same picture with a placed backbone."""

import os
import subprocess
import sys

import numpy as np
import pytest

from graphfix.place import place, undo
from tests.conftest import ROOT

TOOL = ROOT / "tools" / "tiny_pipelines.py"
OPTIMUM = os.environ.get("OPTIMUM_PYTHON", "")  # an environment of its own: optimum wants older packages than ModelOpt


def test_it_explains_itself_without_torch():
    code = (
        f"import runpy, sys; sys.argv = ['tool', '--help']; sys.modules['torch'] = None; runpy.run_path({str(TOOL)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "{make,export,backbone,run}" in done.stdout


@pytest.mark.skipif(
    not OPTIMUM, reason="OPTIMUM_PYTHON does not name a Python that has optimum (tools/tiny_pipelines.py says how to make it)"
)
@pytest.mark.parametrize("kind", ["sd3", "flux", "sdxl"])
def test_a_pipeline_makes_the_same_picture_with_a_placed_backbone(kind, tmp_path):
    def tool(*args):
        subprocess.run([OPTIMUM, str(TOOL), *map(str, args)], check=True, capture_output=True)

    tool("make", kind, tmp_path / "torch")
    tool("export", tmp_path / "torch", tmp_path / "folder")
    tool("backbone", tmp_path / "torch", tmp_path / "backbone.onnx")
    tool("run", tmp_path / "folder", tmp_path / "before.npy")
    assert place(tmp_path / "backbone.onnx", tmp_path / "folder").action == "placed"
    before = np.load(tmp_path / "before.npy")
    for more in ((), ("--io-binding",)):
        tool("run", tmp_path / "folder", tmp_path / "after.npy", *more)
        assert np.abs(np.load(tmp_path / "after.npy") - before).max() < 0.01  # float16 against float32
    undo(tmp_path / "folder")
    tool("run", tmp_path / "folder", tmp_path / "after.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "after.npy"), before)
