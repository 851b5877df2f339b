"""Real exports of tiny models as they come from ModelOpt: from torch, finished by ModelOpt's exporters, or in older releases' form.

What `make_fixtures.py` and `quantize_matrix.py` share. Weights, calibration and sample are seeded. Needs `graphfix[quantize]`.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from graphfix.quantize import block_quantizer, export, layers, recipes, samples, source
from graphfix.quantize.recipes import Backbone

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "fixtures" / "models"
EXAMPLE = ROOT / "tools" / "modelopt_example"
STEPS = 2
# Formats whose preset in ModelOpt names no class of layers: inputs of normalizations are quantized too.
EVERY_INPUT = frozenset({"fp8", "int8", "int8-sq", "mxfp8"})


@dataclass(frozen=True)
class Kind:
    """One export.

    Attributes:
        model: A folder of ``fixtures/models``.
        format: One of `graphfix.quantize.recipes.formats`; empty: not quantized.
        mha: ``fp8`` or empty.
        style: ``raw`` as torch writes it; ``modelopt`` finished by ModelOpt's exporter; ``0.46`` and ``older`` as former releases
            finished NVFP4; ``example`` the diffusers example's own way around FP8 convolutions.
        example: Names and axes as ModelOpt's diffusers example gives them, instead of graphfix's.
    """

    model: str
    format: str = ""
    mha: str = ""
    style: str = "raw"
    example: bool = True
    dtype: str = "fp16"
    seed: int = 0


@dataclass(frozen=True)
class Made:
    """The file and what torch computes for one sample."""

    proto: onnx.ModelProto
    inputs: dict[str, np.ndarray]
    reference: np.ndarray
    unquantized: np.ndarray


def recipe_of(kind: Kind) -> Backbone:
    name = kind.model.removesuffix("_wide")
    return recipes.read(EXAMPLE / f"{name}.toml") if kind.example else recipes.recipe_for(source.find(str(MODELS / kind.model)).cls)


def make(kind: Kind, sizes: dict[str, int] | None = None) -> Made:
    """Quantize, export and finish."""
    found, recipe = source.find(str(MODELS / kind.model)), recipe_of(kind)
    model = source.load(found, kind.dtype, "cpu", random_weights=0)
    dtype = next(model.parameters()).dtype
    wanted = samples.shapes(recipe, found.config, sizes or {})
    torch.manual_seed(kind.seed)

    def arguments(sample: samples.Arrays) -> dict[str, Any]:
        return export.arguments(sample, recipe, dtype, torch.device("cpu"))

    def calibrate(module: torch.nn.Module) -> None:
        with torch.inference_mode():
            for sample in samples.random(recipe, wanted, kind.seed, STEPS):
                module(**arguments(sample))

    given = arguments(next(samples.random(recipe, wanted, kind.seed + 1, 1)))
    with block_quantizer.installed(), tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        unquantized = model(**given)[0]
        if kind.format:
            how = recipes.formats()[kind.format]
            mha = recipes.mhas()[kind.mha] if kind.mha else None
            plan = layers.plan(model, recipe, how, mha)
            config = layers.configuration(model, plan, how, mha, kind.dtype)
            if kind.example and kind.format in EVERY_INPUT:
                config["quant_cfg"] = [{k: v for k, v in rule.items() if k != "parent_class"} for rule in config["quant_cfg"]]
            model = layers.quantize(model, config, calibrate)
        reference = model(**given)[0]
        if kind.style == "example":
            as_int8(model)
        path = Path(folder) / "model.onnx"
        export.export(model, given, recipe, found.config, path)
        proto = onnx.load(path)
    flat = {name: tensor.numpy() for name, tensor in export.graph_inputs(given).items()}
    return Made(finish(proto, kind), flat, reference.numpy(), unquantized.numpy())


def finish(proto: onnx.ModelProto, kind: Kind) -> onnx.ModelProto:
    """What stands between torch's file and the one that users have."""
    if kind.style == "raw":
        return proto
    if kind.style == "example":
        return fp8_zero_points(proto)
    from modelopt.onnx import export as exporters

    if kind.format == "fp8":
        return exporters.FP8QuantExporter.process_model(proto)
    if kind.format == "mxfp8":
        return exporters.MXFP8QuantExporter.process_model(proto)
    if kind.format == "int4-awq":
        # Without post_process, which asserts a node order that only language models have.
        exporter = exporters.INT4QuantExporter
        return exporter.compress_weights(exporter.compute_scales(exporter.pre_process(onnx.shape_inference.infer_shapes(proto))))
    raw = {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
    made = exporters.NVFP4QuantExporter.process_model(proto)
    if kind.style == "modelopt":
        return made
    for entry in made.opset_import:  # before 0.47 the exporter left the opset as torch wrote it
        if not entry.domain:
            entry.version = export.OPSET
    if kind.style == "0.46":
        unrounded_weights(made, raw)
    if kind.style == "older":
        activation_domain(made)
    return made


def as_int8(model: torch.nn.Module) -> None:
    """The example exports FP8 layers as INT8 with a scale that is FP8's, and relabels the zero points afterwards."""
    for module in model.modules():
        quantizers = [getattr(module, f"{name}_quantizer", None) for name in ("input", "weight")]
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) and getattr(quantizers[0], "_amax", None) is not None:
            for quantizer in quantizers:
                quantizer._num_bits = 8
                quantizer._amax = quantizer._amax * (127 / 448.0)


def fp8_zero_points(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The other half of `as_int8`."""
    zeros = {n.input[2] for n in proto.graph.node if n.op_type == "QuantizeLinear" and len(n.input) > 2}
    for node in proto.graph.node:
        if node.op_type == "Constant" and node.output[0] in zeros:
            node.attribute[0].t.data_type = onnx.TensorProto.FLOAT8E4M3FN
    return proto


def unrounded_weights(proto: onnx.ModelProto, raw: dict[str, np.ndarray]) -> None:
    """FP4 codes as ModelOpt 0.46 computed them: divided by the block scale before it was rounded to FP8."""
    steps = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    for tensor in proto.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT4E2M1:
            continue
        weight = raw[tensor.name.removesuffix("_f4")].astype(np.float32)
        blocks = weight.reshape(*weight.shape[:-1], -1, 16)
        whole = np.abs(weight).max() / np.float32(6 * 448)
        scale = np.abs(blocks).max(-1, keepdims=True) / np.float32(6)
        quotient = blocks / np.where(scale == 0, whole, scale)
        middles = (steps[1:] + steps[:-1]) / 2
        size = np.abs(quotient)
        code = np.searchsorted(middles, size) + np.isin(size, middles[1::2])
        flat = (code + 8 * (quotient < 0)).astype(np.uint8).reshape(-1)
        tensor.raw_data = (flat[::2] | flat[1::2] << 4).tobytes()


def activation_domain(proto: onnx.ModelProto) -> None:
    """Before 0.46 activations were dequantized by an operator of domain trt."""
    dynamic = {output for n in proto.graph.node if n.op_type == "TRT_FP4DynamicQuantize" for output in n.output}
    for node in proto.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in dynamic:
            node.domain = "trt"


def write(proto: onnx.ModelProto, path: Path) -> None:
    """As ModelOpt's example saves: one data file beside, smaller tensors inside."""
    data = path.with_name(path.name + "_data")
    for old in (path, data):
        old.unlink(missing_ok=True)
    onnx.save(proto, path, save_as_external_data=True, all_tensors_to_one_file=True, location=data.name, size_threshold=1024)
    for made in (path, data):
        made.chmod(0o644)
