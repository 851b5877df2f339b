"""Recipes and what is typed wrong: no torch needed to be told."""

import json

import numpy as np
import pytest

from graphfix.errors import ModelError, UnavailableError, UsageError
from graphfix.quantize import failures, job, recipes, samples

from .conftest import MODELS


def config(model):
    return json.loads((MODELS / model / "config.json").read_text())


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("sd3", {"hidden_states": (2, 16, 16, 16), "encoder_hidden_states": (2, 333, 64), "pooled_projections": (2, 64), "timestep": (2,)}),
        ("sdxl", {"sample": (2, 4, 16, 16), "added_cond_kwargs.text_embeds": (2, 64), "added_cond_kwargs.time_ids": (2, 6)}),
        ("flux", {"hidden_states": (1, 4096, 64), "txt_ids": (512, 3), "guidance": (1,)}),
    ],
)
def test_shapes_come_from_the_models_config(model, expected):
    found = samples.shapes(recipes.recipe_for(config(model)["_class_name"]), config(model), {})
    assert expected.items() <= found.items()


def test_an_input_can_depend_on_the_config():
    schnell = {**config("flux"), "guidance_embeds": False}
    assert "guidance" not in samples.shapes(recipes.recipe_for("FluxTransformer2DModel"), schnell, {})


def test_samples_depend_on_the_seed_alone_and_walk_through_the_schedule():
    recipe = recipes.recipe_for("SD3Transformer2DModel")
    wanted = samples.shapes(recipe, config("sd3"), {"sequence_length": 8})
    once, again = (list(samples.random(recipe, wanted, 3, 4)) for _ in range(2))
    for a, b in zip(once, again, strict=True):
        assert all(np.array_equal(a[name], b[name]) for name in a)
    assert [float(sample["timestep"][0]) for sample in once] == [875, 625, 375, 125]
    assert not np.array_equal(once[0]["hidden_states"], once[1]["hidden_states"])


def test_recorded_samples(tmp_path):
    recipe = recipes.recipe_for("SD3Transformer2DModel")
    wanted = samples.shapes(recipe, config("sd3"), {"sequence_length": 8})
    drawn = list(samples.random(recipe, wanted, 0, 3))
    np.savez(tmp_path / "many.npz", **{name: np.stack([sample[name] for sample in drawn]) for name in wanted})
    np.savez(tmp_path / "one.npz", **drawn[0])
    many = list(samples.recorded(tmp_path / "many.npz", recipe, config("sd3")))
    assert len(many) == 3
    np.testing.assert_array_equal(many[2]["timestep"], drawn[2]["timestep"])
    assert len(list(samples.recorded(tmp_path / "one.npz", recipe, config("sd3")))) == 1
    np.savez(tmp_path / "few.npz", hidden_states=drawn[0]["hidden_states"])
    with pytest.raises(UsageError, match="has no 'encoder_hidden_states'"):
        list(samples.recorded(tmp_path / "few.npz", recipe, config("sd3")))


@pytest.mark.parametrize("text", ["sample_size + batch", "__import__('os')", "sample_size ** 2", "1 +", "qk_norm"])
def test_an_axis_is_arithmetic_on_the_config_and_nothing_else(text):
    with pytest.raises(UsageError):
        recipes.evaluate(text, config("sd35"))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"format": "nvfp5"}, "no format 'nvfp5'"),
        ({"mha": "fp4"}, "no way to quantize attention 'fp4'"),
        ({"dtype": "fp8"}, "no dtype"),
        ({"device": "gpu"}, "no device"),
        ({"steps": 0}, "--steps 0"),
        ({"sizes": {"depth": 3}}, "no free axis 'depth'"),
        ({"sizes": {"height": 0}}, "height=0"),
        ({"calibration": "images.zip"}, "--calibration"),
        ({"calibration": "missing.npz"}, "no file"),
        ({"raw": True, "passes": "opset23"}, "exclude each other"),
        ({"format": "nvfp4", "mha": "fp8", "dtype": "fp32"}, "--mha fp8 with --dtype fp32"),
    ],
)
def test_what_is_typed_wrong_is_told_before_anything_is_loaded(tmp_path, options, what):
    with pytest.raises(UsageError, match=what):
        job.make(str(MODELS / "sd3"), tmp_path, **options)


def test_prompts_need_the_whole_pipeline(tmp_path):
    (tmp_path / "prompts.txt").write_text("a house\n")
    with pytest.raises(UsageError, match="whole pipeline"):
        job.make(str(MODELS / "sd3"), tmp_path / "out", calibration=str(tmp_path / "prompts.txt"))


def test_the_validated_setting_is_the_default(tmp_path):
    made = job.make(str(MODELS / "sd35"), tmp_path)
    assert (made.how.name, made.mha.name, made.how.algorithm) == ("nvfp4", "fp8", {"method": "max"})


def test_a_recipe_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    text = 'class = "MineModel"\ncomponent = "transformer"\noutput = "y"\n[sizes]\nbatch = 1\n[inputs]\nx = ["batch", "width"]\n'
    path.write_text(text)
    assert recipes.read(path).shape(("batch", "width * 2"), {"width": 3}, {"batch": 5}) == (5, 6)
    path.write_text(text.replace("output", "outptu"))
    with pytest.raises(UsageError, match="'outptu'") as caught:
        recipes.read(path)
    assert caught.value.hint == "did you mean output?"
    path.write_text(text)
    with pytest.raises(UsageError, match="the recipe is for MineModel"):
        job.make(str(MODELS / "sd3"), tmp_path, recipe=path)


def test_a_class_without_recipe_is_told_what_to_write(tmp_path):
    (tmp_path / "config.json").write_text('{"_class_name": "PixArtTransformer2DModel"}')
    with pytest.raises(UsageError, match="no recipe for PixArt") as caught:
        job.make(str(tmp_path), tmp_path / "out")
    assert "--recipe" in caught.value.hint


@pytest.mark.parametrize(
    ("error", "what", "hint"),
    [
        (
            RuntimeError("CUDA error: no kernel image is available for execution on the device"),
            "no kernels for this GPU",
            "torch that fits",
        ),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory."), "GPU has too little memory", "--device cpu"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "too little memory", "--size"),
        (ImportError("cannot import name 'CLIPSdpaAttention' from 'transformers'"), "optimum is too old", "optimum-onnx"),
        (ModuleNotFoundError("No module named 'onnx_utils.export'; 'onnx_utils' is not a package"), "onnx_utils", "environment of its own"),
        (ModuleNotFoundError("No module named 'diffusers'", name="diffusers"), "diffusers is not installed", "graphfix[quantize]"),
        (RuntimeError("Unsupported onnx_opset_version: 20"), "cannot export opset 20", "-U torch"),
        (ImportError("requires the accelerate library"), "accelerate is missing", "pip install accelerate"),
        (OSError("Error no file named diffusion_pytorch_model.bin found"), "holds no weights", "--random-weights"),
    ],
)
def test_known_failures_become_one_sentence_and_a_command(error, what, hint):
    told = failures.translate(error, "doing it")
    assert isinstance(told, UnavailableError | ModelError)
    assert what in told.what
    assert hint in told.hint


def test_an_unknown_failure_keeps_its_first_line_and_shows_no_traceback():
    told = failures.translate(ValueError("first\nsecond"), "exporting the graph")
    assert (told.what, told.why) == ("exporting the graph failed", "ValueError: first")
