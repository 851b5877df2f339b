"""graphfix place as a person meets it."""

import json
import os

import pytest

from tests.cli import test_cli


def graphfix(*args, cwd=None):
    """Run the command; returns exit code, stdout with slashes, stderr."""
    code, out, err = test_cli.graphfix(*args, cwd=cwd)
    return code, out.replace(os.sep, "/") if os.sep != "/" else out, err


@pytest.fixture
def folder(pipeline, tmp_path):
    """A pipeline's folder where the commands are typed."""
    return pipeline("flux").rename(tmp_path / "flux")


def test_place_and_undo(folder, fixed, bytes_of):
    before, backbone = bytes_of(folder), fixed("flux_nvfp4mha_20")
    code, out, err = graphfix("place", backbone, "flux", cwd=folder.parent)
    assert (code, err) == (0, "")
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0].split() == ["check", "found"]
    assert lines[1] == "inputs       ok        named as in the model it replaces, none lost, none more"
    assert "output       repaired  the output is called 'latent' and must be called 'out_hidden_states'" in lines
    assert "                       next: call it with max_sequence_length=32" in lines
    assert lines[-3] == "passes: io-types{latent=FLOAT},io{latent=out_hidden_states}" or lines[-3].startswith(
        "passes: io-types{latent=FLOAT},io{"
    )
    assert lines[-2].startswith("placed in flux/transformer: model.onnx, model.")
    assert lines[-1] == "kept model.replaced.onnx; to go back: graphfix place --undo flux"
    code, out, _ = graphfix("place", backbone, "flux", cwd=folder.parent)
    assert (code, out.splitlines()[-1]) == (0, "nothing to do: flux/transformer has this model already")
    code, out, _ = graphfix("place", "--undo", "flux", cwd=folder.parent)
    assert (code, out) == (0, "flux/transformer is as it was exported: model.onnx, model.onnx_data\n")
    assert bytes_of(folder) == before
    code, out, _ = graphfix("place", "--undo", "flux", cwd=folder.parent)
    assert (code, out) == (0, "nothing to undo: flux/transformer is as it was exported\n")


def test_a_dry_run_writes_nothing(folder, fixed, bytes_of):
    before, backbone = bytes_of(folder), fixed("flux_nvfp4mha_20")
    code, out, _ = graphfix("place", backbone, folder, "--dry-run")
    assert (code, out.splitlines()[-1]) == (0, "dry run: nothing was written")
    assert bytes_of(folder) == before


def test_a_refusal_is_exit_code_1_in_both_formats(folder, fixed, bytes_of):
    before, backbone = bytes_of(folder), fixed("sd3_int8_20")
    code, out, err = graphfix("place", backbone, folder)
    assert (code, err) == (1, "")
    assert "inputs  refused  the backbone has no input 'guidance'" in out
    assert out.splitlines()[-1] == f"refused: {folder.as_posix()}/transformer is as it was"
    code, out, _ = graphfix("place", backbone, folder, "--format", "json")
    assert (code, json.loads(out)["action"]) == (1, "refused")
    assert bytes_of(folder) == before


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["B"], 2, "PIPELINE_DIR is missing"),
        (["B", "F", "--undo"], 2, "--undo takes the pipeline's folder and nothing else"),
        (["--undo", "F", "--dry-run"], 2, "graphfix place --undo F"),
        (["B", "nowhere"], 2, "nowhere is not a folder"),
        (["nowhere.onnx", "F"], 2, "no file nowhere.onnx"),
        (["B", "F/transformer"], 2, "has no model_index.json"),
        (["B", "F", "--component", "vae"], 2, "--component transformer or unet"),
        (["B", "F", "--component", "unet"], 2, "F has no unet"),
        (["B", "F", "--format", "yaml"], 2, "--format text or json"),
        (["text.onnx", "F"], 1, "is not an ONNX model"),
        (["B", "no_config"], 1, "there is no transformer/config.json"),
        (["B", "no_model"], 2, "there is no transformer/model.onnx to replace"),
        (["B", "no_index"], 1, "model_index.json cannot be read"),
        (["B", "no_journal"], 1, "is not a journal of graphfix place"),
    ],
)
def test_mistakes_get_one_message_and_the_right_code(folder, denoiser, bytes_of, args, code, says):
    here = folder.parent
    folder.rename(here / "F")
    denoiser("B", 0)
    (here / "text.onnx").write_text("hello")
    for name, files in {
        "no_config": {"model_index.json": "{}", "transformer/model.onnx": "x"},
        "no_model": {"model_index.json": "{}", "transformer/config.json": "{}"},
        "no_index": {"model_index.json": "[", "transformer/config.json": "{}"},
        "no_journal": {"model_index.json": "{}", "transformer/model.onnx": "x", "transformer/.graphfix/place.json": "{}"},
    }.items():
        for path, text in files.items():
            (here / name / path).parent.mkdir(parents=True, exist_ok=True)
            (here / name / path).write_text(text)
    before = bytes_of(here)
    found, out, err = graphfix("place", *args, cwd=here)
    assert found == code, err
    assert says in err
    assert "Traceback" not in err + out
    assert bytes_of(here) == before
