"""opset23: every node with its proof; GroupNormalization and QuantizeLinear rewritten so that results stay the same bits."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import graphfix


def run(model, feeds):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, feeds)[0]


NUMPY = {"float": np.float32, "float16": np.float16, "double": np.float64}
SCALE, BIAS = [1.5, -2, 0.25], [0.5, 1, -1]


def with_initializers(text, **arrays):
    """A model from text, with arrays as initializers (the text syntax has no float16 literals)."""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in arrays.items())
    return model


def group_norm(channels="6", kind="float", epsilon=1e-5, weights="initializer"):
    """GroupNormalization with 3 groups; weights as initializers, shared with a second node, or as graph inputs."""
    inputs = f", {kind}[3] s, {kind}[3] b" if weights == "input" else ""
    second = "z = GroupNormalization <num_groups = 3, epsilon = 0.25> (y, s, b)" if weights == "shared" else "z = Identity (y)"
    text = f"""<ir_version: 9, opset_import: ["" : 20]>
g ({kind}[N, {channels}, H, W] x{inputs}) => ({kind}[N, {channels}, H, W] z) {{
  y = GroupNormalization <num_groups = 3, epsilon = {epsilon}> (x, s, b)
  {second}
}}"""
    arrays = {} if weights == "input" else {"s": np.array(SCALE, NUMPY[kind]), "b": np.array(BIAS, NUMPY[kind])}
    return with_initializers(text, **arrays)


@pytest.mark.parametrize("weights", ["initializer", "shared", "input"])
@pytest.mark.parametrize("channels", ["6", "3", "C"])
@pytest.mark.parametrize("kind", ["float", "float16", "double"])
@pytest.mark.parametrize("epsilon", [1e-5, 1e-2, 0.5])
def test_group_normalization_keeps_its_bits(channels, kind, epsilon, weights):
    model = group_norm(channels, kind, epsilon, weights)
    fixed = graphfix.apply(model, "opset23").model
    onnx.checker.check_model(fixed, full_check=True)
    dtype = NUMPY[kind]
    feeds = {"x": np.random.default_rng(0).standard_normal((2, 3 if channels == "3" else 6, 4, 4)).astype(dtype)}
    if weights == "input":
        feeds |= {"s": np.array(SCALE, dtype), "b": np.array(BIAS, dtype)}
    np.testing.assert_array_equal(run(fixed, feeds), run(model, feeds))


def test_known_channels_fold_and_unknown_ones_compute():
    folded = graphfix.apply(group_norm("6"), "opset23").model
    assert [n.op_type for n in folded.graph.node] == ["Constant", "Constant", "GroupNormalization", "Identity"]
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(folded.graph.node[0].attribute[0].t), [1.5, 1.5, -2, -2, 0.25, 0.25])
    computed = graphfix.apply(group_norm("C"), "opset23").model
    assert {"Shape", "Div", "Expand"} <= {n.op_type for n in computed.graph.node}


QUANTIZE = """<ir_version: 9, opset_import: ["" : {opset}]>
g (float16[64, 64] x) => (float16[64, 64] y) {{
  q = QuantizeLinear (x, s, z)
  y = DequantizeLinear (q, s, z)
}}"""


def quantize(opset, kind=np.float16):
    text = QUANTIZE.format(opset=opset)
    text = text if kind == np.float16 else text.replace("float16", "float")
    return with_initializers(text, s=np.array(0.0371, kind), z=np.array(0, np.int8))


@pytest.mark.parametrize("opset", [20, 21, 22])
def test_quantize_linear_keeps_dividing_in_float32(opset):
    model = quantize(opset)
    feeds = {"x": np.random.default_rng(0).standard_normal((64, 64)).astype(np.float16)}
    fixed = graphfix.apply(model, "opset23").model
    np.testing.assert_array_equal(run(fixed, feeds), run(model, feeds))
    plain = graphfix.apply(model, "opset{target=23,precision=false}").model
    assert (run(plain, feeds) != run(model, feeds)).any()


def test_a_float32_scale_needs_no_precision():
    model = quantize(20, np.float32)
    fixed = graphfix.apply(model, "opset23").model
    assert not [a for n in fixed.graph.node for a in n.attribute if a.name == "precision"]


def test_every_node_has_a_record_that_says_why():
    result = graphfix.apply(quantize(20), "opset23")
    assert [(c.where, c.before, c.after) for c in result.changes] == [
        ("(unnamed, makes 'q') (QuantizeLinear)", "QuantizeLinear-19", "QuantizeLinear-23"),
        ("(unnamed, makes 'y') (DequantizeLinear)", "DequantizeLinear-19", "DequantizeLinear-23"),
        ("main graph", "20", "23"),
        ("model", "9", "11"),
    ]
    rewritten, widened = (c.why for c in result.changes[:2])
    assert rewritten.startswith("rewritten at 23 by quantize_precision: precision=FLOAT")
    assert widened.startswith("schema-compatible (21: ")


WEIGHTS = {"s": np.array(SCALE, np.float16), "b": np.array(BIAS, np.float16)}
NESTED = """<ir_version: 9, opset_import: ["" : 20, "my" : 1]>
g (bool c, float16[2, 6, 4, 4] x) => (float16[2, 6, 4, 4] y) {
  y = If (c) <
    then_branch = a () => (float16[2, 6, 4, 4] t) {
      t = If (c) <
        then_branch = aa () => (float16[2, 6, 4, 4] tt) { tt = GroupNormalization <num_groups = 3> (x, s, b) },
        else_branch = ab () => (float16[2, 6, 4, 4] te) { te = Identity (x) }
      >
    },
    else_branch = d () => (float16[2, 6, 4, 4] e) { e = my.Norm (x, s, b) }
  >
}
<domain: "my", opset_import: ["" : 18]>
Norm (x, s, b) => (y) {
  y = GroupNormalization <num_groups = 3> (x, s, b)
}"""


@pytest.mark.parametrize("condition", [True, False])
def test_subgraphs_and_functions_are_migrated_in_place(condition):
    model = with_initializers(NESTED, **WEIGHTS)
    fixed = graphfix.apply(model, "opset23").model
    feeds = {"c": np.array(condition), "x": np.random.default_rng(0).standard_normal((2, 6, 4, 4)).astype(np.float16)}
    np.testing.assert_array_equal(run(fixed, feeds), run(model, feeds))
    assert [f.name for f in fixed.functions] == ["Norm"]
    assert {e.domain: e.version for e in fixed.functions[0].opset_import} == {"": 23}


def test_subgraphs_of_operators_that_nobody_knows_are_migrated_too(parse):
    text = """<ir_version: 9, opset_import: ["" : 20, "any" : 1]>
g (float[2, 6, 4, 4] x) => (float[2, 6, 4, 4] y) <float[3] s = {1, 2, 3}> {
  y = any.Op (x) <body = inner () => (float[2, 6, 4, 4] t) { t = GroupNormalization <num_groups = 3> (x, s, s) }>
}"""
    fixed = graphfix.apply(parse(text), "opset23").model
    inner = fixed.graph.node[0].attribute[0].g
    assert [n.op_type for n in inner.node] == ["Constant", "Constant", "GroupNormalization"]


def test_an_unknown_operator_is_refused_by_name(parse):
    text = """<ir_version: 9, opset_import: ["" : 20]>
g (float[1] x) => (float[1] y) { [who] y = TRT_FP4QDQ (x) }"""
    with pytest.raises(graphfix.PassError, match=r"TRT_FP4QDQ.*\n.*who \(TRT_FP4QDQ\)") as caught:
        graphfix.apply(parse(text), "opset23")
    assert isinstance(caught.value, RuntimeError)


def test_what_is_not_the_default_domains_is_left_alone(parse):
    text = """<ir_version: 9, opset_import: ["" : 20, "com.microsoft" : 1]>
g (float[1, 2] x) => (float[1, 2] y) { y = com.microsoft.Gelu <unknown = 3> (x) }"""
    fixed = graphfix.apply(parse(text), "opset23").model
    assert fixed.graph.node[0] == parse(text).graph.node[0]
    assert {e.domain: e.version for e in fixed.opset_import} == {"": 23, "com.microsoft": 1}


def test_ir_version_follows_and_never_falls(parse):
    text = '<ir_version: {ir}, opset_import: ["" : 20]> g (float[1] x) => (float[1] y) {{ y = Relu (x) }}'
    assert [graphfix.apply(parse(text.format(ir=ir)), "opset23").model.ir_version for ir in (9, 12)] == [11, 12]


def test_the_ai_onnx_spelling_is_the_same_domain(parse):
    text = '<ir_version: 9, opset_import: ["ai.onnx" : 20]> g (float[2] x) => (float[2] y) { y = ai.onnx.Softmax (x) }'
    fixed = graphfix.apply(parse(text), "opset23,opset-imports").model
    assert [(e.domain, e.version) for e in fixed.opset_import] == [("", 23)]
    onnx.checker.check_model(fixed, full_check=True)
