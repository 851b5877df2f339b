"""fp8-native: the same bits by standard operators, weights stored in FP8, never one side of a pair."""

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

import graphfix
from graphfix import io
from graphfix_passes import fp8
from tests.conftest import inputs_for

TEXT = """
<ir_version: 11, opset_import: ["": 23, "trt": 1]>
g (float16[2,8] x) => (float16[2,4] y)
{
  xq = trt.TRT_FP8QuantizeLinear (x, S)
  xd = trt.TRT_FP8DequantizeLinear (xq, S)
  wq = trt.TRT_FP8QuantizeLinear (W, S)
  wd = trt.TRT_FP8DequantizeLinear (wq, S)
  y = MatMul (xd, wd)
}
"""
WEIGHT = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float16)
SCALE = np.float16(0.0123)


def test_both_sides_of_every_pair_become_standard(from_text, nodes_of, apply_twice):
    applied = apply_twice(from_text(TEXT, W=WEIGHT, S=SCALE), "fp8-native")
    assert nodes_of(applied.model) == [
        "QuantizeLinear(FLOAT16, FLOAT16, FLOAT8E4M3FN) -> FLOAT8E4M3FN",
        "DequantizeLinear(FLOAT8E4M3FN, FLOAT16) -> ?",
        "DequantizeLinear(FLOAT8E4M3FN, FLOAT16) -> ?",
        "MatMul(?, ?) -> FLOAT16",
    ]
    quantize = next(n for n in applied.model.graph if n.op_type == "QuantizeLinear")
    assert quantize.attributes["precision"].as_int() == ir.DataType.FLOAT
    assert "W" not in applied.model.graph.initializers


def test_activations_can_stay_on_the_trt_operators(from_text, apply_twice):
    applied = apply_twice(from_text(TEXT, W=WEIGHT, S=SCALE), "fp8-native{activations=trt}")
    assert [(n.domain, n.op_type) for n in applied.model.graph] == [
        ("trt", "TRT_FP8QuantizeLinear"),
        ("trt", "TRT_FP8DequantizeLinear"),
        ("", "DequantizeLinear"),
        ("", "MatMul"),
    ]


def test_a_pair_with_another_user_stays_whole(from_text):
    text = TEXT.replace("(float16[2,4] y)", "(float16[2,4] y, float8e4m3fn[2,8] z)").replace("  y =", "  z = Identity (xq)\n  y =")
    applied = graphfix.apply(from_text(text, W=WEIGHT, S=SCALE), "fp8-native")
    assert [n.op_type for n in applied.model.graph if n.domain == "trt"] == ["TRT_FP8QuantizeLinear", "TRT_FP8DequantizeLinear"]
    assert [f.code for f in applied.findings] == ["fp8-pair"]


def quantizers(precision: str) -> str:
    return f"""
    <ir_version: 11, opset_import: ["": 23]>
    g () => (float8e4m3fn[N,M] y) {{ y = QuantizeLinear {precision} (W, S, Z) }}
    """


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16, np.float32])
@pytest.mark.parametrize("in_float32", [True, False])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_codes_equal_the_reference_evaluators(from_text, kind, in_float32, axis):
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((33, 65)) * np.exp(rng.uniform(-6, 6, (33, 65)))).astype(kind)
    scale = rng.uniform(0.01, 0.1, () if axis is None else weight.shape[axis]).astype(kind)
    attributes = [f"axis = {axis}"] * (axis is not None) + ["precision = 1"] * in_float32
    text = quantizers(f"<{', '.join(attributes)}>" if attributes else "")
    proto = io.to_proto(from_text(text, W=weight, S=scale, Z=np.zeros(scale.shape, ml_dtypes.float8_e4m3fn)))
    wanted = ReferenceEvaluator(proto).run(None, {})[0]
    ours = fp8.quantize(weight, fp8.Division(scale, axis or 0, in_float32))
    np.testing.assert_array_equal(ours.view(np.uint8), wanted.view(np.uint8))


def test_large_values_saturate():
    codes = fp8.quantize(np.array([1e4, -1e4, 449, 0], np.float16), fp8.Division(np.float16(1), 0, True))
    np.testing.assert_array_equal(codes.astype(np.float32), [448, -448, 448, 0])


@pytest.mark.parametrize("name", ["sd3_fp8_20", "sd3_fp8mha_20", "sdxl_fp8_20"])
def test_exports_compute_the_same_bits_and_deploy(exports, name, tmp_path, apply_twice, ort_door):
    export = exports[name]

    def output(passes: str, file: str) -> np.ndarray:
        path = graphfix.apply(export.path, f"{passes},emulate{{engine=reference}}").save(tmp_path / file).path
        model = onnx.load(path)
        types = {i.name: onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in model.graph.input}
        return ReferenceEvaluator(model).run(None, inputs_for(export, list(types), types))[0]

    np.testing.assert_array_equal(output("trtrtx,fp8-native", "native.onnx"), output("trtrtx", "trt.onnx"))
    path = apply_twice(export.path, "trtrtx,fp8-native").save(tmp_path / "deployed.onnx").path
    onnx.checker.check_model(path, full_check=True)
    assert ort_door(path) == ""
    model = io.load(path)
    assert not [n for n in model.graph if n.domain == "trt"]
    quantized = [n for n in model.graph if n.op_type == "QuantizeLinear" and n.inputs[0].is_initializer()]
    assert quantized == []
