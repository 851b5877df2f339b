"""What the lints see and do not see: strangers' lints, other scopes, local functions, external data, the order of passes."""

from importlib.metadata import EntryPoint

import onnx
import onnx_ir as ir
import pytest

import graphfix
from graphfix import io, pipeline
from graphfix.facts.types import SINCE
from graphfix.lints import run
from graphfix.registry import Registry


class TooManyRelus(graphfix.Lint):
    """## What it does
    Counts."""

    code, name, level = "ACME001", "too-many-relus", "info"

    def check(self, model, ctx):
        for _, node in ctx.find("Relu"):
            yield self.finding(ctx, node, "one more")


class Clash(TooManyRelus):
    """Takes a built-in lint's name."""

    code, name = "ACME002", "fp4-rank"


class Broken(TooManyRelus):
    """Fails."""

    code, name = "ACME003", "broken"

    def check(self, model, ctx):
        raise ZeroDivisionError("oops")


def offer(monkeypatch, *classes):
    entries = [EntryPoint(cls.name, f"{__name__}:{cls.__name__}", run.GROUP) for cls in classes]
    monkeypatch.setattr(run, "entry_points", lambda group: entries)
    monkeypatch.setattr(run, "_load", lambda entry: next(c for c in classes if c.name == entry.name))


@pytest.fixture
def relu(parse):
    return parse('<ir_version: 10, opset_import: ["" : 21]> g (float[2] x) => (float[2] y) { y = Relu (x) }')


def test_a_package_offers_a_lint(monkeypatch, relu):
    offer(monkeypatch, TooManyRelus)
    (finding,) = graphfix.lint(relu).findings
    assert (finding.code, finding.level, finding.where) == ("ACME001", "info", "(unnamed, makes 'y') (Relu)")
    assert not graphfix.lint(relu, ignore=["ACME"]).findings


def test_two_lints_of_one_name_are_refused(monkeypatch, relu):
    offer(monkeypatch, Clash)
    with pytest.raises(graphfix.UsageError, match="two lints are called ACME002"):
        graphfix.lint(relu)


def test_a_lint_that_fails_is_named(monkeypatch, relu):
    offer(monkeypatch, Broken)
    with pytest.raises(graphfix.PassError, match=r"lint ACME003 \(broken\) failed: ZeroDivisionError: oops\n.*\n.*--ignore ACME003"):
        graphfix.lint(relu)


def test_an_entry_point_that_is_no_lint_is_refused(monkeypatch, relu):
    monkeypatch.setattr(run, "entry_points", lambda group: [EntryPoint("x", "json:loads", group)])
    with pytest.raises(graphfix.UsageError, match=r"is not a graphfix\.Lint"):
        graphfix.lint(relu)


def test_subgraphs_and_functions_are_looked_at(parse):
    model = parse("""<ir_version: 10, opset_import: ["" : 21, "own" : 1]>
    g (bool c, int8[4] w) => (float[4] y) <float s = {0.0}> {
      y = If (c) <then_branch = t () => (float[4] a) { [inside] a = DequantizeLinear (w, s) },
                  else_branch = e () => (float[4] b) { b = own.F (w) }>
    }
    <domain: "own", opset_import: ["" : 21]> F (w) => (b) { s = Constant <value_float = 0.0> () [within] b = DequantizeLinear (w, s) }""")
    places = {f.where for f in graphfix.lint(model, select=["GF019"]).findings}
    assert any("inside" in p for p in places)
    assert any("function own::F" in p for p in places)


def test_an_operator_with_a_local_function_is_no_trt_operator(exports):
    model = graphfix.apply(exports["sd3_nvfp4mha_20"].path, "trtrtx,emulate").model
    assert not [f for f in graphfix.lint(model).findings if f.level == "error"]


def test_weights_are_not_read(exports, monkeypatch):
    read = []
    numpy = ir.ExternalTensor.numpy
    monkeypatch.setattr(ir.ExternalTensor, "numpy", lambda self: read.append(self.size) or numpy(self))
    assert graphfix.lint(exports["sd3_nvfp4mha_20"].path).nodes
    assert max(read, default=0) <= 65536
    weights = {t.size for t in io.external_tensors(io.load(exports["sd3_nvfp4mha_20"].path)) if t.dtype == ir.DataType.FLOAT4E2M1}
    assert weights
    assert not weights & set(read)


def test_data_of_two_models_is_nobodys_orphan(exports, tmp_path):
    path = exports["sd3_int8_20"].copy_to(tmp_path)
    data = path.with_name(path.name + "_data")
    data.write_bytes(data.read_bytes() + bytes(1 << 17))
    assert [f.code for f in graphfix.lint(path).findings] == ["GF027"]
    (tmp_path / "other.onnx").write_bytes(path.read_bytes())
    assert graphfix.lint(path).findings == []


def test_symlinked_data_is_told(exports, tmp_path):
    path = exports["sd3_int8_20"].copy_to(tmp_path)
    data = path.with_name(path.name + "_data")
    data.rename(tmp_path / "blob")
    try:
        data.symlink_to("blob")
    except OSError:
        pytest.skip("this system makes no symlinks")
    assert [f.code for f in graphfix.lint(path).findings] == ["GF029"]


def test_a_tensor_stored_once_for_two_names_is_no_overlap(exports, tmp_path):
    path = exports["sd3_int8_20"].copy_to(tmp_path)
    model = onnx.load(path, load_external_data=False)
    twin = model.graph.initializer.add()
    twin.CopyFrom(next(t for t in model.graph.initializer if t.external_data))
    twin.name = "twin"
    path.write_bytes(model.SerializeToString())
    assert graphfix.lint(path).findings == []


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["trt-types", "opset23"], "opset23,trt-types"),
        (["opset23", "opset24", "opset-imports", "fp4-qdq"], "opset24,fp4-qdq,opset-imports"),
        (["ir-version", "opset-imports", "init-inputs"], "opset-imports,ir-version,init-inputs"),
    ],
)
def test_passes_are_put_in_their_order(names, text):
    registry = Registry.load()
    assert pipeline.arrange(names, registry) == text
    assert ",".join(map(str, pipeline.parse(text, registry))) == text


def test_since_when_types_exist_follows_from_the_schemas():
    first = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        for kind in {t for c in schema.type_constraints for t in c.allowed_type_strs} if not schema.domain else ():
            if kind.startswith("tensor("):
                name = kind[7:-1].upper()
                first[name] = min(first.get(name, 99), schema.since_version)
    assert {name: opset for name, opset in first.items() if opset > 1} == {name: opset for name, (opset, _) in SINCE.items()}
