"""int4-weights: what torch exports for INT4, folded as ModelOpt folds it."""

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

import graphfix
from graphfix import io

TEXT = """
<ir_version: 9, opset_import: ["": 23, "trt": 1]>
g (float16[2,256] x) => (float16[2,8] y)
<int64[2] shape = {8, 256}>
{
  blocks = trt.DequantizeLinear <axis = 0, block_size = 128> (W, S)
  w = Reshape (blocks, shape)
  BODY
}
"""
MATMUL = "t = Transpose <perm = [1, 0]> (w) y = MatMul (x, t)"
GEMM = "y = Gemm <transB = 1> (x, w)"
rng = np.random.default_rng(0)
WEIGHT = rng.standard_normal((16, 128)).astype(np.float16)
SCALES = (np.abs(WEIGHT.astype(np.float32)).max(1, keepdims=True) / 7).astype(np.float32)
CODES = np.clip(np.rint(WEIGHT.astype(np.float32) / SCALES), -8, 7).reshape(8, 256)


@pytest.mark.parametrize(("body", "axis", "turn"), [(MATMUL, 0, True), (GEMM, 1, False)])
def test_reshape_and_transpose_are_folded_into_the_codes(from_text, nodes_of, apply_twice, tmp_path, body, axis, turn):
    applied = apply_twice(from_text(TEXT.replace("BODY", body), W=WEIGHT, S=SCALES), "int4-weights,int4-native")
    product = "Gemm" if axis else "MatMul"
    assert nodes_of(applied.model) == [
        "DequantizeLinear(INT4, FLOAT16) -> FLOAT16",
        f"{product}(FLOAT16, FLOAT16) -> FLOAT16",
    ]
    node = io.load(applied.save(tmp_path / "m.onnx").path).graph[0]
    assert node.attributes["axis"].as_int() == axis
    codes, scales = (value.const_value.numpy() for value in node.inputs)
    np.testing.assert_array_equal(codes.astype(np.int8), CODES.T if turn else CODES)
    np.testing.assert_array_equal(scales, (SCALES.reshape(8, 2).T if turn else SCALES.reshape(8, 2)).astype(np.float16))


def test_a_weight_with_another_user_keeps_its_shape(from_text, nodes_of, apply_twice):
    text = TEXT.replace("BODY", MATMUL + " z = Identity (w)").replace("(float16[2,8] y)", "(float16[2,8] y, float16[8,256] z)")
    applied = apply_twice(from_text(text, W=WEIGHT, S=SCALES), "int4-weights,int4-native{scales=keep},fp4-qdq")
    assert any(line.startswith("Transpose") for line in nodes_of(applied.model))
    dequantize = next(n for n in applied.model.graph if n.op_type == "DequantizeLinear")
    assert list(dequantize.outputs[0].shape) == [8, 256]


def test_scales_that_give_no_blocks_are_refused(from_text):
    with pytest.raises(graphfix.PassError, match="with 15 scales"):
        graphfix.apply(from_text(TEXT.replace("BODY", GEMM), W=WEIGHT, S=SCALES[:15]), "int4-weights")


def test_an_old_opset_is_refused_with_the_command(from_text):
    with pytest.raises(graphfix.PassError) as caught:
        graphfix.apply(from_text(TEXT.replace('"": 23', '"": 20').replace("BODY", GEMM), W=WEIGHT, S=SCALES), "int4-weights")
    assert "opset23,int4-weights" in caught.value.hint


def test_folded_weights_are_left_alone(from_text):
    text = TEXT.replace("BODY", GEMM)
    codes = ir.Tensor(CODES.reshape(16, 128).astype(ml_dtypes.int4))
    assert graphfix.apply(from_text(text, W=codes, S=SCALES), "int4-weights").changes == []
