"""The graph: torch's TorchScript exporter, with what it lacks for these models.

torch.export (``dynamo=True``) cannot take ModelOpt's quantizers (measured with torch 2.13.0 and nvidia-modelopt 0.47.0). The TorchScript
exporter writes the same graph for every opset from 20 to 23, so 20 it is, and graphfix's own migration does the rest knowing what it does.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphfix.quantize.recipes import Backbone
from graphfix.quantize.samples import Arrays, graph_name

if TYPE_CHECKING:
    import torch

OPSET = 20


def arguments(sample: Arrays, recipe: Backbone, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """A sample as keyword arguments of the backbone's ``forward``."""
    import torch

    made: dict[str, Any] = {}
    for name, array in sample.items():
        kind = getattr(torch, recipe.dtypes[name]) if name in recipe.dtypes else dtype
        tensor = torch.from_numpy(array).to(device=device, dtype=kind if array.dtype.kind == "f" else None)
        outer, _, inner = name.partition(".")
        if inner:
            made.setdefault(outer, {})[inner] = tensor
        else:
            made[outer] = tensor
    return {**made, "return_dict": False}


def graph_inputs(given: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors of `arguments` by the graph's input names, on the CPU."""
    made = {}
    for name, value in given.items():
        if isinstance(value, dict):
            made.update(graph_inputs(value))
        elif hasattr(value, "detach"):
            made[name] = value.detach().cpu()
    return made


def export(model: torch.nn.Module, sample: dict[str, Any], recipe: Backbone, config: Mapping[str, Any], path: Path) -> None:
    """Write the graph with its weights.

    Args:
        model: The quantized backbone.
        sample: Keyword arguments to trace with, from `arguments`.
        recipe: Names and dynamic axes.
        config: The model's config.json.
        path: The ``.onnx`` file; beyond 2 GB weights go to files of their own beside it.
    """
    import torch
    from modelopt.torch.quantization.export_onnx import configure_linear_module_onnx_quantizers

    axes = recipe.present(config)
    # The exporter numbers inputs by the order of forward's parameters, whatever order they are given in.
    order = {name: i for i, name in enumerate(inspect.signature(type(model).forward).parameters)}
    names = sorted(axes, key=lambda name: order.get(name.partition(".")[0], len(order)))
    dynamic = {graph_name(name): recipe.dynamic(axes[name]) for name in names}
    dynamic[recipe.output] = dict(recipe.output_axes)
    with _quiet(), torch.inference_mode(), configure_linear_module_onnx_quantizers(model), _rms_norm():
        torch.onnx.export(
            model,
            (),
            str(path),
            kwargs=sample,
            input_names=[graph_name(name) for name in names],
            output_names=[recipe.output],
            dynamic_axes={name: found for name, found in dynamic.items() if found},
            do_constant_folding=True,
            opset_version=OPSET,
            dynamo=False,
        )


@contextlib.contextmanager
def _rms_norm() -> Iterator[None]:
    """torch.nn.RMSNorm (Flux) has no form before opset 23: what it computes, in float32 as torch does."""
    import torch
    from torch.onnx import symbolic_helper

    def rms_norm(g: Any, x: Any, normalized_shape: Any, weight: Any, eps: Any) -> Any:
        dims = symbolic_helper._maybe_get_const(normalized_shape, "is")
        tiny = symbolic_helper._maybe_get_const(eps, "f")
        kind = x.type().scalarType()
        if symbolic_helper._is_none(tiny) or not isinstance(tiny, float):
            tiny = torch.finfo({"Half": torch.float16, "BFloat16": torch.bfloat16}.get(kind, torch.float32)).eps
        wide = g.op("Cast", x, to_i=1)
        two = g.op("Constant", value_t=torch.tensor(2.0))
        axes = g.op("Constant", value_t=torch.arange(-len(dims), 0))
        mean = g.op("ReduceMean", g.op("Pow", wide, two), axes, keepdims_i=1)
        root = g.op("Sqrt", g.op("Add", mean, g.op("Constant", value_t=torch.tensor(tiny))))
        normal = g.op("Div", wide, root)
        if not symbolic_helper._is_none(weight):
            normal = g.op("Mul", normal, g.op("Cast", weight, to_i=1))
        return g.op("Cast", normal, to_i={"Half": 10, "BFloat16": 16}.get(kind, 1)).setType(x.type())

    torch.onnx.register_custom_op_symbolic("aten::rms_norm", rms_norm, OPSET)
    try:
        yield
    finally:
        torch.onnx.unregister_custom_op_symbolic("aten::rms_norm", OPSET)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of every traced branch, hundreds of lines that nobody can act on."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(before)
