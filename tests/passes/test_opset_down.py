"""The way down: exact, or refused with operator, node and reason."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import graphfix


def run(model, **feeds):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, feeds)


def model_at(opset, signature, body):
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]> g {signature} {{ {body} }}')


F = "(float[2,3,4] x) => (float[A,B,C] y)"

# (opset, target, signature, before, operators after)
DOWN = {
    "a type and a default": (23, 18, F, "y = Cast <to = 1, saturate = 1> (x)", ["Cast"]),
    "axes": (18, 13, F, "a = Constant <value = int64[1] {1}> () y = ReduceMax (x, a)", ["Constant", "ReduceMax"]),
    "softmax on the last axis": (13, 11, F, "y = Softmax <axis = 2> (x)", ["Softmax"]),
    "softmax on another axis": (13, 11, F, "y = Softmax <axis = 1> (x)", ["Transpose", "Softmax", "Transpose"]),
    "shape of a part": (
        15,
        13,
        "(float[2,3,4] x) => (int64[1] y)",
        "y = Shape <start = 1, end = 2> (x)",
        ["Constant", "Constant", "Shape", "Slice"],
    ),
    "uneven split": (18, 17, "(float[5] x) => (float[3] a, float[2] y)", "a, y = Split <num_outputs = 2> (x)", ["Constant", "Split"]),
    "pads of some axes": (
        18,
        17,
        F,
        "p = Constant <value = int64[2] {1, 2}> () n = Constant <value = int64[1] {-1}> () y = Pad (x, p, , n)",
        ["Constant", "Constant", "Constant", "Pad"],
    ),
    "dft": (20, 19, "(float[1,8,1] x) => (float[1,8,2] y)", "y = DFT (x)", ["DFT"]),
}


@pytest.mark.parametrize("case", DOWN)
def test_taken_down(case):
    opset, target, signature, before, operators = DOWN[case]
    model = model_at(opset, signature, before)
    fixed = graphfix.apply(model, f"opset{target}").model
    onnx.checker.check_model(fixed, full_check=True)
    assert [n.op_type for n in fixed.graph.node] == operators
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for a, b in zip(run(model, x=x), run(fixed, x=x), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["float", "float16"])
@pytest.mark.parametrize("weights", [[1, 1, 2, 2, 3, 3], [1, 2, 3, 4, 5, 6]])
def test_group_normalization_per_channel_becomes_one_per_group(kind, weights):
    dtype = {"float": np.float32, "float16": np.float16}[kind]
    model = model_at(
        21, f"({kind}[2,6,4,4] x, {kind}[6] s, {kind}[6] b) => ({kind}[2,6,4,4] y)", "y = GroupNormalization <num_groups = 3> (x, s, b)"
    )
    feeds = {
        "x": np.random.default_rng(0).standard_normal((2, 6, 4, 4)).astype(dtype),
        "s": np.array(weights, dtype),
        "b": np.array(weights, dtype),
    }
    fixed = graphfix.apply(model, "opset20").model
    np.testing.assert_array_equal(run(fixed, **feeds)[0], run(model, **feeds)[0])


@pytest.mark.parametrize("scale", ["float", "float16"])
def test_quantization_in_float32_keeps_its_bits(scale):
    signature = f"({scale}[64,64] x, {scale} s, int8 z) => (int8[64,64] y)"
    model = model_at(23, signature, "y = QuantizeLinear <precision = 1> (x, s, z)")
    dtype = np.float16 if scale == "float16" else np.float32
    feeds = {"x": np.random.default_rng(0).standard_normal((64, 64)).astype(dtype), "s": np.array(0.0371, dtype), "z": np.array(0, np.int8)}
    fixed = graphfix.apply(model, "opset21").model
    onnx.checker.check_model(fixed, full_check=True)
    np.testing.assert_array_equal(run(fixed, **feeds)[0], run(model, **feeds)[0])


@pytest.mark.parametrize("target", [20, 21])
def test_up_and_down_again_is_where_it_was(target):
    body = "s = Softmax <axis = 1> (x) a = Constant <value = int64[1] {1}> () m = ReduceMean (s, a) y = Sub (s, m)"
    model = model_at(target, F, body)
    there = graphfix.apply(model, "opset23").model
    back = graphfix.apply(there, f"opset{target}").model
    assert onnx.printer.to_text(back.graph) == onnx.printer.to_text(model.graph)


REFUSALS = {
    "an operator": (24, 23, F, "y = Swish (x)", "Swish", "first appears"),
    "a type": (23, 20, "(int4[2] x, float s) => (float[2] y)", "y = DequantizeLinear (x, s)", "DequantizeLinear", r"tensor\(int4\)"),
    "bfloat16": (22, 21, "(bfloat16[2] x) => (bfloat16[2] y)", "y = Sin (x)", "Sin", r"tensor\(bfloat16\)"),
    "an attribute": (
        21,
        20,
        "(int8[2,32] x, float[2,2] s) => (float[2,32] y)",
        "y = DequantizeLinear <block_size = 16> (x, s)",
        "DequantizeLinear",
        "block_size",
    ),
    "a mode": (
        28,
        27,
        "(float[1,1,4,4] x) => (float[1,4,2,2] y)",
        'y = SpaceToDepth <blocksize = 2, mode = "CRD"> (x)',
        "SpaceToDepth",
        "DCR",
    ),
    "float16 division": (
        23,
        22,
        "(float16[2] x, float16 s) => (uint8[2] y)",
        "y = QuantizeLinear (x, s)",
        "QuantizeLinear",
        "divides in FLOAT16",
    ),
    "axes at run time": (18, 17, "(float[2,3] x, int64[1] a) => (float[M,N] y)", "y = ReduceMax (x, a)", "ReduceMax", "run time"),
    "pixel coordinates": (
        16,
        15,
        "(float[1,1,6,6] x, float[1,4] r, int64[1] i) => (float[1,1,1,1] y)",
        "y = RoiAlign (x, r, i)",
        "RoiAlign",
        "output_half_pixel",
    ),
    "below 11": (11, 10, F, "y = Clip (x)", "Clip", "Clip-11"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_has_no_older_form_is_refused(case):
    opset, target, signature, body, op, why = REFUSALS[case]
    model = model_at(opset, signature, body)
    with pytest.raises(graphfix.PassError, match=rf"(?s)to migrate {op} to opset.*where:.*\({op}\).*{why}"):
        graphfix.apply(model, f"opset{target}")
