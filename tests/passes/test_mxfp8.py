"""mxfp8: what the operators computed, computed by operators that deploy."""

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

import graphfix
from graphfix import io
from graphfix_passes import mxfp8

HEAD = """
<ir_version: 11, opset_import: ["": 23, "trt": 1]>
g (float16[N,3,64] x) => (float16[N,3,M] y)
{
"""
ACTIVATION = """
  q, e = trt.TRT_MXFP8DynamicQuantize <axis = -1, block_size = 32, output_dtype = 17> (x)
  y = trt.TRT_MXFP8DequantizeLinear <axis = -1, block_size = 32, output_dtype = 10> (q, e)
}
"""
WEIGHT = """
  w = trt.TRT_MXFP8DequantizeLinear <axis = -1, block_size = 32, output_dtype = 10> (W, S)
  t = Transpose <perm = [1, 0]> (w)
  y = MatMul (x, t)
}
"""
EMULATE = "fp4-qdq,trt-types,opset-imports,emulate{engine=reference}"


def run(model: ir.Model, x: np.ndarray) -> np.ndarray:
    return ReferenceEvaluator(io.to_proto(model)).run(None, {"x": x})[0]


def awkward_values() -> np.ndarray:
    """Blocks of every size that float16 has: zeros, subnormals, exact powers of two times 448 and their neighbours."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((20, 3, 64)) * np.exp2(rng.integers(-24, 12, (20, 3, 1)))).astype(np.float16)
    x[0, 0, :32] = 0
    for i, power in enumerate(range(-20, 8)):
        edge = np.float16(448 * 2.0**power)
        row = x[1 + i // 6, i % 3, 32 * (i // 3 % 2) :][:32]
        row[:] = np.clip(row, -edge, edge)
        row[3] = [edge, np.nextafter(edge, np.float16(np.inf)), np.nextafter(edge, np.float16(0))][i % 3]
    return x


def test_rounded_activations_are_bit_identical_to_the_operators(from_text, nodes_of, apply_twice):
    x = awkward_values()
    model = from_text(HEAD + ACTIVATION.replace("y =", "z =").replace("(q, e)", "(q, e)\n  y = Neg (z)"))
    ours = apply_twice(model, "mxfp8").model
    assert not [line for line in nodes_of(ours) if "trt::" in line]
    np.testing.assert_array_equal(run(ours, x), run(graphfix.apply(model, EMULATE).model, x))


def test_activations_can_stay_as_they_are(from_text, nodes_of, apply_twice):
    applied = apply_twice(from_text(HEAD + ACTIVATION), "mxfp8{activations=float}")
    assert nodes_of(applied.model) == ["Identity(FLOAT16) -> FLOAT16"]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(("exponents", "kind"), [((103, 142), "FLOAT16"), ((80, 200), "FLOAT")])
def test_weights_get_exact_scales_in_the_smallest_type_that_holds_them(from_text, nodes_of, apply_twice, exponents, kind):
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((4, 64)).astype(ml_dtypes.float8_e4m3fn)
    scales = rng.choice(np.array(exponents, np.uint8), (4, 2))
    model = from_text(HEAD + WEIGHT, W=codes, S=scales)
    ours = apply_twice(model, "mxfp8").model
    assert nodes_of(ours)[0] == f"DequantizeLinear(FLOAT8E4M3FN, {kind}) -> {kind}"
    x = np.eye(64, dtype=np.float16)[None, :3] * np.float16(1)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(run(ours, x), run(graphfix.apply(model, EMULATE).model, x))


def test_a_raw_weight_is_quantized(from_text, nodes_of, tmp_path, apply_twice):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 64)).astype(np.float16)
    weight[0, :32], weight[1, 0], weight[1, 1:32] = 0, 448, 1
    model = from_text(HEAD + WEIGHT, W=weight, S=np.float16(1))
    ours = apply_twice(model, "mxfp8").model
    assert nodes_of(ours)[0] == "DequantizeLinear(FLOAT8E4M3FN, FLOAT) -> FLOAT"
    codes, scales = mxfp8.quantize(weight, 32)
    assert scales[1, 0] == 1
    peaks = np.abs(weight.astype(np.float32)).reshape(4, 2, 32).max(-1)
    assert (peaks <= 448 * scales).all()
    assert ((peaks > 224 * scales) | (peaks == 0)).all()
    error = np.abs(codes.astype(np.float32).reshape(4, 2, 32) * scales[..., None] - weight.astype(np.float32).reshape(4, 2, 32))
    assert (error <= np.maximum(np.abs(weight.astype(np.float32)).reshape(4, 2, 32) / 16, scales[..., None] * 2**-10)).all()


def test_a_partial_block_is_refused(from_text):
    with pytest.raises(graphfix.PassError, match="blocks of 32 along axis -1"):
        graphfix.apply(from_text(HEAD.replace("64", "48") + ACTIVATION), "mxfp8")


def test_the_export_is_bit_identical_under_the_reference_evaluator(exports, tmp_path, apply_twice):
    export = exports["sd3_mxfp8_20"]
    from tests.conftest import inputs_for

    def output(passes: str, name: str) -> np.ndarray:
        path = graphfix.apply(export.path, f"{passes},{EMULATE}").save(tmp_path / name).path
        model = onnx.load(path)
        types = {i.name: np.float16 for i in model.graph.input}
        return ReferenceEvaluator(model).run(None, inputs_for(export, list(types), types))[0]

    np.testing.assert_array_equal(output("opset23,mxfp8", "ours.onnx"), output("opset23", "theirs.onnx"))
