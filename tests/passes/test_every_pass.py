"""What holds for every pass on every real export: idempotent, blind to names, honest about what it changed."""

import onnx
import onnx_ir as ir
import pytest

import graphfix
from graphfix import io
from graphfix.registry import Registry

BUILT_IN = Registry.load().names()


def body(path):
    """The model without graphfix's own note in the metadata."""
    model = onnx.load(path, load_external_data=False)
    kept = [p for p in model.metadata_props if p.key != "graphfix.provenance"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    return model


@pytest.mark.parametrize("passes", ["trtrtx", "opset23,trt-types"])
def test_a_second_run_changes_nothing(export, passes, tmp_path):
    first = graphfix.apply(export.path, passes).save(tmp_path / "first.onnx").path
    again = graphfix.apply(first, passes)
    assert again.changes == []
    second = again.save(tmp_path / "second.onnx").path
    assert first.read_bytes() == second.read_bytes()


def rename(model, new):
    """Rename every value except the interface, in place."""
    keep = {v.name for v in (*model.graph.inputs, *model.graph.outputs) if v.name not in model.graph.initializers}
    for value in list(model.graph.initializers.values()):
        value.name = new(value.name)
    for node in model.graph:
        for value in node.outputs:
            if value.name and value.name not in keep:
                value.name = new(value.name)


@pytest.mark.parametrize("kind", ["numbers", "output_0 in front"])
def test_renaming_every_tensor_changes_nothing(export, kind, tmp_path):
    renamed, names = io.load(export.path), {}
    rename(renamed, lambda n: names.setdefault(n, f"t{len(names)}" if kind == "numbers" else f"a_output_0/{n}"))
    plain, other = graphfix.apply(export.path, "trtrtx"), graphfix.apply(renamed, "trtrtx")
    assert len(plain.changes) == len(other.changes)
    for a, b in zip(plain.model.graph, other.model.graph, strict=True):
        assert (a.op_type, a.domain, a.attributes.keys()) == (b.op_type, b.domain, b.attributes.keys())
        assert [(v.type, v.shape) for v in a.outputs] == [(v.type, v.shape) for v in b.outputs]


@pytest.mark.parametrize("passes", ["trtrtx", *BUILT_IN])
def test_no_change_reported_means_no_change_made(export, passes):
    try:
        result = graphfix.apply(export.path, passes)
    except graphfix.PassError:
        return
    result.model.metadata_props.pop("graphfix.provenance")
    same = io.to_proto(result.model) == io.to_proto(io.load(export.path))
    assert same == (not result.changes)


def test_a_model_given_in_memory_is_not_changed(exports):
    path = exports["sd3_nvfp4mha_20_mo046"].path
    proto = onnx.load(path, load_external_data=False)
    before = proto.SerializeToString()
    assert graphfix.apply(proto, "trtrtx").changes
    assert proto.SerializeToString() == before
    model = io.load(path)
    before = io.to_proto(model).SerializeToString()
    assert graphfix.apply(model, "trtrtx").changes
    assert io.to_proto(model).SerializeToString() == before


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_pass_documents_itself(name):
    cls, _ = Registry.load().pass_class(name)
    heads = [line.strip().split(":")[0] for line in (cls.__doc__ or "").splitlines()]
    assert [h for h in heads if h in {"Why", "Before", "After", "Leaves alone"}] == ["Why", "Before", "After", "Leaves alone"]
    assert 20 < len(cls.summary) <= 100
    assert cls.name == name
    assert issubclass(cls, graphfix.Pass)
    assert isinstance(ir.Model, type)
