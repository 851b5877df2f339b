"""Pipelines: text to passes, order checked, passes verified, plugins and entry points found."""

import onnx_ir as ir
import pytest

import graphfix
from graphfix import pipeline
from graphfix.base import Change
from graphfix.registry import Registry

PLUGIN = """
import graphfix

class Mark(graphfix.Pass):
    name = "mark"
    summary = "Mark every node"
    def run(self, model, ctx):
        for node in graphfix.walk(model):
            if "mark" not in node.metadata_props:
                node.metadata_props["mark"] = "1"
                yield ctx.change(node, "mark", "none", "1", "asked for")
"""


@pytest.fixture
def registry():
    return Registry.load()


def texts(text, registry):
    return [str(p) for p in pipeline.parse(text, registry)]


def test_text_round_trips(registry):
    text = "opset23{precision=false},opset-imports{prune=true,com.microsoft=1},trt-types"
    assert texts(text, registry) == ["opset23{precision=false}", "opset-imports{prune=true,com.microsoft=1}", "trt-types"]
    names = "static-shapes{batch_size=2,hidden_states=2x16x8x8},io{like=none,out_hidden_states=sample}"
    assert texts(names, registry) == names.replace("},", "}\n").split("\n")
    assert texts("opset{target=21}", registry) == texts(" opset21 ", registry) == ["opset21"]


def test_a_named_pipeline_stands_for_its_text(registry):
    assert texts("trtrtx", registry) == registry.pipelines()["trtrtx"].split(",")


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("", "the list of passes is empty", "--passes opset23,trt-types"),
        ("trt-type", "no pass or pipeline is named 'trt-type'", "did you mean trt-types?"),
        ("opset23,,trt-types", "cannot read the list of passes", "commas between"),
        ("opset{target", "cannot read the list of passes", "braces"),
        ("opset{goal=3}", "pass opset has no option 'goal'", "graphfix passes opset"),
        ("opset{target=new}", "option target=new of opset: expected a whole number", "graphfix passes opset"),
        ("opset{precision=maybe}", "expected true or false", "graphfix passes opset"),
        ("opset{target=}", "cannot read option 'target='", "key=value"),
        ("trtrtx{a=1}", "trtrtx is a pipeline", "write out its passes"),
        ("trt-types,opset23", "trt-types must come after opset", "--passes opset23,trt-types"),
        ("trt-types7", "no pass or pipeline is named 'trt-types7'", "did you mean"),
    ],
)
def test_wrong_text_is_one_clear_error(registry, text, says, hint):
    with pytest.raises(graphfix.UsageError) as caught:
        pipeline.parse(text, registry)
    assert says in caught.value.what
    assert hint in caught.value.hint


def model(parse):
    return parse('<ir_version: 9, opset_import: ["" : 20]> g (float[1] x) => (float[1] y) { [r] y = Relu (x) }')


def test_a_plugin_file_adds_a_pass(parse, tmp_path):
    path = tmp_path / "my_pass.py"
    path.write_text(PLUGIN)
    result = graphfix.apply(model(parse), "mark,opset23", plugins=[path])
    assert [c.what for c in result.result.passes[0].changes] == ["mark"]
    assert result.model.graph.node[0].metadata_props[0].key == "mark"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("x = 1", "defines no pass"),
        ("1 / 0", "cannot be loaded"),
        (PLUGIN.replace('"mark"', '"opset"', 1), "exists already"),
    ],
)
def test_a_bad_plugin_is_one_clear_error(tmp_path, content, says):
    (tmp_path / "bad.py").write_text(content)
    with pytest.raises(graphfix.UsageError, match=says):
        Registry.load([tmp_path / "bad.py"])


def run_with(parse, run, **declared):
    cls = type("Custom", (graphfix.Pass,), {"name": "custom", "run": run, **declared})
    return pipeline.run(ir.serde.deserialize_model(model(parse)), [cls()])


def test_a_pass_that_breaks_the_graph_is_caught_and_named(parse):
    def run(self, model, ctx):
        model.graph.remove(model.graph[0])
        return [Change("here", "node", "a", "b", "c")]

    with pytest.raises(graphfix.PassError, match="pass 'custom' left a broken graph: output 'y' is not made by any node"):
        run_with(parse, run)


def test_a_pass_that_raises_is_named_not_traced(parse):
    with pytest.raises(graphfix.PassError, match="pass 'custom' failed: ZeroDivisionError"):
        run_with(parse, lambda self, model, ctx: 1 / 0)


def test_a_pass_may_change_the_interface_only_if_it_says_so(parse):
    def run(self, model, ctx):
        model.graph.inputs[0].name = "renamed"
        return [Change("here", "name", "x", "renamed", "")]

    with pytest.raises(graphfix.PassError, match="changed the model's inputs or outputs"):
        run_with(parse, run)
    assert run_with(parse, run, changes_interface=True).changes


def test_every_record_tells_what_was_done(parse):
    result = graphfix.apply(model(parse), "opset23")
    assert result.changes[0] == Change("r (Relu)", "operator version", "Relu-14", "Relu-14", "same definition at 20 and 23")
    report = result.report()
    assert report["schema"] == 1
    assert report["passes"][0]["text"] == "opset23"
    assert report["passes"][0]["changes"][0]["why"] == "same definition at 20 and 23"


def test_the_type_that_is_given_comes_back(parse, exports):
    import onnx

    assert isinstance(graphfix.apply(model(parse), "opset23").model, onnx.ModelProto)
    assert isinstance(graphfix.apply(ir.serde.deserialize_model(model(parse)), "opset23").model, ir.Model)
    assert isinstance(graphfix.apply(str(exports["sd3_int8_20"].path), "opset23").model, ir.Model)
    with pytest.raises(graphfix.UsageError, match="not int"):
        graphfix.apply(3, "opset23")


def test_without_any_passes_the_engine_still_works(parse, tmp_path):
    """Delete passes/ and a working engine is left: a registry of nothing but a plugin runs it."""
    (tmp_path / "p.py").write_text(PLUGIN)
    alone = Registry()
    alone._classes = {k: v for k, v in Registry.load([tmp_path / "p.py"])._classes.items() if k == "mark"}
    assert alone.names() == ["mark"]
    changes = pipeline.run(ir.serde.deserialize_model(model(parse)), pipeline.parse("mark", alone)).changes
    assert len(changes) == 1
