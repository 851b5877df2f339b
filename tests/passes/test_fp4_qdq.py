"""fp4-qdq: quantizers leave domain trt, get the types that they compute, and meet their consumers through a Cast only where needed."""

import onnx
import pytest

import graphfix

GRAPH = """<ir_version: 11, opset_import: ["" : 23, "trt" : 1]>
g (float16[4, 32] x) => (float16[4, 8] y) <float4e2m1[8, 32] w, {scale}[8, 2] s> {{
  d = trt.DequantizeLinear <axis = -1, block_size = 16{extra}> (w, s)
  t = Transpose <perm = [1, 0]> (d)
  y = MatMul (x, t)
}}"""


def graph(scale="float", extra="", declared="FLOAT16"):
    model = onnx.parser.parse_model(
        GRAPH.format(scale=scale, extra=extra).replace("<float4e2m1[8, 32] w, ", "<").replace(f"<{scale}[8, 2] s> ", "")
    )
    kind = {"float": onnx.TensorProto.FLOAT, "float16": onnx.TensorProto.FLOAT16}[scale]
    model.graph.initializer.append(onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT4E2M1, [8, 32], b"\x21" * 128, raw=True))
    model.graph.initializer.append(onnx.helper.make_tensor("s", kind, [8, 2], [1.0] * 16))
    if declared:
        for name, shape in (("d", [8, 32]), ("t", [32, 8])):
            model.graph.value_info.append(onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, declared), shape))
    return model


def declared(model):
    return {v.name: onnx.TensorProto.DataType.Name(v.type.tensor_type.elem_type) for v in model.graph.value_info}


@pytest.mark.parametrize("annotation", ["FLOAT16", "UINT8", "UNDEFINED", ""])
def test_the_scales_type_wins_and_one_cast_meets_the_float16_graph(annotation):
    fixed = graphfix.apply(graph(declared=annotation), "fp4-qdq").model
    onnx.checker.check_model(fixed, full_check=True)
    assert [(n.domain, n.op_type) for n in fixed.graph.node] == [
        ("", "DequantizeLinear"),
        ("", "Transpose"),
        ("", "Cast"),
        ("", "MatMul"),
    ]
    if annotation:
        assert {k: v for k, v in declared(fixed).items() if k in "dt"} == {"d": "FLOAT", "t": "FLOAT"}


def test_no_cast_where_types_agree():
    for model in (graph("float16"), graph("float", extra=", output_dtype = 10")):
        fixed = graphfix.apply(model, "fp4-qdq").model
        onnx.checker.check_model(fixed, full_check=True)
        assert [n.op_type for n in fixed.graph.node] == ["DequantizeLinear", "Transpose", "MatMul"]


def test_an_opset_without_the_attribute_is_refused_with_the_pass_that_helps():
    model = graph()
    model.opset_import[0].version = 20
    with pytest.raises(graphfix.PassError, match=r"block_size is defined from opset 21 on\n.*opset23,fp4-qdq"):
        graphfix.apply(model, "fp4-qdq")
    assert graphfix.apply(model, "opset23,fp4-qdq").model.graph.node[0].domain == ""


def test_a_wrong_annotation_of_a_default_domain_node_is_corrected_too():
    model = graph("float16", declared="UINT8")
    model.graph.node[0].domain = ""
    result = graphfix.apply(model, "fp4-qdq")
    assert declared(result.model)["d"] == declared(result.model)["t"] == "FLOAT16"
    assert {(c.what, c.before, c.after) for c in result.changes} == {("element type", "UINT8", "FLOAT16")}


def test_conflicts_that_no_quantizer_causes_are_left_alone(parse):
    text = """<ir_version: 11, opset_import: ["" : 23]>
g (float16[4] x, float[4] z) => (float[4] y) { y = Add (x, z) }"""
    assert not graphfix.apply(parse(text), "fp4-qdq").changes


def test_operators_in_subgraphs_and_functions_move_too(parse):
    body = "trt.DequantizeLinear (q, s)"
    text = f"""<ir_version: 11, opset_import: ["" : 23, "trt" : 1, "my" : 1]>
g (bool c, int8[4] q, float s) => (float[4] y) {{
  y = If (c) <
    then_branch = a () => (float[4] t) {{ t = {body} }},
    else_branch = b () => (float[4] e) {{ e = my.F (q, s) }}
  >
}}
<domain: "my", opset_import: ["" : 23, "trt" : 1]>
F (q, s) => (y) {{ y = {body} }}"""
    fixed = graphfix.apply(parse(text), "fp4-qdq").model
    assert "trt.DequantizeLinear" not in onnx.printer.to_text(fixed)
