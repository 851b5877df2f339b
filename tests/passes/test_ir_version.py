"""ir-version."""

import pytest

import graphfix

TEXT = '<ir_version: {ir}, opset_import: ["" : {opset}]> g (float[2] x) => (float[2] y) {{ y = Relu (x) }}'


@pytest.mark.parametrize(("ir", "opset", "needed"), [(14, 23, 11), (14, 28, 14), (9, 23, 11), (13, 20, 9), (3, 8, 3), (11, 23, 11)])
def test_the_lowest_that_the_opset_needs(parse, ir, opset, needed):
    result = graphfix.apply(parse(TEXT.format(ir=ir, opset=opset)), "ir-version")
    assert result.model.ir_version == needed
    assert bool(result.changes) == (ir != needed)


def test_types_and_structure_count(parse):
    model = parse(TEXT.format(ir=14, opset=12))
    onnx_type = model.graph.value_info.add(name="y2")
    onnx_type.type.tensor_type.elem_type = 1
    model.graph.node[0].metadata_props.add(key="a", value="b")
    assert graphfix.apply(model, "ir-version").model.ir_version == 10


def test_the_opset_pass_comes_first():
    with pytest.raises(graphfix.UsageError, match="ir-version must come after opset"):
        graphfix.apply("none.onnx", "ir-version,opset23")
