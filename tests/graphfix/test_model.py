"""The walk, places, names, and the checks between passes."""

import onnx_ir as ir
import pytest

import graphfix
from graphfix import io
from graphfix.element_types import element_types
from graphfix.model import Locator, Names, check_structure, scopes, walk

NESTED = """<ir_version: 10, opset_import: ["" : 21, "any" : 1, "my" : 1]>
g (bool c, float[2] x) => (float[2] y) {
  [outer] y = If (c) <
    then_branch = a () => (float[2] t) { [inner] t = any.Op (x) <bodies = [b () => (float[2] u) { [deep] u = Neg (x) }]> },
    else_branch = d () => (float[2] e) { [call] e = my.F (x) }
  >
}
<domain: "my", opset_import: ["" : 18]>
F (x) => (y) { [body] y = Abs (x) }"""


@pytest.fixture
def model(parse):
    return io.from_proto(parse(NESTED.replace("bodies = [b", "body = b").replace("(x) }]>", "(x) }>")))


def test_one_walk_sees_every_scope_outer_before_inner(model):
    assert [n.name for n in walk(model)] == ["outer", "inner", "deep", "call", "body"]
    assert [s.path for s in scopes(model)] == [
        "",
        "outer/then_branch",
        "outer/then_branch/inner/body",
        "outer/else_branch",
        "function my::F",
    ]
    assert [s.opset_imports[""] for s in scopes(model)] == [21, 21, 21, 21, 18]


def test_places_are_what_a_person_would_look_for(model):
    places = [Locator(model).where(n) for n in walk(model)]
    assert places[2] == "outer/then_branch/inner/body/deep (Neg)"
    assert places[4] == "function my::F/body (Abs)"


def test_fresh_names_are_unique_across_scopes(model):
    names = Names(model)
    assert [names.fresh("u"), names.fresh("u"), names.fresh("new"), names.fresh("deep")] == ["u_1", "u_2", "new", "deep_1"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{ y = Neg (z) }", "input 'z' is used before anything defines it"),
        ("{ y = Neg (t) t = Neg (x) }", "input 't' is used before anything defines it"),
        ("{ z = Neg (x) }", "output 'y' is not made by any node"),
    ],
)
def test_a_graph_that_does_not_hold_together_is_named(parse, text, says):
    model = io.from_proto(parse(f'<ir_version: 9, opset_import: ["" : 20]> g (float[1] x) => (float[1] y) {text}'))
    with pytest.raises(graphfix.ModelError, match=says):
        check_structure(model)


def test_real_exports_hold_together_and_every_value_has_a_type(export):
    model = io.load(export.path)
    check_structure(model)
    types = element_types(model)
    assert [v.name for n in walk(model) for v in n.outputs if v not in types] == []


def test_element_types_follow_loops_branches_and_attributes(parse):
    text = """<ir_version: 10, opset_import: ["" : 21]>
g (int64 n, bool c, float16[2] x) => (float16[2] y, double[K] z) {
  y, s = Loop (n, c, x) <body = b (int64 i, bool k, float16[2] v) => (bool k2, float16[2] w, double[1] o) {
    k2 = Identity (k)
    w = Neg (v)
    d = Cast <to = 11> (i)
    o = Unsqueeze (d, axes)
  }>
  axes = Constant <value_ints = [0]> ()
  z = Squeeze (s, one)
  one = Constant <value_ints = [1]> ()
  r = RandomNormal <shape = [2]> ()
  h = ConstantOfShape <value = int8 {3}> (axes)
}"""
    model = io.from_proto(parse(text))
    found = {v.name: t.name for v, t in element_types(model).items()}
    assert {k: found[k] for k in "ywozrh"} == {"y": "FLOAT16", "w": "FLOAT16", "o": "DOUBLE", "z": "DOUBLE", "r": "FLOAT", "h": "INT8"}
    assert isinstance(model, ir.Model)
