"""What a pipeline of optimum passes to its backbone and takes from it: tables only.

Source: optimum-onnx 0.1.0, ``optimum/onnxruntime/modeling_diffusion.py`` (``ORTUnet.forward``, ``ORTTransformer.forward``) and
``base.py`` (``_prepare_io_binding``, ``_prepare_onnx_inputs``); diffusers 0.39.0 for what the pipelines feed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

DT = ir.DataType

BATCH, CHANNELS, HEIGHT, WIDTH = "batch", "channels", "height", "width"
TOKENS, TEXT, TEXT_WIDTH, POOLED, STEP, OTHER = "image tokens", "text tokens", "text width", "pooled width", "step", ""

# (component, input, rank) -> what each axis counts. optimum feeds inputs by name, so here, and only here, names decide.
AXES: Mapping[tuple[str, str, int], tuple[str, ...]] = {
    ("transformer", "hidden_states", 4): (BATCH, CHANNELS, HEIGHT, WIDTH),
    ("transformer", "hidden_states", 3): (BATCH, TOKENS, CHANNELS),
    ("transformer", "encoder_hidden_states", 3): (BATCH, TEXT, TEXT_WIDTH),
    ("transformer", "encoder_attention_mask", 2): (BATCH, TEXT),
    ("transformer", "pooled_projections", 2): (BATCH, POOLED),
    ("transformer", "timestep", 1): (BATCH,),
    ("transformer", "guidance", 1): (BATCH,),
    ("transformer", "img_ids", 2): (TOKENS, OTHER),
    ("transformer", "txt_ids", 2): (TEXT, OTHER),
    ("unet", "sample", 4): (BATCH, CHANNELS, HEIGHT, WIDTH),
    ("unet", "encoder_hidden_states", 3): (BATCH, TEXT, TEXT_WIDTH),
    ("unet", "timestep", 1): (STEP,),
    ("unet", "text_embeds", 2): (BATCH, OTHER),
    ("unet", "time_ids", 2): (BATCH, OTHER),
}

# (component, what an axis counts) -> the field of config.json that the pipeline takes its size from.
CONFIG: Mapping[tuple[str, str], str] = {
    ("transformer", CHANNELS): "in_channels",
    ("transformer", TEXT_WIDTH): "joint_attention_dim",
    ("transformer", POOLED): "pooled_projection_dim",
    ("unet", CHANNELS): "in_channels",
    ("unet", TEXT_WIDTH): "cross_attention_dim",
}

# Inputs that may have rank 0 or 1, because optimum looks at the rank and adapts what it passes.
SCALAR_OR_NOT = frozenset({("unet", "timestep")})

# Element types that optimum casts numpy arrays to (onnxruntime/transformers/io_binding_helper.py, TypeHelper).
CASTABLE = frozenset({DT.FLOAT, DT.FLOAT16, DT.DOUBLE, DT.INT64, DT.INT32, DT.INT16, DT.INT8, DT.UINT8, DT.BOOL})
FLOATS = (DT.FLOAT16, DT.FLOAT)  # what an image can be computed in, narrow first


@dataclass(frozen=True)
class Backbone:
    """How the pipelines of one family use their backbone.

    Attributes:
        component: Its folder.
        family: A part of the pipeline's class name; empty for all others.
        image: The input whose batch and size the output has.
        output: What the output must be called.
        why: What happens under another name.
        mistyped: What happens if it is not of the type that the pipeline works in.
        guided: Whether guidance doubles the batch.
    """

    component: str
    family: str
    image: str
    output: str
    why: str
    mistyped: str
    guided: bool = True


ROUNDED = "the scheduler gives latents the output's type, so they would change theirs after the first step"

# The first row that fits.
BACKBONES = (
    Backbone(
        "transformer",
        "Flux",
        "hidden_states",
        "out_hidden_states",
        "IO binding knows the shape of the output 'out_hidden_states' and must guess that of others from invented axis names",
        ROUNDED,
        guided=False,
    ),
    Backbone(
        "transformer",
        "",
        "hidden_states",
        "sample",
        "IO binding writes an output called 'out_hidden_states' over the pipeline's latents: without guidance, or in another type, "
        "the picture is silently wrong",
        ROUNDED,
    ),
    Backbone(
        "unet",
        "",
        "sample",
        "out_sample",
        "optimum looks for 'out_sample' and fails with KeyError",
        "IO binding writes it into the pipeline's buffer and reads its bits as the other type: noise, and no error",
    ),
)


def backbone(component: str, pipeline: str) -> Backbone:
    """The row for a component of a pipeline class such as ``FluxPipeline``."""
    return next(row for row in BACKBONES if row.component == component and row.family in pipeline)
