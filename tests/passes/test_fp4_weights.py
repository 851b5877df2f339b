"""fp4-weights: bit-equal to ModelOpt, lazy, and refused by name where it cannot be done."""

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphfix
from graphfix import io
from graphfix_passes import nvfp4

TEXT = """
<ir_version: 11, opset_import: ["": 23, "trt": 1]>
g (float16[2,32] x) => (float16[2,4] y)
{
  w = trt.TRT_FP4QDQ <block_size = 16> (W)
  t = Transpose <perm = [1, 0]> (w)
  y = MatMul (x, t)
}
"""


def search(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.float32]:
    """NVFP4 element by element, in the order of ModelOpt's own steps."""
    w = weight.astype(np.float32).reshape(-1, 16)
    scale = np.float32(np.abs(w).max()) / np.float32(2688) or np.float32(1)
    ratio = np.abs(w).max(1) / (np.float32(6) * scale)
    ratio[ratio == 0] = 1
    scales = np.clip(ratio, np.float32(2**-9), np.float32(448)).astype(ml_dtypes.float8_e4m3fn)
    v = w / (scales.astype(np.float32) * scale)[:, None]
    code = np.searchsorted(nvfp4.MIDDLES, np.abs(v)) + np.isin(np.abs(v), [0.75, 1.75, 3.5]) + 8 * (v < 0)
    flat = code.astype(np.uint8).reshape(-1)
    return flat[::2] | flat[1::2] << 4, scales, scale


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_codes_and_scales_equal_an_element_by_element_search(kind):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((40, 3 * 16)) * np.exp(rng.uniform(-9, 2, (40, 1)))
    ties = [6, -6, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, -0.25, -0.75, -1.25, -1.75, -2.5, -3.5, -5]
    weight[0, :16], weight[1, :16], weight[2, :16] = 0, -0.0, np.array(ties) * 448
    weight = weight.astype(kind)
    codes, scales, scale = nvfp4.quantize(weight)
    wanted = search(weight)
    np.testing.assert_array_equal(codes.reshape(-1), wanted[0])
    np.testing.assert_array_equal(scales.reshape(-1).view(np.uint8), wanted[1].view(np.uint8))
    assert scale.shape == (1,)
    assert scale[0] == wanted[2]


def test_a_weight_of_zeros_gets_scales_of_one():
    codes, scales, scale = nvfp4.quantize(np.zeros((2, 16), np.float16))
    assert not codes.any()
    assert (scales.astype(np.float32) == 1).all()
    assert scale == 1


@pytest.mark.parametrize("name", ["sd3_nvfp4_20", "sd3_nvfp4mha_20"])
def test_tensors_are_bit_equal_to_what_modelopt_folded(exports, name, tmp_path, apply_twice):
    passes = "opset23,init-inputs,fp4-weights"
    path = apply_twice(exports[f"{name}_raw"].path, passes).save(tmp_path / "folded.onnx").path
    ours, theirs = io.load(path).graph.initializers, io.load(exports[name].path).graph.initializers
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert ours[key].const_value.dtype == value.const_value.dtype
        assert ours[key].const_value.shape == value.const_value.shape
        assert ours[key].const_value.tobytes() == value.const_value.tobytes()


def test_the_form_is_modelopts_own(from_text, nodes_of):
    weight = np.arange(128, dtype=np.float16).reshape(4, 32)
    applied = graphfix.apply(from_text(TEXT, W=weight), "fp4-weights")
    assert nodes_of(applied.model) == [
        "DequantizeLinear(FLOAT8E4M3FN, FLOAT) -> FLOAT",
        "DequantizeLinear(FLOAT4E2M1, FLOAT) -> FLOAT",
        "Transpose(FLOAT) -> FLOAT",
        "Cast(FLOAT) -> FLOAT16",
        "MatMul(FLOAT16, FLOAT16) -> FLOAT16",
    ]
    assert "W" not in applied.model.graph.initializers


def test_a_float32_weight_needs_no_cast(from_text, nodes_of):
    text = TEXT.replace("float16[2", "float[2")
    applied = graphfix.apply(from_text(text, W=np.ones((4, 32), np.float32)), "fp4-weights")
    assert "Cast" not in " ".join(nodes_of(applied.model))


def test_another_user_keeps_the_original(from_text):
    text = TEXT.replace("y = MatMul (x, t)", "u = Transpose <perm = [1, 0]> (W)\n  s = Add (t, u)\n  y = MatMul (x, s)")
    applied = graphfix.apply(from_text(text, W=np.ones((4, 32), np.float16)), "fp4-weights")
    assert "W" in applied.model.graph.initializers


def test_nothing_is_computed_before_saving(from_text, monkeypatch):
    calls = []
    original = nvfp4.quantize
    monkeypatch.setattr(nvfp4, "quantize", lambda *a: calls.append(1) or original(*a))
    applied = graphfix.apply(from_text(TEXT, W=np.ones((4, 32), np.float16)), "fp4-weights")
    assert calls == []
    for value in applied.model.graph.initializers.values():
        value.const_value.tobytes()
    assert calls == [1]
    values = {v.dtype: v.const_value.numpy() for v in applied.model.graph.initializers.values()}
    assert values[ir.DataType.FLOAT4E2M1].shape == (4, 32)
    assert (values[ir.DataType.FLOAT4E2M1].astype(np.float32) == 6).all()


def test_a_value_that_is_not_finite_is_refused_when_saving(from_text, tmp_path):
    weight = np.ones((4, 32), np.float16)
    weight[1, 1] = np.inf
    applied = graphfix.apply(from_text(TEXT, W=weight), "fp4-weights")
    with pytest.raises(graphfix.PassError, match="cannot quantize a weight"):
        applied.save(tmp_path / "bad.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_partial_block_is_refused(from_text):
    text = TEXT.replace("float16[2,32]", "float16[2,24]")
    with pytest.raises(graphfix.PassError, match=r"a weight of shape \[4,24\]"):
        graphfix.apply(from_text(text, W=np.ones((4, 24), np.float16)), "fp4-weights")


def test_an_opset_without_fp4_is_refused(from_text):
    with pytest.raises(graphfix.PassError, match="at opset 20") as caught:
        graphfix.apply(from_text(TEXT.replace('"": 23', '"": 20'), W=np.ones((4, 32), np.float16)), "fp4-weights")
    assert "opset23,fp4-weights" in caught.value.hint


def test_a_shared_weight_is_folded_once_in_any_scope(from_text):
    text = """
    <ir_version: 11, opset_import: ["": 23, "trt": 1]>
    g (float16[2,32] x, bool c) => (float16[2,4] y)
    {
      y = If (c) <
        then_branch = a () => (float16[2,4] p) {
          i = Identity (W)  w = trt.TRT_FP4QDQ <block_size = 16> (i)  t = Transpose <perm = [1, 0]> (w)  p = MatMul (x, t)
        },
        else_branch = b () => (float16[2,4] q) {
          v = trt.TRT_FP4QDQ <block_size = 16> (W)  s = Transpose <perm = [1, 0]> (v)  q = MatMul (x, s)
        }>
    }"""
    applied = graphfix.apply(from_text(text, W=np.ones((4, 32), np.float16)), "fp4-weights")
    assert len(applied.changes) == 2
    assert sorted(v.dtype.name for v in applied.model.graph.initializers.values()) == ["FLOAT", "FLOAT4E2M1", "FLOAT8E4M3FN"]
    onnx.checker.check_model(io.to_proto(applied.model), full_check=True)


def test_a_weight_in_a_function_is_refused_by_name(from_text):
    values = ", ".join("1" for _ in range(32))
    text = f"""
    <ir_version: 11, opset_import: ["": 23, "trt": 1, "local": 1]>
    g (float16[2,16] x) => (float16[2,2] y) {{ y = local.f (x) }}
    <domain: "local", opset_import: ["": 23, "trt": 1]>
    f (x) => (y) {{
      W = Constant <value = float16[2,16] {{{values}}}> ()
      w = trt.TRT_FP4QDQ <block_size = 16> (W)
      t = Transpose <perm = [1, 0]> (w)
      y = MatMul (x, t)
    }}"""
    with pytest.raises(graphfix.PassError, match="a weight inside a local function"):
        graphfix.apply(from_text(text), "fp4-weights")
