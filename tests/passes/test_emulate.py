"""The reference arithmetic against an independent transcription of ModelOpt's formulas, bit for bit."""

import ml_dtypes
import numpy as np
import onnx
import onnx.reference
import pytest

import graphfix


def wide(rows, columns, seed=0):
    """Random rows over many magnitudes, with zero blocks, tiny blocks and exact ties among them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, columns)) * np.exp(rng.uniform(-6, 6, (rows, 1)))
    x[0], x[1] = 0, 2.0**-14
    x[2, :16] = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, 6] * 2)
    return x.astype(np.float16)


def nvfp4(x, g):
    blocks = x.astype(np.float32).reshape(x.shape[0], -1, 16)
    ratio = np.abs(blocks).max(-1, keepdims=True) / (np.float32(6) * g)
    ratio = np.where(ratio == 0, np.float32(1), ratio)
    s = np.clip(ratio, np.float32(2**-9), np.float32(448)).astype(ml_dtypes.float8_e4m3fn)
    v = blocks / (s.astype(np.float32) * g)
    a = np.abs(v)
    q = np.where(a < 2, np.round(2 * a) / 2, np.where(a < 4, np.round(a), np.minimum(2 * np.round(a / 2), 6)))
    return (np.sign(v) * q).reshape(x.shape), s.astype(np.float32).reshape(x.shape[0], -1)


def run(text, x, engine, passes="trtrtx"):
    """Outputs of a small model under an engine, as float32."""
    model = graphfix.apply(onnx.parser.parse_model(text), f"{passes},emulate{{engine={engine}}}").model
    if engine == "reference":
        return [np.asarray(y).astype(np.float32) for y in onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})]
    import onnxruntime as ort

    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


NVFP4 = """<ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
g (float16[R, K] x) => (float[R, K] values, float[R, N] scales) {
  scale = Constant <value_float = 0.0123> ()
  q, s = trt.TRT_FP4DynamicQuantize <axis = -1, block_size = 16, scale_type = 17> (x, scale)
  values = Cast <to = 1> (q)
  scales = Cast <to = 1> (s)
}"""


@pytest.mark.parametrize("engine", ["ort", "reference"])
def test_nvfp4_is_modelopts_arithmetic(engine):
    x = wide(64, 256)
    values, scales = run(NVFP4, x, engine)
    expected_values, expected_scales = nvfp4(x, np.float32(0.0123))
    np.testing.assert_array_equal(values, expected_values)
    np.testing.assert_array_equal(scales, expected_scales)


FP8 = """<ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
g (float16[R, K] x) => (float16[R, K] y) {
  half = Constant <value_float = 0.0371> ()
  scale = Cast <to = 10> (half)
  q = trt.TRT_FP8QuantizeLinear (x, scale)
  y = trt.TRT_FP8DequantizeLinear (q, scale)
}"""


@pytest.mark.parametrize("engine", ["ort", "reference"])
def test_fp8_saturates_and_divides_in_float32(engine):
    x, s = wide(64, 256, seed=1), np.float32(np.float16(0.0371))
    (y,) = run(FP8, x, engine)
    q = np.clip(x.astype(np.float32) / s, -448, 448).astype(ml_dtypes.float8_e4m3fn)
    np.testing.assert_array_equal(np.asarray(y, np.float16), (q.astype(np.float32) * s).astype(np.float16))


MXFP8 = """<ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
g (float16[R, K] x) => (float[R, K] values, float[R, N] exponents, float16[R, K] y) {
  q, e = trt.TRT_MXFP8DynamicQuantize <axis = -1, block_size = 32, output_dtype = 17> (x)
  y = trt.TRT_MXFP8DequantizeLinear <axis = -1, block_size = 32, output_dtype = 10> (q, e)
  values = Cast <to = 1> (q)
  exponents = Cast <to = 1> (e)
}"""


@pytest.mark.parametrize("engine", ["ort", "reference"])
def test_mxfp8_takes_the_smallest_power_of_two_that_covers_the_block(engine):
    x = wide(64, 256, seed=2)
    x[3, :32] = 448  # ratio exactly 1: the exponent is 0, not 1
    values, exponents, y = run(MXFP8, x, engine, "trt-types")
    blocks = x.astype(np.float64).reshape(64, -1, 32)
    peak = np.abs(blocks).max(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        e = np.clip(np.ceil(np.log2(peak / 448)), -127, 127)
    q = (blocks * 2.0**-e).astype(np.float32).astype(ml_dtypes.float8_e4m3fn).astype(np.float64)
    np.testing.assert_array_equal(exponents, (e + 127)[..., 0])
    np.testing.assert_array_equal(values, q.reshape(x.shape))
    np.testing.assert_array_equal(np.asarray(y, np.float16), (q * 2.0**e).reshape(x.shape).astype(np.float16))


def test_an_operator_without_a_reference_is_refused_by_name(exports):
    with pytest.raises(graphfix.PassError, match="TRT_FP4QDQ"):
        graphfix.apply(exports["sd3_nvfp4_20_raw"].path, "emulate")
