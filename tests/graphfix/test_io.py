"""Files: the input is never touched, data is shared or copied by the kernel, and an output is whole or absent."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphfix
from graphfix import io


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.fixture
def model(exports, tmp_path):
    """A real export in a folder of its own."""
    return exports["sd3_nvfp4mha_20"].copy_to(tmp_path)


def test_beside_the_input_the_data_file_is_shared(model):
    before = digests(model.parent)
    saved = graphfix.apply(model).save(model.with_name("out.onnx"))
    after = digests(model.parent)
    assert saved.data == "shared"
    assert {k: after[k] for k in before} == before
    assert set(after) - set(before) == {"out.onnx"}
    onnx.checker.check_model(saved.path, full_check=True)


def test_in_another_folder_the_output_has_its_own_data(model, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    saved = graphfix.apply(model).save(elsewhere / "out.onnx")
    assert saved.data in {"copied", "reflinked"}
    assert {p.name for p in elsewhere.iterdir()} == {"out.onnx", "out.onnx_data"}
    assert (elsewhere / "out.onnx_data").read_bytes() == model.with_name(model.name + "_data").read_bytes()
    assert (elsewhere / "out.onnx_data").stat().st_nlink == 1
    model.with_name(model.name + "_data").unlink()
    onnx.checker.check_model(saved.path, full_check=True)


def test_every_weight_keeps_its_bytes(model, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    graphfix.apply(model).save(elsewhere / "out.onnx")
    before, after = io.load(model).graph.initializers, io.load(elsewhere / "out.onnx").graph.initializers
    assert before.keys() == after.keys()
    for name in before:
        assert before[name].const_value.tobytes() == after[name].const_value.tobytes()


def test_sharing_across_folders_is_refused(model, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(graphfix.UsageError, match="cannot be shared across folders"):
        graphfix.apply(model).save(elsewhere / "out.onnx", data="share")
    assert not list(elsewhere.iterdir())


def test_same_input_same_bytes(model, tmp_path):
    blobs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        graphfix.apply(model).save(tmp_path / name / "out.onnx")
        blobs.append(digests(tmp_path / name))
    assert blobs[0] == blobs[1]


def test_replacing_an_output_leaves_no_orphans_and_no_growth(model, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for _ in range(3):
        graphfix.apply(model).save(elsewhere / "out.onnx")
    assert digests(elsewhere).keys() == {"out.onnx", "out.onnx_data"}
    other = bytearray(model.with_name(model.name + "_data").read_bytes())
    other[0] ^= 1
    model.with_name(model.name + "_data").write_bytes(other)
    saved = graphfix.apply(model).save(elsewhere / "out.onnx")
    assert len(list(elsewhere.iterdir())) == 2
    assert saved.data_files[0].read_bytes() == other


def test_a_data_file_that_another_model_uses_is_never_removed(model, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    graphfix.apply(model).save(elsewhere / "out.onnx")
    graphfix.apply(elsewhere / "out.onnx").save(elsewhere / "second.onnx")
    other = bytearray(model.with_name(model.name + "_data").read_bytes())
    other[0] ^= 1
    model.with_name(model.name + "_data").write_bytes(other)
    graphfix.apply(model).save(elsewhere / "out.onnx")
    onnx.checker.check_model(elsewhere / "second.onnx")
    onnx.checker.check_model(elsewhere / "out.onnx")


def test_new_weights_go_to_one_new_file_and_old_ones_stay_out_of_it(model):
    result = graphfix.apply(model)
    name = next(n for n, v in result.model.graph.initializers.items() if v.const_value.nbytes > 2000)
    array = np.ones(result.model.graph.initializers[name].const_value.shape, np.float16)
    result.model.graph.initializers[name].const_value = ir.Tensor(array, name=name)
    saved = result.save(model.with_name("out.onnx"))
    new = model.with_name("out.onnx_data")
    assert new.stat().st_size == array.nbytes
    assert set(saved.data_files) == {new, model.with_name(model.name + "_data")}
    loaded = onnx.load(saved.path)
    (tensor,) = (t for t in loaded.graph.initializer if t.name == name)
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), array)


def test_weights_are_not_read(model, tmp_path):
    """The data file is replaced by one of the same size without any blocks: nothing but its size is looked at."""
    data = model.with_name(model.name + "_data")
    size = data.stat().st_size
    data.unlink()
    with data.open("wb") as file:
        file.truncate(size)
    result = graphfix.apply(model)
    assert not any(t.raw for t in io.external_tensors(result.model))


def test_provenance_names_version_passes_and_input(model):
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    saved = graphfix.apply(model, "opset23,trt-types").save(model.with_name("out.onnx"))
    (entry,) = io.read_provenance(io.load(saved.path))
    wanted = {"version": graphfix.__version__, "passes": ["opset23", "trt-types"], "changed_by": ["opset", "trt-types"]}
    wanted |= {"input_opset": 23, "input_sha256": digest}
    assert entry == wanted
    assert str(model.parent) not in json.dumps(entry)


def test_what_onnx_ir_does_not_model_survives(parse):
    model = parse('<ir_version: 9, opset_import: ["" : 20]> g (float[2] x) => (float[2] y) { y = Add (x, w) }')
    values = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], [3.0])
    indices = onnx.helper.make_tensor("i", onnx.TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, indices, [2]))
    model.training_info.append(onnx.TrainingInfoProto(initialization=onnx.GraphProto(name="init")))
    model.graph.quantization_annotation.append(
        onnx.TensorAnnotation(tensor_name="y", quant_parameter_tensor_names=[onnx.StringStringEntryProto(key="SCALE_TENSOR", value="w")])
    )
    fixed = graphfix.apply(model, "opset23").model
    for field in ("sparse_initializer", "quantization_annotation"):
        assert getattr(fixed.graph, field) == getattr(model.graph, field)
    assert fixed.training_info == model.training_info
    assert not fixed.graph.value_info


CRASH = """
import os, sys, graphfix, graphfix.io
save = sys.modules["graphfix.io.save"]
calls = 0
def maybe_die(original):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == int(sys.argv[3]):
            os._exit(9)
        return original(*args, **kwargs)
    return call
for module, name in ((os, "fsync"), (os, "replace"), (save, "to_proto"), (save, "copy_bytes")):
    setattr(module, name, maybe_die(getattr(module, name)))
graphfix.apply(sys.argv[1]).save(sys.argv[2])
"""


@pytest.mark.parametrize("moment", range(1, 9))
def test_a_crash_leaves_the_old_output_or_the_new_one(exports, model, tmp_path, moment):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = graphfix.apply(exports["sd3_int8_20"].path).save(elsewhere / "out.onnx").path
    old = target.read_bytes()
    done = subprocess.run([sys.executable, "-c", CRASH, str(model), str(target), str(moment)], check=False)
    assert done.returncode in {0, 9}
    onnx.checker.check_model(target, full_check=True)
    operators = {n.op_type for n in onnx.load(target).graph.node}
    assert (target.read_bytes() == old) == ("TRT_FP4DynamicQuantize" not in operators)


def test_permissions_are_those_of_any_new_file(model, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    model.with_name(model.name + "_data").chmod(0o600)
    graphfix.apply(model).save(elsewhere / "out.onnx")
    (elsewhere / "plain").touch()
    assert len({p.stat().st_mode for p in elsewhere.iterdir()}) == 1


BAD_LOCATIONS = ["../data", "/etc/hostname", "a/../../data", "C:\\data", "\\\\server\\share", ""]


@pytest.mark.parametrize("location", BAD_LOCATIONS)
def test_data_outside_the_folder_is_refused(model, location):
    proto = onnx.load(model, load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    model.write_bytes(proto.SerializeToString())
    with pytest.raises(graphfix.ModelError, match="outside the model's folder"):
        io.load(model)


def test_a_link_that_leads_out_is_refused(model, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    shutil.copyfile(model, inner / model.name)
    (inner / (model.name + "_data")).symlink_to(model.with_name(model.name + "_data"))
    with pytest.raises(graphfix.ModelError, match="leads out of the model's folder"):
        io.load(inner / model.name)


def test_missing_and_short_data_are_told_apart(model):
    data = model.with_name(model.name + "_data")
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(graphfix.ModelError, match="too short for tensor"):
        io.load(model)
    data.unlink()
    with pytest.raises(graphfix.ModelError, match="external data is missing"):
        io.load(model)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x0b", b"\xff" * 100], ids=["empty", "text", "no graph", "noise"])
def test_what_is_not_a_model_is_said_so(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(graphfix.ModelError, match="is not an ONNX model"):
        io.load(tmp_path / "m.onnx")


def test_a_cut_off_model_is_said_so(model):
    model.write_bytes(model.read_bytes()[:-1000])
    with pytest.raises(graphfix.ModelError, match="cut off"):
        io.load(model)


def test_a_folder_and_nothing_are_wrong_usage(tmp_path):
    for path in (tmp_path, Path("nowhere.onnx")):
        with pytest.raises(graphfix.UsageError):
            io.load(path)


@pytest.mark.parametrize("how", ["share", "copy", "gather"])
def test_without_sync_nothing_waits_for_the_disk(model, monkeypatch, how):
    """As `cp` does; a kill still leaves nothing torn, which is `tools/faults.py`'s to show."""
    waits = []
    monkeypatch.setattr(os, "fsync", waits.append)
    result = graphfix.apply(model)
    result.save(model.with_name("fast.onnx"), data=how, sync=False)
    assert not waits
    result.save(model.with_name("safe.onnx"), data=how)
    assert len(waits) >= (2 if how == "share" else 3) - (os.name == "nt")
    texts = {name: onnx.load(model.with_name(f"{name}.onnx")).SerializeToString(deterministic=True) for name in ("fast", "safe")}
    assert texts["fast"] == texts["safe"]
