"""``graphfix build``: four stages, each skipped when nothing that it depends on changed; the gate stands before the pipeline's folder."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graphfix import build
from graphfix.errors import UsageError
from tests.place.conftest import make_pipeline

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = """
[apply]
model = "export.onnx"
passes = "trtrtx,io{sample=out_hidden_states}"

[validate]
tiers = ["check", "load"]

[place]
pipeline = "pipeline"
"""


@pytest.fixture
def folder(tmp_path, exports):
    """An unquantized export, a pipeline's folder, and a recipe for both."""
    export = exports["sd3_none_20"].copy_to(tmp_path)
    header = export.rename(tmp_path / "export.onnx")
    assert header.is_file()
    make_pipeline(tmp_path / "pipeline", "sd3")
    (tmp_path / "recipe.toml").write_text(WITHOUT_TORCH)
    return tmp_path


def told(made):
    return [(outcome.stage, outcome.status) for outcome in made.outcomes]


def test_a_second_run_does_nothing(folder):
    recipe = build.read(folder / "recipe.toml")
    first = build.build(recipe)
    assert told(first) == [("apply", "done"), ("validate", "done"), ("place", "done")]
    placed = (folder / "pipeline" / "transformer" / "model.onnx").read_bytes()
    assert told(build.build(recipe)) == [("apply", "unchanged"), ("validate", "unchanged"), ("place", "unchanged")]
    assert (folder / "pipeline" / "transformer" / "model.onnx").read_bytes() == placed


def test_another_option_redoes_its_stage_and_what_depends_on_it(folder):
    build.build(build.read(folder / "recipe.toml"))
    (folder / "recipe.toml").write_text(WITHOUT_TORCH.replace('"check", "load"', '"check"'))
    assert told(build.build(build.read(folder / "recipe.toml"))) == [("apply", "unchanged"), ("validate", "done"), ("place", "unchanged")]
    (folder / "recipe.toml").write_text(WITHOUT_TORCH.replace("trtrtx,io", "trtrtx,node-names,io"))
    again = told(build.build(build.read(folder / "recipe.toml")))
    assert again[:2] == [("apply", "done"), ("validate", "done")]


def test_a_result_that_was_touched_is_made_again(folder):
    recipe = build.read(folder / "recipe.toml")
    build.build(recipe)
    whole = (folder / "build" / "model.onnx").read_bytes()
    (folder / "build" / "model.onnx").write_bytes(whole[:-1])
    assert told(build.build(recipe))[0] == ("apply", "done")
    assert (folder / "build" / "model.onnx").read_bytes() == whole


def test_a_torn_memory_means_everything_again(folder):
    recipe = build.read(folder / "recipe.toml")
    build.build(recipe)
    (folder / "build" / ".graphfix-build.json").write_text('{"schema": 1, "do')
    assert {status for _, status in told(build.build(recipe))} == {"done"}


def test_what_the_gate_refuses_is_not_placed(folder, exports):
    """No passes: ONNX Runtime does not load the file, and the pipeline's folder stays as it was."""
    exports["sd3_nvfp4_20"].copy_to(folder)
    (folder / "recipe.toml").write_text(
        WITHOUT_TORCH.replace("export.onnx", "sd3_nvfp4_20.onnx").replace("trtrtx,io{sample=out_hidden_states}", "node-names")
    )
    before = (folder / "pipeline" / "transformer" / "model.onnx").read_bytes()
    made = build.build(build.read(folder / "recipe.toml"))
    assert told(made) == [("apply", "done"), ("validate", "failed")]
    assert not made.passed
    assert (folder / "pipeline" / "transformer" / "model.onnx").read_bytes() == before


def test_the_command(folder):
    command = [sys.executable, "-m", "graphfix", "build", "recipe.toml"]
    first = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert "done" in first.stdout
    assert json.loads((folder / "build" / "validate.json").read_text())
    second = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert second.stdout.count("unchanged") == 3


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "nothing names a model"),
        ('[quantize]\nmodel = "m"\n[apply]\nmodel = "x.onnx"', "both"),
        ('[quantise]\nmodel = "m"', r"no \[quantise\]"),
        ('[quantize]\nmodle = "m"', "no 'modle'"),
        ('[quantize]\nformat = "fp8"', "lacks 'model'"),
        ('[quantize]\nmodel = "m"\nsteps = "two"', "steps is a int"),
        ("[quantize\n", "not valid TOML"),
        ("apply = 3", "apply is a table"),
        ("output = 3", "output names a folder"),
    ],
)
def test_a_wrong_recipe_is_told_by_its_key(tmp_path, text, what):
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(UsageError, match=what):
        build.read(tmp_path / "recipe.toml")


@pytest.mark.skipif(importlib.util.find_spec("modelopt") is None, reason='pip install "graphfix[quantize]"')
def test_the_whole_road(tmp_path):
    """From a tiny SD3 to a pipeline's folder, and nothing to do the second time; a new seed redoes all of it."""
    text = """
    [quantize]
    model = "model"
    format = "int8"
    random_weights = 0
    steps = 2
    sizes = { sequence_length = 32 }
    [validate]
    tiers = ["check", "load", "numerics"]
    """
    shutil.copytree(ROOT / "fixtures" / "models" / "sd3", tmp_path / "model")
    (tmp_path / "recipe.toml").write_text(text)
    assert told(build.build(build.read(tmp_path / "recipe.toml"))) == [("quantize", "done"), ("apply", "done"), ("validate", "done")]
    assert {status for _, status in told(build.build(build.read(tmp_path / "recipe.toml")))} == {"unchanged"}
    (tmp_path / "recipe.toml").write_text(text.replace("steps = 2", "steps = 2\n    seed = 1"))
    assert told(build.build(build.read(tmp_path / "recipe.toml")))[0] == ("quantize", "done")
