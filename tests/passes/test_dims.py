"""symbolic-dims, static-shapes, io: the interface says what the weights and the pipeline around the model know."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphfix
from graphfix.model import shape_text
from graphfix.validate.compile import compile_model


def interface(model: ir.Model) -> dict[str, str]:
    return {v.name: shape_text(v.shape) for v in (*model.graph.inputs, *model.graph.outputs)}


CONV = """
<ir_version: 11, opset_import: ["": 23]>
g (float[N,C,H,W] x, float[N,T,K] t) => (float[N,8,h,w] y, float[N,T,M] z)
{ c = Identity (x)  y = Conv <kernel_shape = [1, 1], group = 2> (c, A)  z = MatMul (t, B) }
"""
WEIGHTS = {"A": np.ones((8, 3, 1, 1), np.float32), "B": np.ones((5, 7), np.float32)}


def test_sizes_that_weights_fix_come_back(from_text):
    applied = graphfix.apply(from_text(CONV, **WEIGHTS), "symbolic-dims")
    assert interface(applied.model) == {"x": "[N,6,H,W]", "t": "[N,T,5]", "y": "[N,8,h,w]", "z": "[N,T,M]"}
    assert graphfix.apply(applied.model, "symbolic-dims").changes == []


def test_a_name_that_two_weights_size_differently_is_left_alone(from_text):
    applied = graphfix.apply(from_text(CONV.replace("K]", "C]"), **WEIGHTS), "symbolic-dims")
    assert applied.changes == []
    assert [f.code for f in applied.findings] == ["axis-size"]


def test_axes_are_renamed_everywhere(from_text):
    applied = graphfix.apply(from_text(CONV, **WEIGHTS), "symbolic-dims{N=batch,recover=false}")
    assert interface(applied.model) == {"x": "[batch,C,H,W]", "t": "[batch,T,K]", "y": "[batch,8,h,w]", "z": "[batch,T,M]"}
    assert graphfix.apply(applied.model, "symbolic-dims{N=batch,recover=false}").changes == []
    with pytest.raises(graphfix.PassError, match="to rename axis 'Q'"):
        graphfix.apply(from_text(CONV, **WEIGHTS), "symbolic-dims{Q=batch}")


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("sd3_nvfp4_20", {"hidden_states": "[batch_size,16,height,width]", "sample": "[batch_size,16,height,width]"}),
        ("sdxl_fp8_20", {"sample": "[batch_size,4,height,width]", "latent": "[batch_size,4,height,width]"}),
    ],
)
def test_real_exports_get_their_channels_back(exports, name, axes):
    applied = graphfix.apply(exports[name].path, "trtrtx,symbolic-dims")
    assert axes.items() <= interface(applied.model).items()


def test_a_size_reaches_every_axis_of_its_name(from_text):
    passes = "static-shapes{x=2x6x*x4,T=3}"
    applied = graphfix.apply(from_text(CONV, **WEIGHTS), passes)
    assert interface(applied.model) == {"x": "[2,6,H,4]", "t": "[2,3,K]", "y": "[2,8,h,w]", "z": "[2,3,M]"}
    assert graphfix.apply(applied.model, passes).changes == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("x=2x6x4", "2x6x4 for"),
        ("x=2x6x4x4,t=3x1x1", "N=3"),
        ("x=2x6x4x4,y=1x1x1x1", "y=1x1x1x1"),
        ("", "to guess sizes"),
        ("x=2x6x0x4", "2x6x0x4 for"),
    ],
)
def test_sizes_that_contradict_are_refused(from_text, options, message):
    with pytest.raises(graphfix.PassError, match=message):
        graphfix.apply(from_text(CONV, **WEIGHTS), f"static-shapes{{{options}}}")


def test_a_fixed_axis_does_not_change(from_text):
    with pytest.raises(graphfix.PassError, match="fixed size 6"):
        graphfix.apply(from_text(CONV.replace("N,C", "N,6"), **WEIGHTS), "static-shapes{x=2x5x4x4}")


def test_a_static_export_compiles_without_a_profile(exports, tmp_path):
    export = exports["sd3_int8_20"]
    sizes = ",".join(f"{name}={'x'.join(map(str, shape))}" for name, shape in export.shapes.items())
    applied = graphfix.apply(export.path, f"trtrtx,static-shapes{{{sizes}}}")
    path = applied.save(tmp_path / "static.onnx").path
    onnx.checker.check_model(path, full_check=True)
    assert compile_model(path, "sm86", {}).ok


def test_flux_gets_the_output_that_its_pipeline_expects(exports, tmp_path, ort_door):
    passes = "trtrtx,io{latent=out_hidden_states}"
    applied = graphfix.apply(exports["flux_fp8_20"].path, passes)
    assert interface(applied.model)["out_hidden_states"] == "[batch_size,latent_dim,64]"
    assert graphfix.apply(applied.model, passes).changes == []
    path = applied.save(tmp_path / "flux.onnx").path
    onnx.checker.check_model(path, full_check=True)
    assert ort_door(path) == ""


def test_axes_that_an_input_contradicts_are_not_borrowed(from_text):
    text = """
    <ir_version: 11, opset_import: ["": 23]>
    g (float[N,4] x, float[N,8] t) => (float[N,invented] y) { a = MatMul (x, W)  y = Neg (a) }
    """
    applied = graphfix.apply(from_text(text, W=np.ones((4, 8), np.float32)), "io")
    assert interface(applied.model)["y"] == "[N,8]"
    assert graphfix.apply(from_text(text, W=np.ones((4, 8), np.float32)), "io{like=none}").changes == []


def test_names_that_are_taken_or_missing_are_refused(from_text):
    for options, message in (("y=A", "the name 'A'"), ("q=r", "to rename 'q'"), ("like=q", "like=q")):
        with pytest.raises(graphfix.PassError, match=message):
            graphfix.apply(from_text(CONV, **WEIGHTS), f"io{{{options}}}")
