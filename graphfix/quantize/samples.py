"""Inputs of a backbone: drawn at random by its recipe, or recorded in an ``.npz`` file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graphfix.errors import UsageError
from graphfix.quantize.recipes import Backbone

Arrays = dict[str, npt.NDArray[Any]]


def graph_name(name: str) -> str:
    """An input's name in the graph: ``added_cond_kwargs.text_embeds`` is ``text_embeds``."""
    return name.rpartition(".")[2]


def shapes(recipe: Backbone, config: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """The shape of every input of this model."""
    return {name: recipe.shape(axes, config, sizes) for name, axes in recipe.present(config).items()}


def random(recipe: Backbone, wanted: Mapping[str, tuple[int, ...]], seed: int, count: int) -> Iterator[Arrays]:
    """Samples in float32: unit normal, or as the recipe says. A timestep goes through its range from sample to sample.

    Args:
        recipe: Says how each input is drawn.
        wanted: The shape of each input.
        seed: The same seed gives the same samples.
        count: How many.
    """
    for step in range(count):
        rng = np.random.default_rng([seed, step])
        yield {name: _draw(recipe.values.get(name, {}), shape, rng, (step + 0.5) / count) for name, shape in wanted.items()}


def _draw(how: Mapping[str, Any], shape: tuple[int, ...], rng: np.random.Generator, share: float) -> npt.NDArray[np.float32]:
    if how.get("grid"):
        side = max(1, round(shape[0] ** 0.5))
        ids = np.zeros(shape, np.float32)
        ids[:, -2], ids[:, -1] = np.divmod(np.arange(shape[0]), side)
        return ids
    if "low" in how:
        low, high = float(how["low"]), float(how["high"])
        made = np.full(shape, high - share * (high - low)) if len(shape) == 1 else rng.uniform(low, high, shape)
        return made.astype(np.float32)
    return rng.standard_normal(shape, np.float32)


def prompts(path: Path) -> list[str]:
    """The prompts of a text file, one a line; empty lines do not count.

    Raises:
        UsageError: The file cannot be read as text, or holds none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors of Windows begin a file with a mark that is no part of the prompt
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}", why=str(error), hint="prompts in a text file in UTF-8, one a line") from error
    found = [line.strip() for line in text.splitlines() if line.strip()]
    if not found:
        raise UsageError(f"{path} holds no prompt", hint="one a line")
    return found


def recorded(path: Path, recipe: Backbone, config: Mapping[str, Any]) -> Iterator[Arrays]:
    """Samples from a file: arrays by input name, each with one more axis in front if the file holds several samples.

    Raises:
        UsageError: The file is none, an input is missing, or a shape does not fit the recipe.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            held = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}", why=str(error), hint="an .npz file with an array for each input") from error
    axes = recipe.present(config)
    missing = [name for name in axes if graph_name(name) not in held and name not in held]
    if missing:
        raise UsageError(f"{path} has no {missing[0]!r}", why=f"the model's inputs: {', '.join(axes)}", hint="record it too")
    arrays = {name: held[name] if name in held else held[graph_name(name)] for name in axes}
    several = {name: array.ndim == len(axes[name]) + 1 for name, array in arrays.items()}
    wrong = [name for name, array in arrays.items() if not several[name] and array.ndim != len(axes[name])]
    if wrong:
        raise UsageError(f"{path}: {wrong[0]!r} has {arrays[wrong[0]].ndim} axes, not {len(axes[wrong[0]])}")
    count = max((array.shape[0] for name, array in arrays.items() if several[name]), default=1)
    for i in range(count):
        yield {name: array[min(i, len(array) - 1)] if several[name] else array for name, array in arrays.items()}
