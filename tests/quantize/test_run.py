"""What a run leaves: the same bytes for the same seed, a manifest that says how, samples for the gate; and what it does when it cannot."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

from graphfix.errors import UnavailableError
from graphfix.io.lock import only_writer
from graphfix.quantize.job import FILES

from .conftest import MODELS, needs_torch

pytestmark = needs_torch


def test_the_same_seed_gives_the_same_bytes_and_the_manifest_says_how(quantize):
    one, two = (quantize("sd3", output=name, format="nvfp4", mha="fp8") for name in ("one", "two"))
    manifests = [json.loads((made.path.parent / "manifest.json").read_text()) for made in (one, two)]
    assert manifests[0]["files"] == manifests[1]["files"]
    assert set(manifests[0]["files"]) == {"model.onnx", "model.onnx_data", "inputs.npz", "reference.npz", "unquantized.npz"}
    assert (one.path.parent / "model.onnx_data").read_bytes() == (two.path.parent / "model.onnx_data").read_bytes()
    assert manifests[0]["layers"]["kept"]["context_embedder"] == "the recipe keeps context_embedder*"
    assert manifests[0]["model"]["random_weights"] == 0
    assert str(one.path.parent.parent) not in json.dumps(manifests[0])
    assert [stage["name"] for stage in manifests[0]["stages"]][-2:] == ["export", "mend and save"]


def test_another_seed_calibrates_differently(quantize):
    one, two = (quantize("sd3", output=f"seed{seed}", format="int8", seed=seed) for seed in (0, 1))
    assert one.path.read_bytes() != two.path.read_bytes()


def test_raw_stops_at_what_torch_wrote(quantize):
    made = quantize("sd3", format="nvfp4", raw=True)
    graph = onnx.load(made.path, load_external_data=False)
    assert "TRT_FP4QDQ" in {node.op_type for node in graph.graph.node}
    assert not any(entry.key.startswith("graphfix") for entry in graph.metadata_props)
    assert made.applied is None


def test_recorded_inputs_calibrate(quantize, tmp_path):
    """Louder inputs give larger scales."""
    from graphfix.quantize import recipes, samples

    recipe = recipes.recipe_for("SD3Transformer2DModel")
    config = json.loads((MODELS / "sd3" / "config.json").read_text())
    wanted = samples.shapes(recipe, config, {"sequence_length": 32})
    scales = []
    for loud in (1, 8):
        drawn = next(samples.random(recipe, wanted, 0, 1))
        np.savez(tmp_path / "inputs.npz", **{k: v * (loud if k == "hidden_states" else 1) for k, v in drawn.items()})
        made = quantize("sd3", output=f"loud{loud}", format="int8", calibration=str(tmp_path / "inputs.npz"))
        model = onnx.load(made.path)
        constants = {n.output[0]: onnx.numpy_helper.to_array(n.attribute[0].t) for n in model.graph.node if n.op_type == "Constant"}
        first = next(n for n in model.graph.node if n.op_type == "QuantizeLinear" and "norm1" not in n.name and "attn" in n.name)
        scales.append(float(constants[first.input[1]]))
    assert scales[0] != scales[1]


def test_the_model_reads_back_its_own_weights(quantize, tmp_path):
    """Without --random-weights the weights come from the folder; a second reading is the same model."""
    import diffusers

    module = diffusers.SD3Transformer2DModel.from_config(json.loads((MODELS / "sd3" / "config.json").read_text()))
    module.save_pretrained(tmp_path / "saved")
    made = quantize(str(tmp_path / "saved"), format="fp8", random_weights=None)
    assert made.noise is not None
    assert made.noise < 0.2


def test_the_command_prints_what_to_type_next_and_keeps_chatter_in_a_log(tmp_path):
    command = [sys.executable, "-m", "graphfix", "quantize", str(MODELS / "sd3"), "--random-weights", "0", "--format", "int8"]
    done = subprocess.run(
        [*command, "--steps", "1", "--size", "sequence_length=16", "-o", "out"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "26 layers quantized, 7 kept" in done.stdout
    assert "next: graphfix validate" in done.stdout
    assert "Inserted" in (tmp_path / "out" / "quantize.log").read_text()


@pytest.mark.parametrize(
    ("options", "code", "what"),
    [
        (["--device", "cuda"], 3, "the installed torch has no CUDA"),
        ([], 1, "the folder holds no weights"),
    ],
)
def test_failures_are_one_message_and_an_exit_code(tmp_path, options, code, what):
    import torch

    if "cuda" in options and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = subprocess.run(
        [sys.executable, "-m", "graphfix", "quantize", str(MODELS / "sd3"), "-o", "out", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert what in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / "out" / "model.onnx").exists()


def test_what_a_killed_run_left_goes_with_the_next(quantize, tmp_path):
    """The raw export has the size of the whole model; `tools/faults.py --only quantize` kills for real."""
    left = ["out/.graphfix-export/exported.onnx", "out/.graphfix-export/onnx__MatMul_7", "out/inputs.npz.tmp-1-01234567"]
    (tmp_path / "out" / ".graphfix-export").mkdir(parents=True)
    for name in [*left, "out/notes.tmp-1-01234567"]:
        (tmp_path / name).write_text("left")
    made = quantize("sd3", format="int8")
    assert {path.name for path in made.path.parent.iterdir()} == {*FILES, "notes.tmp-1-01234567"}


def test_two_runs_do_not_share_a_folder(quantize, tmp_path):
    (tmp_path / "out" / ".graphfix-export").mkdir(parents=True)
    with only_writer(tmp_path / "out" / ".graphfix-export"), pytest.raises(UnavailableError, match="another graphfix is writing"):
        quantize("sd3", format="int8")
    assert not (tmp_path / "out" / "model.onnx").exists()
