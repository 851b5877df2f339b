"""The main job on real exports: what `graphfix apply` writes passes ONNX Runtime's loader and TensorRT-RTX's compiler."""

import onnx
import pytest

import graphfix
from graphfix.validate.compile import compile_model

RECIPE = "opset23,trt-types"


def test_the_story_tells_what_onnx_runtime_says_of_the_raw_file(export, ort_door):
    complaint = ort_door(export.path)
    assert (export.story["expect"]["before"] in complaint) if complaint else not export.story["expect"]["before"]


@pytest.mark.parametrize("named", ["recipe", "trtrtx"])
def test_both_doors_open(deployable, named, tmp_path, ort_door):
    passes = deployable.story["expect"]["recipe"] if named == "recipe" else "trtrtx"
    path = graphfix.apply(deployable.path, passes).save(tmp_path / "fixed.onnx").path
    onnx.checker.check_model(path, full_check=True)
    assert ort_door(path) == ""
    for target in deployable.story["expect"]["targets"]:
        compiled = compile_model(path, target, deployable.shapes)
        assert compiled.ok, compiled.errors
        assert compiled.engine_bytes > 1_000_000


def test_the_two_pass_recipe_is_enough_for_what_modelopt_writes_today(exports):
    needs_more = {name for name, e in exports.items() if e.story["expect"]["recipe"] != RECIPE}
    unfolded = {"sd3_nvfp4_20_raw", "sd3_nvfp4mha_20_raw", "sd3_int4awq_20_raw"}
    left_in_domain_trt = {"sd3_nvfp4_20_legacytrtdq", "sd3_fp8x_20"}
    without_an_operator_in_the_ep = {"sd3_mxfp8_20", "flux_mxfp8_20", "sd3_int4awq_20"}
    assert needs_more == unfolded | left_in_domain_trt | without_an_operator_in_the_ep


def test_a_gpu_generation_without_the_data_type_is_refused_by_the_compiler(exports, tmp_path):
    export = exports["sd3_nvfp4_20"]
    path = graphfix.apply(export.path).save(tmp_path / "fixed.onnx").path
    compiled = compile_model(path, "sm89", export.shapes)
    assert not compiled.ok
    assert "fp4_e2m1" in " ".join(compiled.errors)
