"""Which layers are quantized, and ModelOpt's configuration for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from graphfix.errors import ModelError
from graphfix.quantize.recipes import Backbone, Format, Mha

if TYPE_CHECKING:
    import torch

# How ModelOpt names a 16-bit type.
PRECISION = {"fp16": "Half", "bf16": "BFloat16", "fp32": "Float"}


@dataclass(frozen=True)
class Plan:
    """What becomes of each layer.

    Attributes:
        quantized: Names of modules.
        kept: Name and reason of each module of a quantizable class that keeps its type.
        attention: Names of attention modules whose operands are quantized.
    """

    quantized: tuple[str, ...]
    kept: dict[str, str] = field(default_factory=dict)
    attention: tuple[str, ...] = ()


def plan(model: torch.nn.Module, recipe: Backbone, how: Format, mha: Mha | None) -> Plan:
    """Decide for every layer.

    Raises:
        ModelError: Nothing would be quantized.
    """
    import torch

    classes = tuple(getattr(torch.nn, name) for name in how.modules)
    quantized: list[str] = []
    kept: dict[str, str] = {}
    for name, module in model.named_modules():
        if not isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            continue
        pattern = next((p for p in recipe.keep if fnmatchcase(name, p)), None)
        size = module.in_features if isinstance(module, torch.nn.Linear) else 0
        if not isinstance(module, classes):
            kept[name] = f"{how.name} quantizes {' and '.join(how.modules)} only"
        elif pattern is not None:
            kept[name] = f"the recipe keeps {pattern}"
        elif size % how.block:
            kept[name] = f"blocks of {how.block} do not divide its {size} inputs"
        else:
            quantized.append(name)
    if not quantized:
        raise ModelError(
            f"{how.name} leaves no layer of this model to quantize",
            why=next(iter(kept.values()), "it has no Linear or Conv2d"),
            hint="another --format, or a recipe that keeps fewer layers",
        )
    attention = tuple(name for name, size in heads(model).items() if mha is not None and size % mha.head_multiple == 0)
    if mha is not None and not attention:
        raise ModelError(
            f"--mha {mha.name} finds no attention to quantize",
            why=f"head sizes are {sorted(set(heads(model).values()))}; multiples of {mha.head_multiple} are needed",
            hint="leave --mha out",
        )
    return Plan(tuple(quantized), kept, attention)


def heads(model: torch.nn.Module) -> dict[str, int]:
    """The head size of every attention module of diffusers, by name."""
    return {
        name: int(module.inner_dim) // int(module.heads)
        for name, module in model.named_modules()
        if isinstance(getattr(module, "inner_dim", None), int) and isinstance(getattr(module, "heads", None), int)
    }


def configuration(model: torch.nn.Module, chosen: Plan, how: Format, mha: Mha | None, dtype: str) -> dict[str, Any]:
    """What ``modelopt.torch.quantization.quantize`` takes: rules in order, later ones win."""
    precision = PRECISION[dtype]
    rules: list[dict[str, Any]] = [{"quantizer_name": "*", "enable": False}]
    for cls in how.modules:
        for quantizer, numbers in (("weight_quantizer", how.weights), ("input_quantizer", how.activations)):
            if numbers is not None:
                rules.append({"parent_class": f"nn.{cls}", "quantizer_name": f"*{quantizer}", "cfg": _numerics(numbers, precision)})
    rules += [{"quantizer_name": f"{name}.*", "enable": False} for name in chosen.kept]
    if mha is not None:
        numbers = _numerics(mha.numerics, precision)
        rules += [{"quantizer_name": f"*{quantizer}", "cfg": numbers} for quantizer in mha.quantizers]
        rules += [
            {"quantizer_name": f"{name}.{quantizer}", "enable": False}
            for name in heads(model)
            if name not in chosen.attention
            for quantizer in mha.quantizers
        ]
    return {"quant_cfg": rules, "algorithm": dict(how.algorithm)}


def _numerics(numbers: Mapping[str, Any], precision: str) -> dict[str, Any]:
    """A row of [numerics] in ModelOpt's terms."""
    made: dict[str, Any] = {"trt_high_precision_dtype": precision, "axis": numbers.get("axis")}
    made["num_bits"] = tuple(numbers["num_bits"]) if isinstance(numbers["num_bits"], list) else numbers["num_bits"]
    blocks = numbers.get("block_sizes")
    if blocks is not None:
        made["block_sizes"] = {-1: blocks["last"], **{k: v for k, v in blocks.items() if k == "type"}}
        if "scale_bits" in blocks:
            made["block_sizes"]["scale_bits"] = tuple(blocks["scale_bits"])
    return made


def quantize(model: torch.nn.Module, config: dict[str, Any], calibrate: Callable[[torch.nn.Module], None]) -> torch.nn.Module:
    """Insert ModelOpt's quantizers and calibrate them; the module is changed in place."""
    import modelopt.torch.quantization as mtq

    made: torch.nn.Module = mtq.quantize(model, config, forward_loop=calibrate)
    return made
