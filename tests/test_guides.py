"""The guides tell the truth: what they say to type is typed, in order, in a folder like the reader's."""

import functools
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import graphfix
from graphfix import config
from tests.place.conftest import make_pipeline
from tests.quantize.conftest import missing

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
# A block: its language, what it says it needs, its text.
BLOCK = re.compile(r'^```(\w+)(?: title="(?:needs )?([^"]*)")?\n(.*?)^```$', re.M | re.S)
COMPILES = "--shape"  # the one command of the guides that asks for TensorRT-RTX


def blocks(path):
    return BLOCK.findall(path.read_text(encoding="utf-8"))


@pytest.fixture
def folder(exports, tmp_path, run_on_cpu, feed_for):
    """model.onnx with its data, what the first command of each guide makes of it, a pipeline, a small SD3, recorded inputs and outputs."""
    export = exports["sd3_nvfp4mha_20"]
    model = onnx.load(export.path)
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="model.onnx_data")
    graphfix.apply(tmp_path / "model.onnx").save(tmp_path / "model.fixed.onnx")
    (tmp_path / "elsewhere").mkdir()
    make_pipeline(tmp_path / "pipeline", "sd3")
    shutil.copytree(ROOT / "fixtures" / "models" / "sd3", tmp_path / "sd3")
    shutil.copyfile(ROOT / "graphfix" / "quantize" / "recipes" / "sd3.toml", tmp_path / "mine.toml")
    (tmp_path / "emulated").mkdir()
    emulated = graphfix.apply(tmp_path / "model.fixed.onnx", "emulate").save(tmp_path / "emulated" / "model.onnx").path
    np.savez(tmp_path / "inputs.npz", **feed_for(export))
    np.savez(tmp_path / "reference.npz", **{model.graph.output[0].name: run_on_cpu(export, emulated)})
    return tmp_path


def type_in(command, folder):
    """Run one line as a shell would, and hold its exit code against what the guide says."""
    line, _, wanted = command.partition("  # exit code ")
    line, _, target = line.partition(" > ")
    done = subprocess.run([sys.executable, "-m", *shlex.split(line)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == int(wanted or 0), f"{command}\n{done.stdout}{done.stderr}"
    if target:
        (folder / target).write_text(done.stdout, encoding="utf-8")


NAMED = re.compile(r"# (\w+\.(?:py|toml))\n")


def write_files(path, folder):
    """The files that a guide shows: blocks whose first line is their name."""
    for _, _, text in blocks(path):
        if name := NAMED.match(text):
            (folder / name[1]).write_text(text, encoding="utf-8")


def lines(text):
    return [line for line in text.splitlines() if line]


@pytest.mark.parametrize("path", GUIDES, ids=lambda p: p.stem)
def test_every_command_of_a_guide_runs_in_order(path, folder, monkeypatch):
    monkeypatch.chdir(folder)
    ran = 0
    write_files(path, folder)
    for language, needs, text in blocks(path):
        if NAMED.match(text):
            continue
        if language == "python":
            exec(compile(text, path.name, "exec"), {})
            ran += 1
        elif language == "sh" and not needs:
            for command in lines(text):
                if command.startswith("python -m pip install -e "):
                    continue  # CI does that
                if COMPILES in command and importlib.util.find_spec("tensorrt_rtx") is None:
                    continue
                type_in(command, folder)
                ran += 1
    assert ran or path.stem == "quantize"


NEEDS_TORCH = [(path, text) for path in GUIDES for language, needs, text in blocks(path) if needs == "graphfix[quantize]"]


@pytest.mark.skipif(bool(missing()), reason=f'{missing()} is not installed: pip install "graphfix[quantize]"')
@pytest.mark.parametrize(("path", "text"), NEEDS_TORCH, ids=[text.splitlines()[0][:60] for _, text in NEEDS_TORCH])
def test_commands_that_need_torch(path, text, folder):
    write_files(path, folder)
    for command in lines(text):
        type_in(command, folder)


@functools.cache
def options_of(verb):
    done = subprocess.run([sys.executable, "-m", "graphfix", verb, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, verb
    return set(re.findall(r"(?:^|[\s,])(--?[a-z][\w-]*)", done.stdout))


@pytest.mark.parametrize("path", [*GUIDES, ROOT / "docs" / "index.md"], ids=lambda p: p.stem)
def test_every_command_names_real_options(path):
    """Also where no test can run it: in sentences and tables, in the workflow, and where the weights of a real model are needed."""
    for verb, rest in re.findall(
        r"\bgraphfix (apply|lint|validate|quantize|build|place|batch|diff|passes|inspect|explain|doctor)\b([^`\n]*)", path.read_text()
    ):
        given = set(re.findall(r"(?<=\s)--?[a-z][\w-]*", rest.partition("  # ")[0]))
        assert given <= options_of(verb), f"graphfix {verb}{rest}"


def test_the_configuration_in_the_gates_guide_is_valid(tmp_path):
    (text,) = (text for language, _, text in blocks(ROOT / "docs" / "guides" / "ci-gate.md") if language == "toml")
    (tmp_path / "graphfix.toml").write_text(text)
    assert config.load(tmp_path).lint.ignore[0].code == "GF032"
