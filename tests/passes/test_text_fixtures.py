"""Hand-made graphs through the recommended pipeline: valid for the checker, and typed for ONNX Runtime."""

from pathlib import Path

import onnx
import pytest

import graphfix

FOLDER = Path(__file__).parents[2] / "fixtures" / "text"
FILES = sorted(FOLDER.glob("*.onnxtxt"))


def read(path):
    first, text = path.read_text(encoding="utf-8").split("\n", 1)
    assert first.startswith("# ")
    return onnx.parser.parse_model(text)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_pipeline_makes_it_valid_and_typed(path, tmp_path, ort_door):
    result = graphfix.apply(read(path), "trtrtx")
    assert result.changes
    saved = result.save(tmp_path / "m.onnx").path
    if path.stem != "subgraphs":  # holds an operator of a domain that ONNX Runtime does not know
        onnx.checker.check_model(saved, full_check=True)
        assert ort_door(saved) == ""
    assert graphfix.apply(saved, "trtrtx").changes == []


def test_operators_in_every_scope_are_typed():
    model = graphfix.apply(read(FOLDER / "subgraphs.onnxtxt"), "trtrtx").model
    branch = next(n for n in model.graph.node if n.op_type == "If").attribute[0].g
    inner = next(n for n in branch.node if n.op_type == "Op").attribute[0].g
    typed = [{v.name: v.type.tensor_type for v in body.value_info} for body in (branch, inner, model.functions[0])]
    assert [types[name].elem_type for types, name in zip(typed, ("q", "r", "q"), strict=True)] == [onnx.TensorProto.FLOAT8E4M3FN] * 3
    assert [d.dim_value for d in typed[0]["q"].shape.dim] == [2, 32]
