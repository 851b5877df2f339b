"""Folders as optimum exports them, small: a real backbone, text encoders of two nodes, the configurations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import graphfix
from tests.conftest import ALL

ENCODER = """<ir_version: 9, opset_import: ["" : 20]>
g (int64[batch_size,sequence_length] input_ids) => (KIND[batch_size,sequence_length] text_embeds)
{ text_embeds = Cast <to = NUMBER> (input_ids) }
"""
TYPES = {"float": onnx.TensorProto.FLOAT, "float16": onnx.TensorProto.FLOAT16}

WIDE = "hidden_states=FLOAT,encoder_hidden_states=FLOAT,pooled_projections=FLOAT,timestep=FLOAT,sample=FLOAT"
SD3 = f"symbolic-dims{{steps=step}},io-types{{{WIDE}}},io{{sample=out_hidden_states}}"
FLUX = "trtrtx,io-types{img_ids=INT64,txt_ids=INT64,latent=FLOAT},io{latent=out_hidden_states}"
# kind: component, pipeline class, export, passes that give it optimum's interface, fields of config.json, text encoders
KINDS = {
    "sd3": (
        "transformer",
        "StableDiffusion3Pipeline",
        "sd3_none_20",
        SD3,
        {"in_channels": 16, "joint_attention_dim": 64, "pooled_projection_dim": 64, "out_channels": 16},
        ("text_encoder", "text_encoder_2", "text_encoder_3"),
    ),
    "flux": (
        "transformer",
        "FluxPipeline",
        "flux_fp8_20",
        FLUX,
        {"in_channels": 64, "joint_attention_dim": 64, "pooled_projection_dim": 64, "out_channels": None, "guidance_embeds": True},
        ("text_encoder", "text_encoder_2"),
    ),
    "sdxl": (
        "unet",
        "StableDiffusionXLPipeline",
        "sdxl_int8_20",
        "symbolic-dims,io-types{latent=FLOAT},io{latent=out_sample}",
        {"in_channels": 4, "cross_attention_dim": 64},
        ("text_encoder", "text_encoder_2"),
    ),
}


def make_pipeline(root: Path, kind: str, text: str = "float") -> Path:
    """Write a pipeline's folder whose text encoders return ``text``."""
    component, name, export, passes, config, encoders = KINDS[kind]
    (root / component).mkdir(parents=True)
    (root / "model_index.json").write_text(json.dumps({"_class_name": name, component: ["diffusers", "Model"]}))
    (root / component / "config.json").write_text(json.dumps(config))
    model = root / component / "model.onnx"
    graphfix.apply(ALL[export].path, passes).save(model)
    if kind == "flux":
        _let_text_vary(model)
    for encoder in encoders:
        (root / encoder).mkdir()
        source = ENCODER.replace("KIND", text).replace("NUMBER", str(TYPES[text]))
        (root / encoder / "model.onnx").write_bytes(onnx.parser.parse_model(source).SerializeToString())
    (root / "tokenizer").mkdir()
    (root / "tokenizer" / "tokenizer_config.json").write_text('{"model_max_length": 77}')
    (root / "vae_decoder").mkdir()
    (root / "vae_decoder" / "config.json").write_text('{"block_out_channels": [8, 8, 8, 8]}')
    return root


@pytest.fixture
def pipeline(tmp_path) -> Callable[..., Path]:
    """``pipeline("sd3")``: a folder with float32 text encoders; ``pipeline("sd3", "float16")``: with such."""
    return lambda kind, text="float": make_pipeline(tmp_path / f"{kind}_{text}", kind, text)


def _let_text_vary(path: Path) -> None:
    """optimum's export of Flux takes any text length; the one at hand was traced with a fixed one."""
    model = onnx.load(path, load_external_data=False)
    for value in model.graph.input:
        axis = {"encoder_hidden_states": 1, "txt_ids": 0}.get(value.name)
        if axis is not None:
            value.type.tensor_type.shape.dim[axis].dim_param = "sequence_length"
    path.write_bytes(model.SerializeToString())


DENOISER = """<ir_version: 10, opset_import: ["" : 20]>
g (float[batch_size,16,height,width] hidden_states, float[batch_size,sequence_length,64] encoder_hidden_states,
   float[batch_size,64] pooled_projections, float[step] timestep) => (float[batch_size,16,height,width] OUTPUT)
{
  picture = Conv (hidden_states, picture_weight)
  words = MatMul (encoder_hidden_states, words_weight)
  pooled = MatMul (pooled_projections, pooled_weight)
  a = ReduceMean <keepdims = 0> (words)
  b = ReduceMean <keepdims = 0> (pooled)
  c = ReduceMean <keepdims = 0> (timestep)
  d = Sum (a, b, c)
  OUTPUT = Add (picture, d)
}"""


@pytest.fixture
def denoiser(tmp_path) -> Callable[..., Path]:
    """``denoiser("a.onnx", 1)``: the interface of SD3 around eight nodes, weights by seed in a file beside it. A crash needs no more."""

    def make(name: str, seed: int, output: str = "sample") -> Path:
        model, rng = onnx.parser.parse_model(DENOISER.replace("OUTPUT", output)), np.random.default_rng(seed)
        for weight, shape in (("picture", (16, 16, 1, 1)), ("words", (64, 64)), ("pooled", (64, 64))):
            array = rng.standard_normal(shape).astype(np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, f"{weight}_weight"))
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        onnx.save(model, path, save_as_external_data=True, location=f"{path.name}_data", size_threshold=0)
        return path

    return make


@pytest.fixture
def bytes_of() -> Callable[[Path], dict[str, str]]:
    """SHA-256 of every file in a folder."""

    def take(folder: Path) -> dict[str, str]:
        return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}

    return take


@pytest.fixture
def fixed(exports, tmp_path) -> Callable[..., Path]:
    """``fixed("sd3_nvfp4_20")``: an export after ``trtrtx`` and further passes, in a folder of its own."""

    def make(name: str, more: str = "") -> Path:
        folder = tmp_path / f"backbone_{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return graphfix.apply(exports[name].path, ",".join(filter(None, ("trtrtx", more)))).save(folder / f"{name}.onnx").path

    return make
