"""Every rule on the way up, as a model before and after. The text of the model is the specification."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import graphfix


def run(model, **feeds):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, feeds)


def model_at(opset, signature, body, ir_version=8):
    return onnx.parser.parse_model(f'<ir_version: {ir_version}, opset_import: ["" : {opset}]> g {signature} {{ {body} }}')


def migrated(model, target=23):
    fixed = graphfix.apply(model, f"opset{target}").model
    onnx.checker.check_model(fixed, full_check=True)
    return fixed


def written(model):
    """Each node as ``outputs = Op <attributes> (inputs)``, with constants written in place."""
    constants, lines = {}, []
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = str(onnx.numpy_helper.to_array(node.attribute[0].t).tolist())
            continue
        attributes = ", ".join(f"{a.name} = {value(a)}" for a in sorted(node.attribute, key=lambda a: a.name))
        inputs = ", ".join(constants.get(name, name) for name in node.input)
        lines.append(f"{', '.join(node.output)} = {node.op_type} {f'<{attributes}> ' if attributes else ''}({inputs})")
    return lines


def value(attribute):
    held = onnx.helper.get_attribute_value(attribute)
    return held.decode() if isinstance(held, bytes) else round(held, 5) if isinstance(held, float) else held


F = "(float[2,3,4] x) => (float[A,B,C] y)"
IMAGE = "(float[1,1,4,6] x) => (float[N,M,H,W] y)"

# (opset, signature, before, target, after)
REWRITES = {
    "concat axis": (1, "(float[2,3] x) => (float[2,6] y)", "y = Concat (x, x)", 4, ["y = Concat <axis = 1> (x, x)"]),
    "reshape shape": (1, F, "y = Reshape <shape = [4, 3, 2]> (x)", 9, ["y = Reshape (x, [4, 3, 2])"]),
    "reshape shape, before Constant held integers": (
        1,
        F,
        "y = Reshape <shape = [4, 3, 2]> (x)",
        7,
        ["y_shape_out = Cast <to = 7> ([4.0, 3.0, 2.0])", "y = Reshape (x, y_shape_out)"],
    ),
    "consumed inputs": (1, F, "y = Relu <consumed_inputs = [0]> (x)", 6, ["y = Relu (x)"]),
    "cast by number": (1, "(float[2] x) => (int64[2] y)", 'y = Cast <to = "INT64"> (x)', 6, ["y = Cast <to = 7> (x)"]),
    "selu defaults": (1, F, "y = Selu (x)", 6, ["y = Selu <alpha = 1.6732, gamma = 1.0507> (x)"]),
    "pad paddings": (1, "(float[2,3] x) => (float[4,3] y)", "y = Pad <paddings = [1,0,1,0]> (x)", 2, ["y = Pad <pads = [1, 0, 1, 0]> (x)"]),
    "broadcast in the middle": (
        6,
        "(float[2,3,4] a, float[3] b) => (float[2,3,4] y)",
        "y = Add <broadcast = 1, axis = 1> (a, b)",
        7,
        ["y_aligned_out = Unsqueeze <axes = [1]> (b)", "y = Add (a, y_aligned_out)"],
    ),
    "one slope for each channel": (
        6,
        "(float[2,3,4,5] x, float[3] s) => (float[2,3,4,5] y)",
        "y = PRelu (x, s)",
        7,
        ["y_aligned_out = Unsqueeze <axes = [1, 2]> (s)", "y = PRelu (x, y_aligned_out)"],
    ),
    "upsample": (
        7,
        IMAGE,
        'y = Upsample <mode = "linear", scales = [1., 1., 2., 1.5]> (x)',
        11,
        ["y = Resize <coordinate_transformation_mode = asymmetric, mode = linear> (x, [], [1.0, 1.0, 2.0, 1.5])"],
    ),
    "slice": (9, F, "y = Slice <starts = [1], ends = [3], axes = [2]> (x)", 10, ["y = Slice (x, [1], [3], [2])"]),
    "topk": (9, "(float[4] x) => (float[2] y, int64[2] i)", "y, i = TopK <k = 2> (x)", 10, ["y, i = TopK (x, [2])"]),
    "clip": (10, F, "y = Clip <min = 0.0, max = 6.0> (x)", 11, ["y = Clip (x, 0.0, 6.0)"]),
    "clip below": (10, F, "y = Clip <max = 6.0> (x)", 11, ["y = Clip (x, , 6.0)"]),
    "pad value": (10, "(float[2] x) => (float[4] y)", "y = Pad <pads = [1, 1], value = 2.5> (x)", 11, ["y = Pad (x, [1, 1], 2.5)"]),
    "pad without value": (
        10,
        "(float[3] x) => (float[5] y)",
        'y = Pad <mode = "reflect", pads = [1, 1], value = 2.5> (x)',
        11,
        ["y = Pad <mode = reflect> (x, [1, 1])"],
    ),
    "scatter": (
        10,
        "(float[3] x, int64[1] i, float[1] u) => (float[3] y)",
        "y = Scatter (x, i, u)",
        11,
        ["y = ScatterElements (x, i, u)"],
    ),
    "dropout": (10, F, "y = Dropout <ratio = 0.25> (x)", 12, ["y = Dropout (x, 0.25)"]),
    "softmax on the last axis": (12, F, "y = Softmax <axis = 2> (x)", 13, ["y = Softmax <axis = -1> (x)"]),
    "softmax by default": (
        12,
        F,
        "y = Softmax (x)",
        13,
        [
            "y_shape_out = Shape (x)",
            "y_matrix_out = Flatten (x)",
            "y_inner = Softmax <axis = -1> (y_matrix_out)",
            "y = Reshape (y_inner, y_shape_out)",
        ],
    ),
    "squeeze": (12, "(float[1,3] x) => (float[3] y)", "y = Squeeze <axes = [0]> (x)", 13, ["y = Squeeze (x, [0])"]),
    "split": (
        12,
        "(float[4] x) => (float[1] a, float[3] b)",
        "a, b = Split <split = [1, 3]> (x)",
        18,
        ["a, b = Split (x, [1, 3])"],
    ),
    "even split": (17, "(float[4] x) => (float[2] a, float[2] b)", "a, b = Split (x)", 18, ["a, b = Split <num_outputs = 2> (x)"]),
    "reduce": (17, F, "y = ReduceMax <axes = [1]> (x)", 18, ["y = ReduceMax (x, [1])"]),
    "reduce all": (17, F, "y = ReduceMax (x)", 18, ["y = ReduceMax (x)"]),
    "dft by default": (17, "(float[1,8,1] x) => (float[1,8,2] y)", "y = DFT (x)", 20, ["y = DFT (x, , 1)"]),
    "grid sample": (
        16,
        "(float[1,1,4,4] x, float[1,2,2,2] g) => (float[1,1,2,2] y)",
        'y = GridSample <mode = "bilinear"> (x, g)',
        20,
        ["y = GridSample <mode = linear> (x, g)"],
    ),
    "quantize integers": (
        13,
        "(int32[2] x, float s) => (uint8[2] y)",
        "y = QuantizeLinear (x, s)",
        19,
        ["y_float_out = Cast <to = 1> (x)", "y = QuantizeLinear (y_float_out, s)"],
    ),
}


@pytest.mark.parametrize("case", REWRITES)
def test_rewritten(case):
    opset, signature, before, target, after = REWRITES[case]
    assert written(migrated(model_at(opset, signature, before), target)) == after


@pytest.mark.parametrize("kind", ["float16", "double"])
def test_constants_have_the_type_of_the_data(kind):
    model = model_at(10, f"({kind}[2] x) => ({kind}[4] y)", "a = Clip <min = 0.0> (x) y = Pad <pads = [1, 1], value = 1.0> (a)")
    held = [onnx.numpy_helper.to_array(n.attribute[0].t) for n in migrated(model).graph.node if n.op_type == "Constant"]
    assert [a.dtype for a in held] == [kind, np.int64, kind] or [a.dtype for a in held] == [
        kind.replace("double", "float64"),
        "int64",
        "float64",
    ]


@pytest.mark.parametrize("scales", [[1, 1, 2, 2], [1, 1, 1.5, 2.6], [1, 1, 0.6, 0.4], [1, 1, 0.7, 1.7]])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("known", [True, False])
def test_resize_keeps_its_pixels(scales, mode, known):
    signature = "(float[1,1,4,6] x, float[4] s) => (float[N,M,H,W] y)"
    model = model_at(10, signature, f'y = Resize <mode = "{mode}"> (x, s)')
    feeds = {"x": np.random.default_rng(0).standard_normal((1, 1, 4, 6)).astype(np.float32), "s": np.array(scales, np.float32)}
    if known:
        model.graph.initializer.append(onnx.numpy_helper.from_array(feeds.pop("s"), "s"))
        del model.graph.input[1:]
    np.testing.assert_array_equal(run(migrated(model), **feeds)[0], run(model, **feeds)[0])


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("shape", ["2,3,4", "A,B,C"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax_and_its_kin_keep_their_numbers(op, shape, axis):
    model = model_at(11, f"(float[{shape}] x) => (float[{shape}] y)", f"y = {op} <axis = {axis}> (x)")
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(run(migrated(model), x=x)[0], run(model, x=x)[0])


def test_roi_align_keeps_its_pixels():
    signature = "(float[1,1,6,6] x, float[1,4] r, int64[1] i) => (float[1,1,2,2] y)"
    model = model_at(10, signature, "y = RoiAlign <output_height = 2, output_width = 2> (x, r, i)")
    feeds = {"x": np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6), "r": np.array([[0, 1, 4, 5]], np.float32), "i": np.array([0])}
    np.testing.assert_array_equal(run(migrated(model, 21), **feeds)[0], run(model, **feeds)[0])


def test_a_mask_that_is_used_keeps_its_type():
    model = model_at(9, "(float[2] x) => (float[2] y, float[2] m)", "y, m = Dropout (x)")
    fixed = migrated(model)
    assert written(fixed)[-1] == "m = Cast <to = 1> (m_inner)"
    assert [v.name for v in fixed.graph.output] == ["y", "m"]


def test_normalization_of_each_activation_is_written_out():
    signature = "(float[2,3,4] x, float[3,4] s, float[3,4] b, float[3,4] m, float[3,4] v) => (float[2,3,4] y)"
    model = model_at(7, signature, "[norm] y = BatchNormalization <spatial = 0, epsilon = 0.01> (x, s, b, m, v)")
    rng = np.random.default_rng(0)
    feeds = {k: rng.uniform(0.5, 2, (2, 3, 4) if k == "x" else (3, 4)).astype(np.float32) for k in "xsbmv"}
    fixed = migrated(model)
    np.testing.assert_allclose(run(fixed, **feeds)[0], run(model, **feeds)[0], rtol=1e-5)
    assert fixed.graph.node[-1].name == "norm"


def test_training_is_asked_for_by_name():
    signature = "(float[2,3] x, float[3] s, float[3] b, float[3] m, float[3] v) => (float[2,3] y, float[3] om, float[3] ov)"
    model = model_at(9, signature, "y, om, ov, sm, sv = BatchNormalization (x, s, b, m, v)")
    assert written(migrated(model)) == ["y, om, ov = BatchNormalization <training_mode = 1> (x, s, b, m, v)"]


def test_a_scan_over_a_batch_is_a_scan_in_a_scan():
    signature = "(float[2,1] s, float[2,3,1] x) => (float[2,1] final, float[2,3,1] sums)"
    body = "final, sums = Scan <num_scan_inputs = 1, body = b (float[1] a, float[1] e) => (float[1] t, float[1] o) "
    model = model_at(8, signature, body + "{ t = Add (a, e) o = Identity (t) }> (, s, x)")
    x = np.arange(6, dtype=np.float32).reshape(2, 3, 1)
    final, sums = run(migrated(model), s=np.zeros((2, 1), np.float32), x=x)
    np.testing.assert_array_equal(sums, np.cumsum(x, axis=1))
    np.testing.assert_array_equal(final, x.sum(axis=1))


REFUSALS = {
    "sequence lengths": (8, 9, "(int64[2] n, float[2,3,1] x) => (float[2,3,1] y)", "Scan", "sequence_lens"),
    "training in Dropout": (6, 7, F, "Dropout", "is_test=0"),
    "integer logarithms": (27, 28, "(int64[2] x) => (int64 y)", "ReduceLogSum", "cast-integers"),
    "unknown ranks": (6, 7, "(float a, float b) => (float y)", "Add", "ranks are unknown"),
}
BODIES = {
    "Scan": "y = Scan <num_scan_inputs = 1, body = b (float[1] e) => (float[1] o) { o = Identity (e) }> (n, x)",
    "Dropout": "y = Dropout (x)",
    "ReduceLogSum": "y = ReduceLogSum <keepdims = 0> (x)",
    "Add": "y = Add <broadcast = 1, axis = 1> (a, b)",
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_has_no_exact_form_is_refused_by_name(case):
    opset, target, signature, op, why = REFUSALS[case]
    model = model_at(opset, signature, BODIES[op])
    for entry in model.graph.input if case == "unknown ranks" else ():
        entry.type.tensor_type.ClearField("shape")
    with pytest.raises(graphfix.PassError, match=rf"(?s)to migrate {op}.*where:.*{op}.*{why}"):
        graphfix.apply(model, f"opset{target}")


def test_integer_logarithms_are_cast_when_asked():
    model = model_at(27, "(int64[2] x) => (int64 y)", BODIES["ReduceLogSum"])
    fixed = graphfix.apply(model, "opset{target=28,cast-integers=true}").model
    assert [n.op_type for n in fixed.graph.node] == ["Cast", "ReduceLogSum", "Cast"]


def test_what_belongs_to_a_node_stays():
    text = "[sm] y = Softmax <axis = 1> (x)"
    model = model_at(12, F, text)
    model.graph.node[0].doc_string = "why it is here"
    model.graph.node[0].metadata_props.add(key="layer", value="7")
    (kept,) = [n for n in migrated(model).graph.node if n.op_type == "Softmax"]
    assert (kept.name, kept.doc_string, kept.metadata_props[0].value) == ("sm", "why it is here", "7")


def test_rewritten_nodes_come_first_and_say_why():
    result = graphfix.apply(model_at(12, F, "a = Relu (x) y = Softmax (a)"), "opset23")
    assert [c.what for c in result.changes] == ["rewrite", "operator version", "import ''", "IR version"]
    assert result.changes[0].where == "(unnamed, makes 'y') (Softmax)"
    assert result.changes[0].why.startswith("rewritten at 13 by softmax_axis: ")
