"""trt-types: by operator and port, whatever the tensors are called and whatever was declared."""

import onnx
import pytest

import graphfix

GRAPH = """<ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
g (float16[batch, 32] x) => (float16[batch, 32] y) {
  g = Constant <value_float = 0.01> ()
  h = Constant <value = float16 {14336}> ()
  q, s = trt.TRT_FP4DynamicQuantize <axis = -1, block_size = 16, scale_type = 17> (x, g)
  f = trt.TRT_FP8QuantizeLinear (x, h)
  y = trt.TRT_FP8DequantizeLinear (f, h)
}"""


def types(model):
    """Declared element type and shape of every intermediate value."""
    shown = {}
    for info in model.graph.value_info:
        kind = info.type.tensor_type
        dims = [d.dim_value or d.dim_param or "?" for d in kind.shape.dim] if kind.HasField("shape") else None
        shown[info.name] = (onnx.TensorProto.DataType.Name(kind.elem_type), dims)
    return shown


def test_types_and_shapes_come_from_the_contract(parse):
    assert types(graphfix.apply(parse(GRAPH), "trt-types").model) == {
        "q": ("FLOAT4E2M1", ["batch", 32]),
        "s": ("FLOAT8E4M3FN", ["batch", 2]),
        "f": ("FLOAT8E4M3FN", ["batch", 32]),
    }


@pytest.mark.parametrize("names", [("output_1", "output_0"), ("a_output_0/x_output_0", "a_output_0/x_output_1")])
def test_names_decide_nothing(parse, names):
    model = parse(GRAPH)
    for node in model.graph.node:
        for i, name in enumerate(node.output):
            node.output[i] = {"q": names[0], "s": names[1]}.get(name, name)
    found = types(graphfix.apply(model, "trt-types").model)
    assert [found[n][0] for n in names] == ["FLOAT4E2M1", "FLOAT8E4M3FN"]


@pytest.mark.parametrize("wrong", ["UINT8", "FLOAT", "UNDEFINED", "FLOAT4E2M1"])
def test_a_wrong_type_is_corrected_and_recorded(parse, wrong):
    model = parse(GRAPH)
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("s", onnx.TensorProto.DataType.Value(wrong), None))
    result = graphfix.apply(model, "trt-types")
    assert types(result.model)["s"] == ("FLOAT8E4M3FN", ["batch", 2])
    change = next(c for c in result.changes if c.where.endswith("(trt::TRT_FP4DynamicQuantize) output 1") and c.what == "element type")
    assert (change.before.replace("none", "UNDEFINED"), change.after) == (wrong, "FLOAT8E4M3FN")


def test_onnx_itself_knows_the_operators_afterwards(parse):
    graphfix.apply(parse(GRAPH), "trt-types")
    inferred = onnx.shape_inference.infer_shapes(parse(GRAPH), strict_mode=True, check_type=True)
    assert types(inferred)["q"] == ("FLOAT4E2M1", ["batch", 32])
    wrong = parse(GRAPH.replace("x, h)", "g, h)"))
    with pytest.raises(onnx.shape_inference.InferenceError):
        onnx.shape_inference.infer_shapes(wrong, strict_mode=True, check_type=True)


def test_axis_counts_from_either_end_and_defaults_to_one(parse):
    text = GRAPH.replace("float16[batch, 32] x", "float16[2, 64, 32] x").replace("float16[batch, 32] y", "float16[2, 64, 32] y")
    for axis, shape in (("axis = 2, ", [2, 64, 2]), ("axis = 1, ", [2, 4, 32]), ("", [2, 4, 32])):
        model = graphfix.apply(parse(text.replace("axis = -1, ", axis)), "trt-types").model
        assert types(model)["s"][1] == shape


def test_operators_in_functions_are_typed_without_shapes(parse):
    text = """<ir_version: 11, opset_import: ["" : 23, "my" : 1]>
g (float16[2, 32] x) => (float16[2, 32] y) { y = my.F (x) }
<domain: "my", opset_import: ["" : 23, "trt" : 1]>
F (x) => (y) {
  h = Constant <value = float16 {14336}> ()
  f = trt.TRT_FP8QuantizeLinear (x, h)
  y = trt.TRT_FP8DequantizeLinear (f, h)
}"""
    function = graphfix.apply(parse(text), "trt-types").model.functions[0]
    assert [(v.name, v.type.tensor_type.elem_type) for v in function.value_info] == [("f", 17), ("y", 10)]


def test_an_operator_that_the_table_does_not_know_is_left_to_known_defects(parse):
    text = """<ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
g (float16[2, 32] x) => (float16[2, 32] y) { [who] y = trt.TRT_Tomorrow (x) }"""
    (finding,) = graphfix.apply(parse(text), "known-defects,trt-types").findings
    assert (finding.code, finding.where) == ("GF006", "who (trt::TRT_Tomorrow)")


def test_a_graph_output_that_is_declared_otherwise_is_told_of_not_retyped(parse):
    text = """<ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
g (float16[2, 32] x) => (uint8[2, 32] q) {
  h = Constant <value = float16 {14336}> ()
  q = trt.TRT_FP8QuantizeLinear (x, h)
}"""
    result = graphfix.apply(parse(text), "trt-types")
    assert [f.code for f in result.findings] == ["GF023"]
    assert result.changes == []
