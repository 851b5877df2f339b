"""What the table says about ONNX Runtime is what the installed release says."""

import onnx
import onnxruntime as ort
import pytest

from graphfix.facts.runtimes import MEASURED, NO_CPU_KERNEL, RELEASES, oldest_release

pytestmark = pytest.mark.skipif(not ort.__version__.startswith(MEASURED), reason=f"the table was measured with {MEASURED}")

MODELS = {
    "Bernoulli": "(float[2] x) => (float[2] y) { y = Bernoulli (x) }",
    "DequantizeLinear": "(uint8[2] x, float s) => (float[2] y) { y = DequantizeLinear (x, s) }",
    "GlobalLpPool": "(float[1,1,2,2] x) => (float[1,1,1,1] y) { y = GlobalLpPool (x) }",
    "MaxRoiPool": "(float[1,1,4,4] x, float[1,5] r) => (float[1,1,2,2] y) { y = MaxRoiPool <pooled_shape = [2, 2]> (x, r) }",
    "Multinomial": "(float[1,3] x) => (int32[1,1] y) { y = Multinomial (x) }",
    "Optional": "(float[2] x) => (bool y) { o = Optional (x) y = OptionalHasElement (o) }",
    "OptionalGetElement": "(optional(float[2]) x) => (float[2] y) { y = OptionalGetElement (x) }",
    "OptionalHasElement": "(optional(float[2]) x) => (bool y) { y = OptionalHasElement (x) }",
    "QuantizeLinear": "(float[2] x, float s) => (uint8[2] y) { y = QuantizeLinear (x, s) }",
    "RandomNormal": "() => (float[2] y) { y = RandomNormal <shape = [2]> () }",
    "RandomNormalLike": "(float[2] x) => (float[2] y) { y = RandomNormalLike (x) }",
    "RandomUniform": "() => (float[2] y) { y = RandomUniform <shape = [2]> () }",
    "RandomUniformLike": "(float[2] x) => (float[2] y) { y = RandomUniformLike (x) }",
    "RoiAlign": "(float[1,1,4,4] x, float[1,4] r, int64[1] i) => (float[1,1,1,1] y) { y = RoiAlign (x, r, i) }",
}


def load(text, opset, ir_version=10):
    model = onnx.parser.parse_model(f'<ir_version: {ir_version}, opset_import: ["" : {opset}]> g {text}')
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("op", NO_CPU_KERNEL)
def test_the_kernel_is_lost_at_that_opset(op):
    assert load(MODELS[op], NO_CPU_KERNEL[op] - 1).get_outputs()
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.NotImplemented, match="Could not find an implementation"):
        load(MODELS[op], NO_CPU_KERNEL[op])


def test_the_newest_release_loads_what_its_row_says():
    newest = RELEASES[-1]
    identity = "(float[2] x) => (float[2] y) { y = Identity (x) }"
    assert load(identity, newest.opset, newest.ir_version).get_outputs()
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.Fail, match="IR version"):
        load(identity, newest.opset, newest.ir_version + 1)


def test_the_oldest_release_for_a_model():
    assert oldest_release(20, 9) == "1.19"
    assert oldest_release(23, 11) == "1.23"
    assert oldest_release(23, 11, frozenset({("QuantizeLinear", 23)})) == "1.24"
    assert oldest_release(20, 14) == "1.32"
    assert oldest_release(99, 11) is None
