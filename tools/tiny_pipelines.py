"""Tiny SD3, Flux and SDXL pipelines with random weights: made from configurations, exported by optimum, run by ONNX Runtime.

A whole pipeline in ten megabytes, for trying what graphfix does to one without a network. It runs in an environment of its own:

    python -m venv optimum-env
    optimum-env/bin/pip install torch==2.13.0 "optimum-onnx[onnxruntime]==0.1.0" optimum==2.1.0 \\
        transformers==4.57.6 diffusers==0.39.0 accelerate

    python tools/tiny_pipelines.py make sd3 torch/                       # a diffusers folder
    python tools/tiny_pipelines.py export torch/ folder/ --dtype fp16     # optimum's folder with transformer/model.onnx
    python tools/tiny_pipelines.py backbone torch/ backbone.onnx          # the transformer alone, as ModelOpt's exporter writes it
    python tools/tiny_pipelines.py run folder/ image.npy --io-binding     # the pipeline on a CPU; .png works too
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

LATENT_CHANNELS = 16
TEXT_LENGTH = 16  # tokens of T5, as the pipeline's max_sequence_length
PROMPT = "a lighthouse"


def clip_tokenizer(length: int = 77) -> Any:
    """A CLIP tokenizer that knows single characters."""
    from transformers import CLIPTokenizer

    characters = [chr(c) for c in range(33, 127)]
    tokens = [*characters, *(c + "</w>" for c in characters), "<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary, merges = Path(folder) / "vocab.json", Path(folder) / "merges.txt"
        vocabulary.write_text(json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8")
        merges.write_text("#version: 0.2\n", encoding="utf-8")
        return CLIPTokenizer(str(vocabulary), str(merges), model_max_length=length)


def t5_tokenizer() -> Any:
    """A T5 tokenizer that knows single characters."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import T5TokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0), *((chr(c), -3.0) for c in range(33, 127))]
    made = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return T5TokenizerFast(tokenizer_object=made, extra_ids=0, model_max_length=512, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def clip(vocabulary: int, width: int) -> Any:
    """A CLIP text encoder of two layers."""
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=width,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )


def t5(vocabulary: int, width: int) -> Any:
    """A T5 encoder of two layers."""
    from transformers import T5Config, T5EncoderModel

    heads = 2
    return T5EncoderModel(
        T5Config(vocab_size=vocabulary, d_model=width, d_kv=width // heads, d_ff=2 * width, num_layers=2, num_heads=heads)
    )


def vae() -> Any:
    """A VAE that halves a picture three times, as those of SD3 and Flux do."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=4,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.06,
        scaling_factor=1.5,
        force_upcast=False,  # SDXL's pipeline would upcast the VAE, and optimum's has no weights to upcast
    )


def make_sd3() -> Any:
    """A Stable Diffusion 3 pipeline with two transformer blocks."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
    from transformers import CLIPTextModelWithProjection

    tokenizer, other, third = clip_tokenizer(), clip_tokenizer(), t5_tokenizer()
    width = 32
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=32,
            patch_size=2,
            in_channels=LATENT_CHANNELS,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=4,
            joint_attention_dim=2 * width,
            caption_projection_dim=64,
            pooled_projection_dim=2 * width,
            out_channels=LATENT_CHANNELS,
            pos_embed_max_size=32,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(),
        text_encoder=CLIPTextModelWithProjection(clip(len(tokenizer), width)),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(clip(len(other), width)),
        tokenizer_2=other,
        text_encoder_3=t5(len(third), 2 * width),
        tokenizer_3=third,
    )


def make_flux() -> Any:
    """A Flux pipeline with one double and one single transformer block, guidance embedded."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextModel

    tokenizer, second = clip_tokenizer(), t5_tokenizer()
    width = 64
    return FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=4 * LATENT_CHANNELS,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=32,
            num_attention_heads=2,
            joint_attention_dim=width,
            pooled_projection_dim=width,
            guidance_embeds=True,
            axes_dims_rope=(8, 12, 12),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae(),
        text_encoder=CLIPTextModel(clip(len(tokenizer), width)),
        tokenizer=tokenizer,
        text_encoder_2=t5(len(second), width),
        tokenizer_2=second,
    )


def make_sdxl() -> Any:
    """A Stable Diffusion XL pipeline whose UNet has one block with attention on each side."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    tokenizer, second = clip_tokenizer(), clip_tokenizer()
    width, ids = 32, 8
    return StableDiffusionXLPipeline(
        unet=UNet2DConditionModel(
            sample_size=8,
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(32, 64),
            layers_per_block=1,
            attention_head_dim=(2, 4),
            transformer_layers_per_block=(1, 1),
            use_linear_projection=True,
            cross_attention_dim=2 * width,
            norm_num_groups=8,
            addition_embed_type="text_time",
            addition_time_embed_dim=ids,
            projection_class_embeddings_input_dim=width + 6 * ids,
        ),
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        vae=vae(),
        text_encoder=CLIPTextModel(clip(len(tokenizer), width)),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(clip(len(second), width)),
        tokenizer_2=second,
    )


MAKERS = {"sd3": make_sd3, "flux": make_flux, "sdxl": make_sdxl}


def make(kind: str, folder: Path, seed: int = 0, gain: float = 1.0) -> None:
    """Write a pipeline with seeded random weights as diffusers does.

    Args:
        kind: A key of `MAKERS`.
        folder: Where to.
        seed: Of the weights.
        gain: What the backbone's matrices in blocks are multiplied by. With 1 the blocks hardly change what passes them, and neither
            does quantizing them.
    """
    import torch

    torch.manual_seed(seed)
    pipeline = MAKERS[kind]()
    with torch.no_grad():  # diffusers starts some layers at zero, and then no input matters
        for name, parameter in (pipeline.unet if kind == "sdxl" else pipeline.transformer).named_parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
            if parameter.dim() == 2 and "blocks" in name:
                parameter.mul_(gain)
    pipeline.save_pretrained(folder)


def export(source: Path, folder: Path, dtype: str = "fp32", opset: int = 20) -> None:
    """Write optimum's folder. It is not validated, because optimum's own tolerances miss for fp16."""
    from optimum.exporters.onnx import main_export

    main_export(str(source), folder, task="text-to-image", dtype=dtype, opset=opset, do_validation=False)


def backbone(source: Path, target: Path, dtype: str = "fp16", opset: int = 20, tokens: int = 64) -> None:
    """Export the transformer alone, with the names and dynamic axes that ModelOpt's diffusers exporter gives.

    Args:
        source: A folder that `make` wrote.
        target: The ``.onnx`` file; its weights go to ``<target>_data`` beside it.
        dtype: fp32 or fp16.
        opset: ONNX opset.
        tokens: Image tokens to trace with: a square number.
    """
    import onnx
    import torch

    kind = torch.float16 if dtype == "fp16" else torch.float32
    name = json.loads((source / "model_index.json").read_text(encoding="utf-8"))["_class_name"]
    family = next(found for key, found in _BACKBONES.items() if key in name)
    model, inputs, axes, output = family(torch, source, kind, tokens)
    if "Flux" in name:
        _let_the_exporter_write_rms_norm(torch, opset)
    flat = [n for value in inputs.items() for n in (value[1] if isinstance(value[1], dict) else value[:1])]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        draft = Path(folder) / "draft.onnx"
        torch.onnx.export(
            model.eval(),
            (),
            str(draft),
            kwargs={**inputs, "return_dict": False},
            input_names=flat,
            output_names=[output],
            dynamic_axes=axes,
            opset_version=opset,
            dynamo=False,
        )
        Path(f"{target}_data").unlink(missing_ok=True)
        onnx.save(onnx.load(draft), target, save_as_external_data=True, location=f"{target.name}_data", size_threshold=100)


PICTURE = {0: "batch_size", 1: "num_channels", 2: "height", 3: "width"}
TEXT = {0: "batch_size", 1: "sequence_length"}


def _sd3(torch: Any, source: Path, kind: Any, tokens: int) -> tuple[Any, dict[str, Any], dict[str, Any], str]:
    from diffusers import SD3Transformer2DModel

    model, side = SD3Transformer2DModel.from_pretrained(source / "transformer", torch_dtype=kind), 2 * int(tokens**0.5)
    inputs = {
        "hidden_states": torch.randn(2, model.config.in_channels, side, side, dtype=kind),
        "encoder_hidden_states": torch.randn(2, 77 + TEXT_LENGTH, model.config.joint_attention_dim, dtype=kind),
        "pooled_projections": torch.randn(2, model.config.pooled_projection_dim, dtype=kind),
        "timestep": torch.full((2,), 500.0, dtype=kind),
    }
    axes = {"hidden_states": PICTURE, "sample": PICTURE, "pooled_projections": {0: "batch_size"}, "timestep": {0: "steps"}}
    return model, inputs, {**axes, "encoder_hidden_states": TEXT}, "sample"


def _flux(torch: Any, source: Path, kind: Any, tokens: int) -> tuple[Any, dict[str, Any], dict[str, Any], str]:
    from diffusers import FluxTransformer2DModel

    model = FluxTransformer2DModel.from_pretrained(source / "transformer", torch_dtype=kind)
    inputs = {
        "hidden_states": torch.randn(2, tokens, model.config.in_channels, dtype=kind),
        "encoder_hidden_states": torch.randn(2, TEXT_LENGTH, model.config.joint_attention_dim, dtype=kind),
        "pooled_projections": torch.randn(2, model.config.pooled_projection_dim, dtype=kind),
        "timestep": torch.full((2,), 0.5, dtype=kind),
        "img_ids": torch.zeros(tokens, 3),
        "txt_ids": torch.zeros(TEXT_LENGTH, 3),
        "guidance": torch.full((2,), 3.5),
    }
    axes = {name: {0: "batch_size"} for name in ("encoder_hidden_states", "pooled_projections", "timestep", "guidance", "latent")}
    return model, inputs, {**axes, "hidden_states": {0: "batch_size", 1: "latent_dim"}, "img_ids": {0: "latent_dim"}}, "latent"


def _sdxl(torch: Any, source: Path, kind: Any, tokens: int) -> tuple[Any, dict[str, Any], dict[str, Any], str]:
    from diffusers import UNet2DConditionModel

    model, side = UNet2DConditionModel.from_pretrained(source / "unet", torch_dtype=kind), int(tokens**0.5)
    pooled = model.config.projection_class_embeddings_input_dim - 6 * model.config.addition_time_embed_dim
    inputs = {
        "sample": torch.randn(2, model.config.in_channels, side, side, dtype=kind),
        "timestep": torch.ones(1, dtype=kind),
        "encoder_hidden_states": torch.randn(2, 77, model.config.cross_attention_dim, dtype=kind),
        "added_cond_kwargs": {"text_embeds": torch.randn(2, pooled, dtype=kind), "time_ids": torch.ones(2, 6, dtype=kind)},
    }
    axes = {"sample": PICTURE, "latent": PICTURE, "timestep": {0: "steps"}, "encoder_hidden_states": TEXT}
    return model, inputs, {**axes, "text_embeds": {0: "batch_size"}, "time_ids": {0: "batch_size"}}, "latent"


_BACKBONES = {"Diffusion3": _sd3, "Flux": _flux, "XL": _sdxl}


def _let_the_exporter_write_rms_norm(torch: Any, opset: int) -> None:
    """torch's TorchScript exporter has no rule for ``aten::rms_norm``, which Flux uses in diffusers 0.35 and newer."""

    def rms_norm(g: Any, x: Any, _shape: Any, weight: Any = None, eps: Any = None) -> Any:
        small = torch.onnx.symbolic_helper._maybe_get_const(eps, "f") or 1e-6
        wide = g.op("Cast", x, to_i=1)
        mean = g.op("ReduceMean", g.op("Mul", wide, wide), g.op("Constant", value_t=torch.tensor([-1])))
        root = g.op("Sqrt", g.op("Add", mean, g.op("Constant", value_t=torch.tensor(small))))
        normed = g.op("CastLike", g.op("Div", wide, root), x)
        return normed if torch.onnx.symbolic_helper._is_none(weight) else g.op("Mul", normed, weight)

    torch.onnx.register_custom_op_symbolic("aten::rms_norm", rms_norm, opset)


def run(
    folder: Path, *, io_binding: bool = False, steps: int = 3, size: int = 64, guidance: float = 4.0, text: int = TEXT_LENGTH, seed: int = 0
) -> Any:
    """The picture that a folder of optimum makes on the CPU. Prints the pipeline's class.

    Returns:
        float32 array of shape (1, size, size, 3), values 0 to 1.
    """
    import torch
    from optimum.onnxruntime import ORTDiffusionPipeline

    pipeline = ORTDiffusionPipeline.from_pretrained(folder, provider="CPUExecutionProvider", use_io_binding=io_binding, export=False)
    pipeline.set_progress_bar_config(disable=True)
    print(type(pipeline).__name__)
    arguments = {"num_inference_steps": steps, "height": size, "width": size, "guidance_scale": guidance}
    if "XL" not in type(pipeline).__name__:
        arguments["max_sequence_length"] = text
    return pipeline(PROMPT, generator=torch.Generator().manual_seed(seed), output_type="np", **arguments).images


def _save_image(image: Any, path: Path) -> None:
    import numpy as np

    if path.suffix == ".npy":
        np.save(path, image)
        return
    from PIL import Image

    Image.fromarray((image[0] * 255).round().astype("uint8")).save(path)


def main() -> None:
    """Parse and call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("make", help="write a diffusers folder with random weights")
    verb.add_argument("kind", choices=sorted(MAKERS))
    verb.add_argument("folder", type=Path)
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--gain", type=float, default=1.0, help="make the backbone's blocks matter more")
    verb = verbs.add_parser("export", help="export it with optimum")
    verb.add_argument("source", type=Path)
    verb.add_argument("folder", type=Path)
    verb.add_argument("--dtype", choices=["fp32", "fp16"], default="fp32")
    verb.add_argument("--opset", type=int, default=20)
    verb = verbs.add_parser("backbone", help="export the transformer alone as ModelOpt's exporter does")
    verb.add_argument("source", type=Path)
    verb.add_argument("target", type=Path)
    verb.add_argument("--dtype", choices=["fp32", "fp16"], default="fp16")
    verb.add_argument("--opset", type=int, default=20)
    verb.add_argument("--tokens", type=int, default=64)
    verb = verbs.add_parser("run", help="run optimum's folder and save the picture")
    verb.add_argument("folder", type=Path)
    verb.add_argument("image", type=Path)
    verb.add_argument("--io-binding", action="store_true")
    verb.add_argument("--steps", type=int, default=3)
    verb.add_argument("--size", type=int, default=64)
    verb.add_argument("--guidance", type=float, default=4.0)
    verb.add_argument("--text", type=int, default=TEXT_LENGTH, help="max_sequence_length")
    given = vars(parser.parse_args())
    name = given.pop("verb")
    if name == "run":
        image = given.pop("image")
        _save_image(run(given.pop("folder"), **given), image)
    else:
        {"make": make, "export": export, "backbone": backbone}[name](**given)


if __name__ == "__main__":
    main()
