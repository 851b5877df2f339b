"""A static shape for every input: given, declared, or worked out from the weights that the input meets.

Exporters mark even the channel axis dynamic. What a Conv, Gemm or MatMul multiplies is fixed by its weight, so that axis is known. Axes
that nothing fixes get one and the same number, which keeps axes equal that the graph expects to be equal; the report says so.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from graphfix.errors import UsageError
from graphfix.inference import infer
from graphfix.weight_axes import fixed_axes

Shapes = dict[str, tuple[int, ...]]
ASSUMED = 16


@dataclass(frozen=True)
class Chosen:
    """The shapes, and the axes whose size was assumed (``input.axis=size``)."""

    shapes: Shapes
    assumed: tuple[str, ...]


def choose(model: ir.Model, given: Mapping[str, tuple[int, ...]], dims: Mapping[str, int] | None = None, fill: int = ASSUMED) -> Chosen:
    """Choose a shape for every graph input that is not an initializer.

    Args:
        model: The model.
        given: Shapes by input name; they win.
        dims: Sizes by axis name.
        fill: The size of axes that nothing determines.

    Raises:
        UsageError: A given shape names no input, has the wrong rank, or contradicts a static axis.
    """
    inputs = {v.name: v for v in model.graph.inputs if v.name not in model.graph.initializers}
    for name, shape in given.items():
        _check(name, shape, inputs.get(name), list(inputs))
    types = infer(model)
    sizes = dict(dims or {})
    for name, shape in given.items():
        declared = inputs[name].shape
        if declared is not None:
            sizes.update({d.value: n for d, n in zip(declared, shape, strict=True) if not isinstance(d, int) and d.value})
    # An unknown leading axis is as long as the leading axis that somebody gave: batches and their timesteps go together.
    lead = next((shape[0] for shape in given.values() if shape), None)
    if lead is None:
        leading = (v.shape[0] for v in inputs.values() if v.shape)
        lead = next((sizes[str(d.value)] for d in leading if not isinstance(d, int) and d.value in sizes), fill)
    shapes: Shapes = {}
    assumed: list[str] = []
    for key, value in inputs.items():
        name = str(key)
        if name in given or value.shape is None:
            if name in given:
                shapes[name] = given[name]
            continue
        fixed = dict(fixed_axes(value, types))
        dims_of: list[int] = []
        for axis, dim in enumerate(value.shape):
            if isinstance(dim, int):
                dims_of.append(dim)
            elif dim.value in sizes:
                dims_of.append(sizes[str(dim.value)])
            elif axis in fixed:
                dims_of.append(fixed[axis])
            else:
                dims_of.append(fill if axis else lead)
                assumed.append(f"{name}.{dim.value or axis}={dims_of[-1]}")
        shapes[name] = tuple(dims_of)
    return Chosen(shapes, tuple(assumed))


def recorded(path: Path, model: ir.Model) -> Shapes:
    """The shapes of recorded inputs, without what the model does not take.

    Args:
        path: An ``.npz`` with an array for each input.
        model: The model.

    Raises:
        UsageError: The file is none.
    """
    taken = {v.name for v in model.graph.inputs}
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name].shape for name in stored.files if name in taken}
    except (OSError, ValueError, AttributeError, zipfile.BadZipFile) as error:  # AttributeError: a bare array
        raise UsageError(f"cannot read {path}", why=str(error), hint="an .npz file with an array for each input") from error


def _check(name: str, shape: tuple[int, ...], value: ir.Value | None, inputs: list[str | None]) -> None:
    if value is None:
        raise UsageError(f"the model has no input {name!r}", why=f"its inputs: {', '.join(map(str, inputs))}")
    if value.shape is None:
        return
    if len(shape) != len(value.shape):
        raise UsageError(f"--shape {name}: {len(shape)} dimensions given, the model declares {len(value.shape)}", where=str(value.shape))
    for axis, (size, dim) in enumerate(zip(shape, value.shape, strict=True)):
        if isinstance(dim, int) and dim != size:
            raise UsageError(f"--shape {name}: axis {axis} is {dim} in the model, {size} was given")
