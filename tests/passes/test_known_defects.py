"""known-defects: said once, before opset hides the trace; trtrtx as a whole."""

import graphfix


def codes(applied):
    return [f.code for f in applied.findings if f.code in {"GF006", "GF030"}]


def test_weights_of_modelopt_0_46_are_reported(exports):
    assert codes(graphfix.apply(exports["sd3_nvfp4mha_20_mo046"].path)) == ["GF030"]
    assert codes(graphfix.apply(exports["sd3_nvfp4mha_20"].path)) == []


def test_weights_that_graphfix_folded_are_not_taken_for_modelopt_0_46s(exports, tmp_path):
    for name, expected in (("sd3_nvfp4_20_raw", []), ("sd3_nvfp4mha_20_mo046", ["GF030"])):
        path = graphfix.apply(exports[name].path).save(tmp_path / f"{name}.onnx").path
        assert sorted({f.code for f in graphfix.lint(path).findings}) == expected


def test_an_operator_of_a_later_exporter_is_reported_once(from_text):
    text = """
    <ir_version: 11, opset_import: ["": 23, "trt": 1]>
    g (float[N] x) => (float[N] y) { a = trt.TRT_FP6DynamicQuantize (x)  b = trt.TRT_FP6DynamicQuantize (a)  y = Neg (b) }
    """
    applied = graphfix.apply(from_text(text))
    assert [(f.code, f.level) for f in applied.findings] == [("GF006", "error")]
    assert "2 nodes" in applied.findings[0].message


def test_every_export_comes_through_and_a_second_run_changes_nothing(export, tmp_path):
    first = graphfix.apply(export.path).save(tmp_path / "once.onnx").path
    again = graphfix.apply(first)
    assert again.changes == []
    twice = again.save(tmp_path / "twice.onnx").path
    assert twice.read_bytes().count(b"graphfix.provenance") == 1


def test_an_unquantized_file_is_only_brought_to_the_opset(exports):
    applied = graphfix.apply(exports["sd3_none_20"].path)
    assert {r.name for r in applied.result.passes if r.changes} == {"opset"}
