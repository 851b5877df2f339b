"""exporter-casts: what ModelOpt's post-processing put in or deleted, mended where types prove it."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphfix

HEAD = '<ir_version: 11, opset_import: ["": 23]>\n'

# ModelOpt's MXFP8 exporter: a Cast to float16 behind the Sqrt of a float32 RMSNorm.
NORM = f"""{HEAD}
g (float16[2,8] x) => (float16[2,8] y)
<float f, float sq, float r, float16 rh, float d>
{{
  f = Cast <to = 1> (x)
  sq = Mul (f, f)
  r = Sqrt (sq)
  rh = Cast <to = 10> (r)
  d = Div (f, rh)
  y = Cast <to = 10> (d)
}}"""


def test_a_cast_between_float32_operators_is_bypassed(from_text, nodes_of, apply_twice):
    applied = apply_twice(from_text(NORM), "exporter-casts")
    assert nodes_of(applied.model)[2:4] == ["Sqrt(FLOAT) -> FLOAT", "Div(FLOAT, FLOAT) -> FLOAT"]
    assert [c.what for c in applied.changes] == ["Cast bypassed"]


def test_the_operands_may_come_in_either_order(from_text, nodes_of, apply_twice):
    applied = apply_twice(from_text(NORM.replace("Div (f, rh)", "Div (rh, f)")), "exporter-casts")
    assert nodes_of(applied.model)[3] == "Div(FLOAT, FLOAT) -> FLOAT"


def test_a_cast_that_types_need_stays(from_text):
    text = NORM.replace("Div (f, rh)", "Div (x, rh)").replace("float d", "float16 d")
    assert graphfix.apply(from_text(text), "exporter-casts").changes == []


def test_a_constant_takes_the_type_that_it_meets(from_text, nodes_of, apply_twice):
    text = f"""{HEAD}
    g (float[4] p) => (float[4,3] y) {{
      w = Constant <value = double[3] {{1.0, 0.1, 0.01}}> ()
      y = Einsum <equation = "n,d->nd"> (p, w)
    }}"""
    applied = apply_twice(from_text(text), "exporter-casts")
    assert nodes_of(applied.model) == ["Einsum(FLOAT, FLOAT) -> FLOAT"]


def test_what_nothing_proves_is_refused(from_text):
    text = f"{HEAD} g (float16[2] x, float[2] z) => (float[2] y) {{ a = Neg (x)\n y = Mul (z, a) }}"
    with pytest.raises(graphfix.PassError, match="operands of types FLOAT and FLOAT16") as caught:
        graphfix.apply(from_text(text), "exporter-casts")
    assert "(Mul)" in caught.value.where


def delete_casts(path) -> int:
    """What INT4QuantExporter.post_process does to Casts to float32; returns how many went."""
    model = onnx.load(path, load_external_data=False)
    users = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    gone = []
    for node in model.graph.node:
        if node.op_type in {"Transpose", "Reshape", "Sqrt", "Add", "Gelu"}:
            after = users.get(node.output[0], [])
            if len(after) == 1 and after[0].op_type == "Cast" and after[0].attribute[0].i == onnx.TensorProto.FLOAT:
                node.output[:] = after[0].output
                gone.append(after[0])
    for node in gone:
        model.graph.node.remove(node)
    onnx.save(model, path)
    return len(gone)


def test_casts_that_the_int4_exporter_deleted_come_back(exports, tmp_path, ort_door, run_on_cpu, apply_twice):
    export = exports["sd3_int4awq_20"]
    whole = graphfix.apply(export.path).save(tmp_path / "whole.onnx").path
    broken = export.copy_to(tmp_path)
    assert delete_casts(broken) > 0
    assert "bound to different types" in ort_door(graphfix.apply(broken, "opset23,int4-native,fp4-qdq").save(tmp_path / "b.onnx").path)
    applied = apply_twice(broken, "opset23,init-inputs,int4-native,exporter-casts,fp4-qdq,trt-types,opset-imports")
    assert {c.what for c in applied.changes} >= {"Cast put back"}
    path = applied.save(tmp_path / "mended.onnx").path
    onnx.checker.check_model(path, full_check=True)
    assert ort_door(path) == ""
    np.testing.assert_array_equal(run_on_cpu(export, path), run_on_cpu(export, whole))


def test_only_the_export_with_such_casts_is_changed(export):
    before = "opset23,init-inputs,fp4-weights,int4-native,mxfp8"
    applied = graphfix.apply(graphfix.apply(export.path, before).model, "exporter-casts")
    # ModelOpt's MXFP8 exporter casts behind every Sqrt, and only Flux and SD3.5 have float32 norms around one.
    assert {c.what for c in applied.changes} == ({"Cast bypassed"} if export.name == "flux_mxfp8_20" else set())
    assert isinstance(applied.model, ir.Model)
