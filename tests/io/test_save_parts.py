"""What passes abandoned in a data file is not carried along; what they compute is written once, with progress."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphfix
from graphfix import io


@pytest.fixture
def source(tmp_path):
    """A model with two weights in one data file, one behind FP8 quantizers."""
    rng = np.random.default_rng(0)
    proto = onnx.parser.parse_model(
        """
        <ir_version: 11, opset_import: ["": 23, "trt": 1]>
        g (float16[2,64] x) => (float16[2,64] y)
        {
          q = trt.TRT_FP8QuantizeLinear (A, S)
          d = trt.TRT_FP8DequantizeLinear (q, S)
          h = MatMul (x, d)
          y = MatMul (h, B)
        }"""
    )
    for name, values in (("A", rng.standard_normal((64, 64))), ("B", rng.standard_normal((64, 64))), ("S", np.array(0.1))):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(values.astype(np.float16), name))
    folder = tmp_path / "in"
    folder.mkdir()
    onnx.save(proto, folder / "m.onnx", save_as_external_data=True, location="m.onnx_data", size_threshold=1000)
    return folder / "m.onnx"


def external(path):
    return {t.name: t for t in io.external_tensors(io.load(path))}


def test_elsewhere_only_what_is_used_is_written(source, tmp_path):
    applied = graphfix.apply(source, "fp8-native")
    saved = applied.save(tmp_path / "out.onnx")
    assert [p.name for p in saved.data_files] == ["out.onnx_data"]
    assert saved.data_files[0].stat().st_size == 64 * 64 * 2 + 64 * 64
    assert external(saved.path)["B"].tobytes() == external(source)["B"].tobytes()
    onnx.checker.check_model(saved.path)


def test_beside_the_input_its_data_file_is_shared(source):
    saved = graphfix.apply(source, "fp8-native").save(source.parent / "out.onnx")
    assert {p.name: p.stat().st_size for p in saved.data_files} == {"m.onnx_data": source.parent.joinpath("m.onnx_data").stat().st_size} | {
        "out.onnx_data": 64 * 64
    }


def test_a_file_that_is_used_whole_is_copied_whole(source, tmp_path):
    saved = graphfix.apply(source, "fp4-qdq").save(tmp_path / "out.onnx")
    assert saved.data_files[0].read_bytes() == source.with_name("m.onnx_data").read_bytes()


def test_weights_stay_outside_when_all_of_them_were_replaced(source, tmp_path):
    model = io.load(source)
    for value in model.graph.initializers.values():
        value.const_value = ir.Tensor(value.const_value.numpy().copy(), name=value.name)
    saved = io.save(model, tmp_path / "out.onnx")
    assert saved.data_files[0].stat().st_size == 2 * 64 * 64 * 2


def test_progress_ends_at_the_total(source, tmp_path):
    seen = []
    graphfix.apply(source, "fp8-native").save(tmp_path / "out.onnx", progress=lambda *a: seen.append(a))
    assert seen[0] == ("writing weights", 0, 64 * 64 * 3)
    assert seen[-1] == ("writing weights", 64 * 64 * 3, 64 * 64 * 3)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_saving_again_leaves_no_data_file_behind(source, tmp_path):
    for _ in range(3):
        saved = graphfix.apply(source, "fp8-native").save(tmp_path / "out.onnx")
        assert sorted(p.name for p in tmp_path.glob("out.onnx_data*")) == [saved.data_files[0].name]
    onnx.checker.check_model(saved.path)
