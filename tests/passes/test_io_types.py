"""io-types: the ends of a graph get another type by a Cast, and what it computes stays what it was."""

import numpy as np
import onnx
import onnx.reference
import pytest

import graphfix
from graphfix import io

TEXT = """<ir_version: 9, opset_import: ["" : 20]>
g (float16[N,4] x, int64[N] i) => (float16[N,4] y, float16[N,4] z) { a = Mul (x, x)  y = Add (a, x)  z = Neg (y) }
"""


def run(proto, **feed):
    # Not ONNX Runtime: it computes small float16 operators in float32 and drops the roundings between them.
    return onnx.reference.ReferenceEvaluator(proto).run(None, feed)


def test_inputs_and_outputs_are_cast_and_inner_readers_keep_their_type(from_text, nodes_of):
    model = from_text(TEXT)
    given = io.to_proto(model)
    applied = graphfix.apply(model, "io-types{x=FLOAT,y=FLOAT}")
    assert nodes_of(applied.model) == [
        "Cast(FLOAT) -> FLOAT16",
        "Mul(FLOAT16, FLOAT16) -> ?",
        "Add(?, FLOAT16) -> FLOAT16",
        "Neg(FLOAT16) -> FLOAT16",
        "Cast(FLOAT16) -> FLOAT",
    ]
    assert [(c.where, c.before, c.after) for c in applied.changes] == [("x", "FLOAT16", "FLOAT"), ("y", "FLOAT16", "FLOAT")]
    proto = io.to_proto(applied.model)
    onnx.checker.check_model(proto, full_check=True)
    assert [v.name for v in (*proto.graph.input, *proto.graph.output)] == ["x", "i", "y", "z"]
    x, i = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float16), np.zeros(3, np.int64)
    y, z = run(proto, x=x.astype(np.float32), i=i)
    assert io.to_proto(model) == given
    expected = run(given, x=x, i=i)
    np.testing.assert_array_equal(y, expected[0].astype(np.float32))
    np.testing.assert_array_equal(z, expected[1])
    assert graphfix.apply(applied.model, "io-types{x=FLOAT,y=FLOAT}").changes == []


def test_bfloat16_becomes_what_numpy_has(from_text):
    narrow = graphfix.apply(from_text(TEXT), "io-types{x=BFLOAT16,y=BFLOAT16}").model
    wide = io.to_proto(graphfix.apply(narrow, "io-types{x=FLOAT,y=FLOAT}").model)
    x = np.array([[1, 2, 3, 4]], np.float32)
    np.testing.assert_array_equal(run(wide, x=x, i=np.zeros(1, np.int64))[0], x * x + x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "refuses: to guess types"),
        ("{q=FLOAT}", "refuses: q=FLOAT"),
        ("{x=FLOAT4E2M1}", "no Cast of this opset converts that by value"),
        ("{x=WIDE}", "refuses: x=WIDE"),
    ],
)
def test_what_no_cast_can_do_is_refused(from_text, options, message):
    with pytest.raises(graphfix.PassError, match=message):
        graphfix.apply(from_text(TEXT), f"io-types{options}")


def test_a_cast_to_bfloat16_needs_opset_13(from_text):
    old = from_text(TEXT.replace(": 20]", ": 12]"))
    with pytest.raises(graphfix.PassError, match="no Cast of this opset"):
        graphfix.apply(old, "io-types{x=BFLOAT16}")
    assert len(graphfix.apply(old, "io-types{x=FLOAT}").changes) == 1
