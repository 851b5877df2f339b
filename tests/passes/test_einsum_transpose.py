"""einsum-transpose: a permutation written as Einsum, in a type that Einsum lacks."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import graphfix
from graphfix import io
from graphfix_passes.einsum_transpose import permutation

TEXT = """
<ir_version: 10, opset_import: ["": 23]>
g (KIND[2,3,4,5,6,7] x) => (KIND[2,7,3,5,4,6] y)
{
  y = Einsum <equation = "nhwpqc->nchpwq"> (x)
}
"""


def test_bfloat16_becomes_a_transpose_and_the_model_valid(parse, nodes_of, apply_twice):
    broken = parse(TEXT.replace("KIND", "bfloat16"))
    with pytest.raises(onnx.shape_inference.InferenceError):
        onnx.checker.check_model(broken, full_check=True)
    applied = apply_twice(io.from_proto(broken), "einsum-transpose")
    assert nodes_of(applied.model) == ["Transpose(BFLOAT16) -> BFLOAT16"]
    assert applied.changes[0].after == "Transpose [0, 5, 1, 3, 2, 4]"


def test_it_moves_the_same_elements(parse):
    model = parse(TEXT.replace("KIND", "float"))
    x = np.arange(2 * 3 * 4 * 5 * 6 * 7, dtype=np.float32).reshape(2, 3, 4, 5, 6, 7)
    turned = graphfix.apply(model, "einsum-transpose{always=1}").model
    assert [n.op_type for n in turned.graph.node] == ["Transpose"]
    before, after = (ReferenceEvaluator(m).run(None, {"x": x})[0] for m in (model, turned))
    np.testing.assert_array_equal(before, after)


def test_a_type_that_einsum_takes_is_left_alone(parse):
    assert graphfix.apply(parse(TEXT.replace("KIND", "float16")), "einsum-transpose").changes == []


@pytest.mark.parametrize("equation", ["ij->i", "ii->i", "ij,jk->ik", "...ij->...ji", "ij", "ij->ik"])
def test_what_is_no_permutation(equation):
    assert permutation(equation) is None
