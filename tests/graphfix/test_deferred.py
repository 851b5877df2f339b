"""A command that changes a graph does not execute sympy, half of its imports; who computes with dimensions gets it as before."""

import subprocess
import sys

import pytest

APPLY = """
import sys, graphfix
graphfix.apply(sys.argv[1]).save(sys.argv[2])
assert "sympy" in sys.modules and "sympy.core" not in sys.modules
import onnx_ir as ir
assert str(ir.SymbolicDim("tokens") * 2 + 1) == "2*tokens + 1"
assert str(ir.SymbolicDim("max(a, b)").simplify()) == "Max(a, b)"
assert not [finder for finder in sys.meta_path if type(finder).__module__ == "graphfix.deferred"]
"""
ORDERS = {
    "onnx-ir is there": "import onnx_ir; import graphfix.api",
    "sympy is there": "import sympy; import graphfix.api",
    "sympy comes first": "import graphfix; import sympy; assert sympy.Symbol('x') + 0 == sympy.Symbol('x'); import graphfix.api",
    "a part of sympy comes first": "import graphfix; from sympy.core import Symbol; import sympy; assert sympy.Symbol is Symbol",
}


def run(code, *args):
    return subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, check=False)


def test_apply_does_not_execute_sympy(exports, tmp_path):
    done = run(APPLY, exports["sd3_nvfp4_20"].path, tmp_path / "out.onnx")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("order", ORDERS)
def test_any_order_of_imports_works(order):
    done = run(ORDERS[order] + "\nimport onnx_ir as ir\nassert str(ir.SymbolicDim('n') + 1) == 'n + 1'")
    assert done.returncode == 0, done.stderr
