"""int4-native: the axis comes from the shapes, the scale type from what the weight meets."""

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

import graphfix
from graphfix import io

TEXT = """
<ir_version: 11, opset_import: ["": 23, "trt": 1]>
g (float16[2,256] x) => (float16[2,8] y)
<float16[256,8] w>
{
  w = trt.DequantizeLinear <axis = 0, block_size = 128> (W, S)
  y = Gemm <transB = 1> (x, w)
}
"""
rng = np.random.default_rng(0)
CODES = ir.Tensor(rng.integers(-8, 8, (8, 256)).astype(ml_dtypes.int4))
SCALES = rng.uniform(0.01, 0.1, (8, 2)).astype(np.float32)


def test_a_gemm_weight_gets_its_axis_and_its_scales_the_graphs_type(from_text, nodes_of, apply_twice):
    applied = apply_twice(from_text(TEXT, W=CODES, S=SCALES), "int4-native")
    assert nodes_of(applied.model) == [
        "DequantizeLinear(INT4, FLOAT16) -> FLOAT16",
        "Gemm(FLOAT16, FLOAT16) -> FLOAT16",
    ]
    node = applied.model.graph[0]
    assert node.attributes["axis"].as_int() == 1
    assert list(node.outputs[0].shape) == [8, 256]
    np.testing.assert_array_equal(node.inputs[1].const_value.numpy(), SCALES.astype(np.float16))
    assert [c.what for c in applied.changes] == ["domain", "axis", "scales", "shape"]


def test_scales_can_keep_their_bits(from_text, nodes_of, apply_twice):
    applied = apply_twice(from_text(TEXT, W=CODES, S=SCALES), "int4-native{scales=keep},fp4-qdq")
    assert nodes_of(applied.model) == [
        "DequantizeLinear(INT4, FLOAT) -> FLOAT",
        "Cast(FLOAT) -> FLOAT16",
        "Gemm(FLOAT16, FLOAT16) -> FLOAT16",
    ]


def test_scales_that_float16_cannot_hold_are_not_rounded_to_zero(from_text, tmp_path):
    applied = graphfix.apply(from_text(TEXT, W=CODES, S=SCALES * 1e-9), "int4-native")
    with pytest.raises(graphfix.PassError) as caught:
        applied.save(tmp_path / "bad.onnx")
    assert "scales=keep" in caught.value.why


def test_shapes_that_fit_no_axis_are_refused(from_text):
    with pytest.raises(graphfix.PassError, match=r"INT4 \[8,256\] with scales \[8,3\]"):
        graphfix.apply(from_text(TEXT, W=CODES, S=np.ones((8, 3), np.float32)), "int4-native")


def test_a_consistent_file_is_left_alone(from_text):
    text = TEXT.replace("trt.Deq", "Deq").replace("axis = 0", "axis = 1").replace("float16[256,8] w", "float16[8,256] w")
    assert graphfix.apply(from_text(text, W=CODES, S=SCALES.astype(np.float16)), "int4-native").changes == []


def test_what_the_export_computes_is_what_its_codes_and_scales_say(exports, tmp_path, apply_twice, run_on_cpu):
    export = exports["sd3_int4awq_20"]
    passes = "opset23,init-inputs,int4-native,fp4-qdq,trt-types,opset-imports"
    rounded = apply_twice(export.path, passes).save(tmp_path / "rounded.onnx").path
    exact = graphfix.apply(export.path, passes.replace("native", "native{scales=keep}")).save(tmp_path / "exact.onnx").path
    a, b = run_on_cpu(export, rounded).astype(float), run_on_cpu(export, exact).astype(float)
    assert 0 < np.linalg.norm(a - b) / np.linalg.norm(b) < 5e-4
    gemms = [n.inputs[1].producer() for n in io.load(rounded).graph if n.op_type == "Gemm" and n.inputs[1].producer() is not None]
    assert {n.attributes["axis"].as_int() for n in gemms if n.op_type == "DequantizeLinear"} == {1}
