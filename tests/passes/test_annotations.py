"""annotations, node-names: what exporters that rewire a graph leave behind."""

import onnx

import graphfix
from graphfix import io

STALE = """
<ir_version: 11, opset_import: ["": 23]>
g (float[2,8] x, float[8,4] w) => (float[2,4] y)
<float16[3,3] a, float[N,4] m>
{ a = Neg (x)  m = MatMul (a, w)  y = Neg (m) }
"""


def test_contradicted_annotations_are_inferred_again(from_text, apply_twice):
    applied = apply_twice(from_text(STALE), "annotations")
    assert [(c.what, c.before, c.after) for c in applied.changes] == [
        ("element type", "FLOAT16", "FLOAT"),
        ("shape", "[3,3]", "[2,8]"),
    ]
    values = {v.name: v for n in applied.model.graph for v in n.outputs}
    assert str(values["m"].shape[0]) == "N"  # less precise than what inference knows, and no contradiction


def test_a_contradicted_output_is_reported_and_left_alone(from_text):
    applied = graphfix.apply(from_text(STALE.replace("float[2,4] y", "float[2,5] y")), "annotations")
    assert [f.code for f in applied.findings] == ["GF023"]
    assert list(applied.model.graph.outputs[0].shape) == [2, 5]


def test_annotations_of_values_that_do_not_exist_are_dropped(from_text, tmp_path):
    proto = io.to_proto(from_text(STALE))
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("gone", 1, [1]))
    saved = graphfix.apply(io.from_proto(proto), "annotations").save(tmp_path / "out.onnx").path
    assert "gone" not in {v.name for v in onnx.load(saved).graph.value_info}


def test_nodes_get_names_of_their_own(from_text):
    model = from_text(STALE)
    for node, name in zip(model.graph, ("", "n", "n"), strict=True):
        node.name = name
    applied = graphfix.apply(model, "node-names")
    assert graphfix.apply(applied.model, "node-names").changes == []
    assert [n.name for n in applied.model.graph] == ["Neg", "n", "Neg_1"]
    assert [c.why for c in applied.changes] == ["it had none", "another node has the same name"]


def test_real_exports_keep_their_names(exports):
    applied = graphfix.apply(exports["sd3_nvfp4_20"].path, "node-names")
    assert {c.before for c in applied.changes} == {"unnamed"}
    assert len(applied.changes) == 52
