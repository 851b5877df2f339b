"""Every format of every model: one call quantizes, exports and mends; the file passes all doors and computes what the module computes.

In float32 the graph and the fake-quantized torch module agree to rounding, which proves the graph. In float16 they round differently, and a
value next to a step of the quantizer falls on the other side; so there the distance is held against the quantization's own noise, of which
two independent draws lie a square root of two apart.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from graphfix.errors import ModelError

from .conftest import MODELS as FOLDER
from .conftest import needs_torch

pytestmark = needs_torch

MODELS = ("sd3", "sd35", "flux", "sdxl")
# Format, attention, and the oldest and newest GPU generation that has its types.
FORMATS = (
    ("nvfp4", "", ("sm120",)),
    ("nvfp4", "fp8", ("sm120",)),
    ("svdquant", "", ("sm120",)),
    ("fp8", "", ("sm89", "sm120")),
    ("int8", "", ("sm86", "sm120")),
    ("int8-sq", "", ("sm86", "sm120")),
    ("mxfp8", "", ("sm89", "sm120")),
    ("int4-awq", "", ("sm86", "sm120")),
)
CELLS = [pytest.param(m, *f, id="-".join(filter(None, (m, *f[:2])))) for m in MODELS for f in FORMATS]


def model_for(model: str, how: str) -> str:
    """INT4 needs layers with a multiple of 128 inputs."""
    return f"{model}_wide" if how == "int4-awq" else model


def distance(made) -> float:
    """Relative L2 distance between the file, its quantizers emulated on a CPU, and what the torch module computed."""
    from graphfix.validate.cpu import compare

    folder = made.path.parent
    found = compare(str(made.path), str(folder / "reference.npz"), {}, str(folder / "inputs.npz"))
    return next(iter(found["distance"].values()))["rel_l2"]


@pytest.mark.parametrize(("model", "how", "mha", "targets"), CELLS)
def test_the_file_passes_every_door(quantize, ort_door, model, how, mha, targets):
    import onnx

    from graphfix.validate.compile import compile_model

    made = quantize(model_for(model, how), format=how, mha=mha)
    assert made.plan.quantized
    assert bool(made.plan.attention) == bool(mha)
    onnx.checker.check_model(str(made.path), full_check=True)
    assert ort_door(made.path) == ""
    for target in targets:
        assert compile_model(made.path, target, made.shapes).ok
    assert distance(made) < 1.5 * made.noise


@pytest.mark.parametrize(("model", "how", "mha", "targets"), [c for c in CELLS if not c.values[2]])
def test_the_graph_computes_what_the_module_computes(quantize, model, how, mha, targets):
    found = []
    small = {"batch_size": 1, "height": 8, "width": 8, "sequence_length": 8, "packed_height_width": 16}
    # One value on a quantizer's edge is enough to send a whole sample elsewhere; a small one, of three, has none.
    for seed in range(3):
        found.append(distance(quantize(model_for(model, how), output=f"seed{seed}", format=how, dtype="fp32", seed=seed, sizes=small)))
        if found[-1] < 1e-5:
            return
    assert min(found) < 1e-3


@needs_torch
@pytest.mark.parametrize("model", MODELS)
def test_bfloat16(quantize, ort_door, model):
    made = quantize(model, format="nvfp4", dtype="bf16")
    assert ort_door(made.path) == ""


def test_other_token_counts_run(quantize, tmp_path):
    """Flux' rotary embedding is traced with a fixed token count; the mended file follows its inputs."""
    from graphfix.validate.cpu import run

    made = quantize("flux", format="int8")
    rng = np.random.default_rng(0)
    for tokens, text in ((64, 32), (16, 32), (144, 8)):
        feeds = {
            "hidden_states": rng.standard_normal((1, tokens, 64)).astype(np.float16),
            "encoder_hidden_states": rng.standard_normal((1, text, 64)).astype(np.float16),
            "pooled_projections": rng.standard_normal((1, 64)).astype(np.float16),
            "timestep": np.full(1, 0.5, np.float16),
            "img_ids": np.zeros((tokens, 3), np.float32),
            "txt_ids": np.zeros((text, 3), np.float32),
            "guidance": np.full(1, 3.5, np.float16),
        }
        np.savez(tmp_path / "feeds.npz", **feeds)
        _, outputs = run(str(made.path), {}, str(tmp_path / "feeds.npz"))
        assert next(iter(outputs.values())).shape == (1, tokens, 64)


def test_attention_that_fp8_does_not_fit_is_refused(quantize, tmp_path):
    config = json.loads((FOLDER / "sd3" / "config.json").read_text())
    odd = {**config, "attention_head_dim": 24, "num_attention_heads": 2, "caption_projection_dim": 48}
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text(json.dumps(odd))
    with pytest.raises(ModelError, match="finds no attention"):
        quantize(str(tmp_path / "odd"), format="nvfp4", mha="fp8")
