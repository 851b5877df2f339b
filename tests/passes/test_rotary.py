"""rotary: a Flux export frozen to its traced token count runs at any."""

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

import graphfix
from graphfix import io
from graphfix.model import constant

TRACED = {"batch": 2, "tokens": 96, "heads": 2, "width": 32}


def freeze(path):
    """The export with the sizes of its rotary Reshapes as they were traced, as newer diffusers writes them."""
    model = io.load(path)
    frozen = 0
    for node in model.graph:
        if node.op_type != "Reshape" or constant(node.inputs[1]) is not None:
            continue
        parts = node.inputs[1].producer().inputs
        tail = constant(parts[-1])
        sizes = None
        if len(parts) == 5 and tail is not None and tail.tolist() == [2]:
            sizes = [2, 96, TRACED["heads"], TRACED["width"] // 2, 2]
        elif len(parts) == 2 and tail is not None and node.inputs[0].producer().op_type == "Concat":
            sizes = [2, 96, TRACED["heads"], TRACED["width"]]
        if sizes:
            new = ir.node("Constant", [], attributes={"value": ir.tensor(np.array(sizes, np.int64))}, name=f"frozen{frozen}")
            new.outputs[0].name = f"frozen{frozen}"
            model.graph.insert_before(node, new)
            node.replace_input_with(1, new.outputs[0])
            frozen += 1
    return model, frozen


def run(path, tokens: int) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    shapes = {
        "hidden_states": (2, tokens, 64),
        "encoder_hidden_states": (2, 32, 64),
        "pooled_projections": (2, 64),
        "timestep": (2,),
        "img_ids": (tokens, 3),
        "txt_ids": (32, 3),
        "guidance": (2,),
    }
    kinds = {"tensor(float16)": np.float16, "tensor(float)": np.float32}
    feed = {i.name: np.abs(rng.standard_normal(shapes[i.name])).astype(kinds[i.type]) for i in session.get_inputs()}
    return session.run(None, feed)[0]


def test_a_frozen_export_follows_its_input_again(exports, tmp_path, apply_twice):
    path = exports["flux_fp8_20"].path
    model, frozen = freeze(path)
    assert frozen >= 8
    passes = "opset23,init-inputs,fp4-qdq,trt-types,opset-imports,emulate"
    free = graphfix.apply(path, passes).save(tmp_path / "free.onnx").path
    stuck = graphfix.apply(model, passes).save(tmp_path / "stuck.onnx").path
    applied = graphfix.apply(model, "rotary")
    assert len(applied.changes) == frozen
    assert graphfix.apply(applied.model, "rotary").changes == []
    thawed = graphfix.apply(applied.model, passes).save(tmp_path / "thawed.onnx").path
    np.testing.assert_array_equal(run(stuck, 64), run(free, 64))
    for tokens in (16, 36, 64, 128):
        np.testing.assert_array_equal(run(thawed, tokens), run(free, tokens))
    with pytest.raises(Exception, match=r"Reshape|Mul"):
        run(stuck, 36)


def test_sizes_that_follow_the_input_are_left_alone(exports):
    for name, export in exports.items():
        if name.startswith("flux"):
            assert graphfix.apply(export.path, "rotary").changes == []


def test_other_reshapes_are_left_alone(from_text):
    text = """
    <ir_version: 11, opset_import: ["": 23]>
    g (float[2,N,64] x) => (float[2,96,32,2] y) { s = Constant <value = int64[4] {2, 96, 32, 2}> ()  y = Reshape (x, s) }
    """
    assert graphfix.apply(from_text(text), "rotary").changes == []
