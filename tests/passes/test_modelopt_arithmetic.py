"""The reference operators against ModelOpt's own quantizers on a CPU, bit for bit. Needs torch and nvidia-modelopt; skips without."""

import numpy as np
import onnx
import onnx.reference
import pytest

import graphfix

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
qtensor = pytest.importorskip("modelopt.torch.quantization.qtensor", reason="pip install nvidia-modelopt")


def inputs():
    """Random rows over eighteen octaves, blocks of zeros, exact ties, exact powers of two; float16 values, so that halves are exact too."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((128, 512)) * np.exp(rng.uniform(-6, 6, (128, 1)))
    x[0] = 0
    x[1, ::2] = 0
    x[2] = np.tile([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, 6], 64)
    x[3] = np.tile([448, 1, 224, 0.5], 128)
    return x.astype(np.float16)


def emulate(body, x, outputs):
    """Outputs of trt operators under onnx's evaluator, as float32 arrays."""
    text = f'<ir_version: 11, opset_import: ["" : 23, "trt" : 1]> g (float16[R, K] x) => ({outputs}) {{ {body} }}'
    model = graphfix.apply(onnx.parser.parse_model(text), "trt-types,emulate{engine=reference}").model
    return [np.asarray(y).astype(np.float32) for y in onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})]


@pytest.mark.parametrize("g", [0.0123, 1.0, 3e-4])
def test_nvfp4(g):
    x = inputs()
    body = f"""s = Constant <value_float = {g!r}> ()
      q, b = trt.TRT_FP4DynamicQuantize <axis = -1, block_size = 16, scale_type = 17> (x, s)
      values = Cast <to = 1> (q) scales = Cast <to = 1> (b)"""
    values, scales = emulate(body, x, "float[R, K] values, float[R, N] scales")
    given = torch.tensor(np.float32(g))
    quantized, block_scales, _ = qtensor.NVFP4QTensor.quantize(torch.from_numpy(x), 16, None, given)
    np.testing.assert_array_equal(scales, block_scales.to(torch.float32).numpy())
    packed = quantized._quantized_data.numpy()
    table = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
    theirs = np.stack([table[packed & 15], table[packed >> 4]], -1).reshape(x.shape)
    np.testing.assert_array_equal(values, theirs)


def test_mxfp8():
    x = inputs()
    body = """q, e = trt.TRT_MXFP8DynamicQuantize <axis = -1, block_size = 32, output_dtype = 17> (x)
      values = Cast <to = 1> (q) exponents = Cast <to = 1> (e)"""
    values, exponents = emulate(body, x, "float[R, K] values, float[R, N] exponents")
    quantized, scales = qtensor.MXFP8QTensor.quantize(torch.from_numpy(x))
    np.testing.assert_array_equal(exponents, scales.to(torch.float32).numpy())
    np.testing.assert_array_equal(values, quantized._quantized_data.to(torch.float32).numpy())


@pytest.mark.parametrize("s", [0.0371, 1.0, 2.5])
def test_fp8(s):
    """Inside the range: ModelOpt clamps before it divides, the operator saturates after."""
    x = np.clip(inputs().astype(np.float32), -448 * s, 448 * s).astype(np.float16)
    body = f"""s = Constant <value_float = {s!r}> () f = Cast <to = 1> (x)
      q = trt.TRT_FP8QuantizeLinear (f, s) values = Cast <to = 1> (q)"""
    (values,) = emulate(body, x, "float[R, K] values")
    quantized, _ = qtensor.FP8QTensor.quantize(torch.from_numpy(x).float(), torch.tensor(np.float32(s)).reshape(1, 1))
    np.testing.assert_array_equal(values, quantized._quantized_data.to(torch.float32).numpy())
