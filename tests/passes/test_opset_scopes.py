"""Branches, functions, custom operators, old and odd files: each migrated where it stands, with nothing lost."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

import graphfix


def run(model, **feeds):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, feeds)


X = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)

FUNCTION = """<ir_version: 8, opset_import: ["" : 13, "my" : 1]>
g (float[2,3,4] x) => (float[2,1,4] y, float[2,3,1] z) {
  y = my.Mean <over = [1]> (x)
  z = my.Mean <over = [2]> (x)
}
<domain: "my", opset_import: ["" : 13]>
Mean <over> (x) => (y) {
  y = ReduceMean <axes: ints = @over> (x)
}"""


def test_an_attribute_that_refers_to_the_function_still_does():
    model = onnx.parser.parse_model(FUNCTION)
    fixed = graphfix.apply(model, "opset23").model
    onnx.checker.check_model(fixed, full_check=True)
    (function,) = fixed.functions
    assert [n.op_type for n in function.node] == ["Constant", "ReduceMean"]
    assert function.node[0].attribute[0].ref_attr_name == "over"
    for before, after in zip(run(model, x=X), run(fixed, x=X), strict=True):
        np.testing.assert_array_equal(after, before)


def test_a_call_that_leaves_the_attribute_out_is_a_reason_to_refuse():
    model = onnx.parser.parse_model(FUNCTION.replace("z = my.Mean <over = [2]> (x)", "z = my.Mean (x)"))
    with pytest.raises(graphfix.PassError, match=r"(?s)ReduceMean.*function my::Mean.*a call leaves out"):
        graphfix.apply(model, "opset23")


CALLS = """<ir_version: 8, opset_import: ["" : 10, "my" : 1]>
g (KIND[4] x) => (KIND[4] y) { y = my.Limit (x) }
<domain: "my", opset_import: ["" : 10]>
Limit (x) => (y) { y = Clip <min = 0.0, max = 1.0> (x) }"""


@pytest.mark.parametrize(("kind", "number"), [("float", 1), ("float16", 10), ("double", 11)])
def test_calls_tell_a_function_its_types(kind, number):
    fixed = graphfix.apply(onnx.parser.parse_model(CALLS.replace("KIND", kind)), "opset23").model
    assert [n.attribute[0].t.data_type for n in fixed.functions[0].node if n.op_type == "Constant"] == [number, number]


def test_calls_that_disagree_on_types_are_a_reason_to_refuse():
    text = CALLS.replace("KIND", "float").replace("y = my.Limit (x)", "y = my.Limit (x) d = Cast <to = 11> (x) e = my.Limit (d)")
    with pytest.raises(graphfix.PassError, match=r"(?s)Clip.*function my::Limit.*type of input 0 is unknown"):
        graphfix.apply(onnx.parser.parse_model(text), "opset23")


NESTED = """<ir_version: 8, opset_import: ["" : 12, "any" : 1]>
g (bool c, float[2,3,4] x) => (float[2,3,4] y) {
  s = Softmax <axis = 1> (x)
  y = If (c) <
    then_branch = a () => (float[2,3,4] t) {
      t = If (c) <
        then_branch = aa () => (float[2,3,4] tt) { tt = Softmax <axis = 1> (s) },
        else_branch = ab () => (float[2,3,4] te) { te = Identity (s) }
      >
    },
    else_branch = d () => (float[2,3,4] e) { e = Identity (s) }
  >
}"""


@pytest.mark.parametrize("condition", [True, False])
def test_a_result_that_branches_capture_keeps_its_name(condition):
    model = onnx.parser.parse_model(NESTED)
    fixed = graphfix.apply(model, "opset23").model
    onnx.checker.check_model(fixed, full_check=True)
    feeds = {"c": np.array(condition), "x": X}
    np.testing.assert_array_equal(run(fixed, **feeds)[0], run(model, **feeds)[0])


def test_bodies_of_custom_operators_are_migrated():
    text = """<ir_version: 8, opset_import: ["" : 13, "any" : 1]> g (float[2,3] x) => (float[2,3] y) {
  y = any.Wrap (x) <body = b () => (float[2,1] t) { t = ReduceMean <axes = [1]> (x) }> }"""
    inner = graphfix.apply(onnx.parser.parse_model(text), "opset23").model.graph.node[0].attribute[0].g
    assert [n.op_type for n in inner.node] == ["Constant", "ReduceMean"]


def test_both_spellings_of_the_default_domain_are_one():
    text = """<ir_version: 8, opset_import: ["ai.onnx" : 13]> g (float[2,3] x) => (float[2,1] y) { y = ReduceMean <axes = [1]> (x) }"""
    model = onnx.parser.parse_model(text)
    model.graph.node[0].domain = "ai.onnx"
    fixed = graphfix.apply(model, "opset23").model
    assert [n.op_type for n in fixed.graph.node] == ["Constant", "ReduceMean"]
    assert [(e.domain, e.version) for e in fixed.opset_import] == [("ai.onnx", 23)]


def test_a_node_newer_than_the_declared_opset_is_left_as_it_is():
    text = """<ir_version: 9, opset_import: ["" : 20]>
g (int8[4,32] q, float16[4,2] s) => (float16[4,32] y) { y = DequantizeLinear <axis = 1, block_size = 16> (q, s) }"""
    fixed = graphfix.apply(onnx.parser.parse_model(text), "opset23").model
    onnx.checker.check_model(fixed, full_check=True)
    assert {a.name for a in fixed.graph.node[0].attribute} == {"axis", "block_size"}


def test_ir_3_models_gain_no_initializers():
    text = """<ir_version: 3, opset_import: ["" : 7]>
g (float[2,3] x, float[3] w) => (float[4,3] y) <float[3] w = {1, 2, 3}> { a = Add (x, w) y = Pad <pads = [1, 0, 1, 0], value = 1.5> (a) }"""
    model = onnx.parser.parse_model(text)
    if [v.name for v in model.graph.input] == ["x"]:
        model.graph.input.append(helper.make_tensor_value_info("w", 1, [3]))
    fixed = graphfix.apply(model, "opset23").model
    onnx.checker.check_model(fixed, full_check=True)
    assert [i.name for i in fixed.graph.initializer] == ["w"]
    np.testing.assert_array_equal(run(fixed, x=X[0, :2, :3])[0], run(model, x=X[0, :2, :3])[0])


def test_sparse_weights_annotations_and_training_info_survive():
    text = (
        """<ir_version: 8, opset_import: ["" : 12]> g (float[2,3,4] x) => (float[2,3,4] y) { s = Softmax <axis = 1> (x) y = Mul (s, w) }"""
    )
    model = onnx.parser.parse_model(text)
    values, places = helper.make_tensor("w", 1, [1], [2.0]), helper.make_tensor("p", 7, [1], [3])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [4]))
    annotation = model.graph.quantization_annotation.add(tensor_name="s")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="w")
    model.training_info.add().initialization.name = "start"
    fixed = graphfix.apply(model, "opset23").model
    assert fixed.graph.sparse_initializer[0].values.name == "w"
    assert [(a.tensor_name, a.quant_parameter_tensor_names[0].value) for a in fixed.graph.quantization_annotation] == [("s", "w")]
    assert fixed.training_info[0].initialization.name == "start"


def test_names_do_not_clash_with_names_in_any_scope():
    model = onnx.parser.parse_model(
        NESTED.replace("(float[2,3,4] te) { te = Identity (s) }", "(float[2,3,4] s_shape_out) { s_shape_out = Identity (s) }")
    )
    fixed = graphfix.apply(model, "opset23").model
    onnx.checker.check_model(fixed, full_check=True)
    assert [n.output[0] for n in fixed.graph.node if n.op_type == "Shape"] == ["s_shape_out_1"]


def test_external_weights_are_not_read(tmp_path):
    text = (
        """<ir_version: 8, opset_import: ["" : 12]> g (float[2,3,4] x) => (float[2,3,4] y) { s = Softmax <axis = 1> (x) y = Mul (s, w) }"""
    )
    model = onnx.parser.parse_model(text)
    tensor = model.graph.initializer.add(name="w", data_type=1, dims=[1 << 40], data_location=onnx.TensorProto.EXTERNAL)
    for key, value in {"location": "nowhere.bin", "offset": "0", "length": str(4 << 40)}.items():
        tensor.external_data.add(key=key, value=value)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    (tmp_path / "nowhere.bin").write_bytes(b"")
    with pytest.raises(graphfix.GraphfixError, match=r"nowhere\.bin"):
        graphfix.apply(path, "opset23")  # too short: said from the file's size, not by reading
    fixed = graphfix.apply(model, "opset23").model
    assert fixed.graph.initializer[0].external_data[0].value == "nowhere.bin"
