"""opset-imports and init-inputs."""

import onnx
import pytest

import graphfix


def imports(model):
    return [(e.domain, e.version) for e in model.opset_import]


def relu(*pairs, domain=""):
    model = onnx.parser.parse_model('<ir_version: 9, opset_import: ["" : 20]> g (float[1] x) => (float[1] y) { y = Relu (x) }')
    model.graph.node[0].domain = domain
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*pair) for pair in pairs)
    return model


def test_a_missing_domain_is_imported():
    result = graphfix.apply(relu(("", 20), domain="trt"), "opset-imports")
    assert imports(result.model) == [("", 20), ("trt", 1)]
    assert [(c.what, c.before, c.after) for c in result.changes] == [("import 'trt'", "missing", "1")]


def test_duplicates_merge_and_the_last_counts_as_in_onnx_runtime():
    result = graphfix.apply(relu(("", 20), ("ai.onnx", 21), ("trt", 1), ("trt", 1)), "opset-imports")
    assert imports(result.model) == [("", 21), ("trt", 1)]
    assert [(c.what, c.before, c.after) for c in result.changes] == [("import ''", "20 and 21", "21"), ("import 'trt'", "1 and 1", "1")]


def test_unused_imports_stay_unless_asked():
    model = relu(("", 20), ("ai.onnx.ml", 3))
    assert not graphfix.apply(model, "opset-imports").changes
    assert imports(graphfix.apply(model, "opset-imports{prune}").model) == [("", 20)]


def test_versions_can_be_set_but_not_the_default_domains():
    model = relu(("", 20), ("com.microsoft", 7))
    assert imports(graphfix.apply(model, "opset-imports{com.microsoft=1}").model) == [("", 20), ("com.microsoft", 1)]
    with pytest.raises(graphfix.PassError, match="--passes opset23"):
        graphfix.apply(model, "opset-imports{ai.onnx=23}")


def test_a_default_domain_without_a_version_is_refused():
    with pytest.raises(graphfix.PassError, match="nothing says which version"):
        graphfix.apply(relu(("trt", 1)), "opset-imports")


def test_everything_else_in_the_header_survives():
    model = relu(("", 20), domain="trt")
    model.producer_name, model.producer_version, model.model_version, model.doc_string = "pytorch", "2.13", 7, "doc"
    onnx.helper.set_model_props(model, {"a": "b"})
    fixed = graphfix.apply(model, "trtrtx").model
    assert (fixed.producer_name, fixed.producer_version, fixed.model_version, fixed.doc_string) == ("pytorch", "2.13", 7, "doc")
    assert {p.key: p.value for p in fixed.metadata_props}["a"] == "b"


WEIGHT_INPUT = """<ir_version: {ir}, opset_import: ["" : 20]>
g (float[1] w, float[1] x, float[1] v) => (float[1] y) <float[1] w = {{2}}, float[1] v = {{3}}> {{
  t = Mul (x, w)
  y = Add (t, v)
}}"""


def test_initializers_leave_the_inputs_and_the_rest_keeps_its_order(parse):
    result = graphfix.apply(parse(WEIGHT_INPUT.format(ir=9)), "init-inputs")
    assert [i.name for i in result.model.graph.input] == ["x"]
    assert {i.name for i in result.model.graph.initializer} == {"w", "v"}
    assert [c.where for c in result.changes] == ["w", "v"]


def test_ir_version_3_requires_the_listing(parse):
    assert not graphfix.apply(parse(WEIGHT_INPUT.format(ir=3)), "init-inputs").changes
