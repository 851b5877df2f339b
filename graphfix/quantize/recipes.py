"""Recipes: what a backbone looks like from outside, and what a format asks for. Data in ``recipes/*.toml``; nothing imports torch."""

from __future__ import annotations

import ast
import dataclasses
import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from graphfix import toml_file
from graphfix.errors import UsageError, nearest

Axis = str | int
OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}


@dataclass(frozen=True)
class Format:
    """How numbers are kept: see the head of ``recipes/formats.toml`` for the fields."""

    name: str
    summary: str
    weights: dict[str, Any]
    modules: tuple[str, ...]
    algorithm: dict[str, Any]
    passes: str
    activations: dict[str, Any] | None = None
    block: int = 1


@dataclass(frozen=True)
class Mha:
    """How the operands of attention's matrix products are kept."""

    name: str
    numerics: dict[str, Any]
    quantizers: tuple[str, ...]
    head_multiple: int


@dataclass(frozen=True)
class Backbone:
    """A kind of backbone: its interface, its free sizes, and the layers that keep 16 bits.

    Attributes:
        inputs: For each input its axes: a name under ``sizes`` (dynamic in the export), a number, or an expression in keys of the
            model's config.json. A dot in an input's name is a key of a dictionary argument; the graph's input has the last part.
        values: For each input how random values are drawn: ``low`` and ``high`` (uniform), ``grid`` (row and column of each
            token), else unit normal.
        prompts: Arguments of the pipeline's call while prompts calibrate: expressions in the sizes that were given, ``root_`` and
            such a size's name for its square root, and the pipeline's ``vae_scale_factor``. What needs a size that was not given is
            left to the pipeline.
    """

    name: str
    cls: str
    component: str
    output: str
    inputs: dict[str, tuple[Axis, ...]]
    sizes: dict[str, Axis]
    output_axes: dict[int, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    only_if: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    default: dict[str, str] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)

    def present(self, config: Mapping[str, Any]) -> dict[str, tuple[Axis, ...]]:
        """The inputs that a model with this config has."""
        return {k: v for k, v in self.inputs.items() if k not in self.only_if or config.get(self.only_if[k])}

    def dynamic(self, axes: tuple[Axis, ...]) -> dict[int, str]:
        """Which of these axes are dynamic, by position."""
        return {i: axis for i, axis in enumerate(axes) if isinstance(axis, str) and axis in self.sizes}

    def shape(self, axes: tuple[Axis, ...], config: Mapping[str, Any], given: Mapping[str, int]) -> tuple[int, ...]:
        """These axes as numbers.

        Args:
            axes: Axes of an input.
            config: The model's config.json.
            given: Sizes that replace the recipe's.

        Raises:
            UsageError: The config has no such key, or the expression is none.
        """
        return tuple(self._size(axis, config, given) for axis in axes)

    def call(self, given: Mapping[str, int], scale: int) -> dict[str, int]:
        """What the pipeline is called with beside the prompt, for sizes that were given.

        Args:
            given: Sizes by name.
            scale: How many pixels wide a latent pixel is: the pipeline's ``vae_scale_factor``.

        Raises:
            UsageError: An argument comes out below 1, or a size whose square root is needed is no square number.
        """
        roots = {f"root_{name}": math.isqrt(size) for name, size in given.items()}
        known = {**given, **roots, "vae_scale_factor": scale}
        made = {}
        for argument, text in self.prompts.items():
            names = set(re.findall(r"[A-Za-z_]\w*", text))
            if not names <= set(known):
                continue
            for name in names & set(roots):
                size = given[name.removeprefix("root_")]
                if roots[name] ** 2 != size:
                    raise UsageError(
                        f"--size {name.removeprefix('root_')}={size}",
                        why=f"prompts make square pictures, and {size} is no square number",
                        hint=f"--size {name.removeprefix('root_')}={roots[name] ** 2}",
                    )
            made[argument] = evaluate(text, known)
            if made[argument] < 1:
                raise UsageError(f"the pipeline cannot take {argument}={made[argument]}", why=f"it is {text}", hint="a larger --size")
        return made

    def _size(self, axis: Axis, config: Mapping[str, Any], given: Mapping[str, int]) -> int:
        if isinstance(axis, int):
            return axis
        if axis in self.sizes:
            return given[axis] if axis in given else self._size(self.sizes[axis], config, given)
        return evaluate(axis, config)


def evaluate(text: str, config: Mapping[str, Any]) -> int:
    """A sum or product of whole numbers and keys of a config.

    Raises:
        UsageError: It holds something else, or a key that the config lacks.
    """

    def value(node: ast.expr) -> int:
        if isinstance(node, ast.Name) and isinstance(config.get(node.id), int):
            return int(config[node.id])
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
            return int(OPERATIONS[type(node.op)](value(node.left), value(node.right)))
        what = f"config.json has no whole number {node.id!r}" if isinstance(node, ast.Name) else f"{text!r} is no size"
        raise UsageError(what, where=f"axis {text!r} of a recipe", hint="a number, a size of the recipe, or a key of config.json")

    try:
        return value(ast.parse(text, mode="eval").body)
    except SyntaxError as error:
        raise UsageError(f"{text!r} is no size", hint="a number, a size of the recipe, or a key of config.json") from error


def formats() -> dict[str, Format]:
    """Every format by name."""
    held = _data("formats.toml")
    numbers = held["numerics"]
    made = {}
    for name, entry in held["formats"].items():
        entry = {**entry, "weights": numbers[entry["weights"]], "modules": tuple(entry["modules"])}
        if "activations" in entry:
            entry["activations"] = numbers[entry["activations"]]
        made[name] = Format(name=name, **entry)
    return made


def mhas() -> dict[str, Mha]:
    """Every way to quantize attention, by name."""
    held = _data("formats.toml")
    return {
        name: Mha(name, held["numerics"][entry["numerics"]], tuple(entry["quantizers"]), entry["head_multiple"])
        for name, entry in held["mha"].items()
    }


def backbones() -> dict[str, Backbone]:
    """The recipes that come with graphfix, by name."""
    folder = files("graphfix.quantize") / "recipes"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml") and entry.name != "formats.toml")
    return {name.removesuffix(".toml"): _backbone(name.removesuffix(".toml"), _data(name)) for name in names}


def read(path: Path) -> Backbone:
    """A recipe of one's own.

    Raises:
        UsageError: The file is missing, is no TOML, or has keys that no recipe has.
    """
    return _backbone(path.stem, toml_file.read(path))


def recipe_for(cls: str) -> Backbone:
    """The recipe for a class of diffusers.

    Raises:
        UsageError: There is none; the message says how to write one.
    """
    known = {recipe.cls: recipe for recipe in backbones().values()}
    if cls in known:
        return known[cls]
    raise UsageError(
        f"there is no recipe for {cls}", why=f"recipes exist for {', '.join(known)}", hint="describe the backbone with --recipe FILE.toml"
    )


def choose(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    """An entry of a table by name.

    Raises:
        UsageError: There is none of this name; close ones are told.
    """
    if name in known:
        return known[name]
    raise UsageError(f"no {kind} {name!r}", hint=nearest(name, known))


def _data(name: str) -> dict[str, Any]:
    with as_file(files("graphfix.quantize") / "recipes" / name) as path:
        return toml_file.read(path)


def _backbone(name: str, held: dict[str, Any]) -> Backbone:
    held = dict(held)
    held["cls"] = held.pop("class", None)
    fields = {f.name: f for f in dataclasses.fields(Backbone)}
    for key in held:
        if key not in fields or key == "name":
            raise UsageError(f"a recipe has no {key!r}", where=f"recipe {name}", hint=nearest(key, fields))
    for key in ("cls", "component", "output", "inputs", "sizes"):
        if not held.get(key):
            raise UsageError(
                f"the recipe lacks {'class' if key == 'cls' else key!r}", where=f"recipe {name}", hint="see graphfix quantize --help"
            )
    held["inputs"] = {k: tuple(v) for k, v in held["inputs"].items()}
    held["output_axes"] = {int(k): v for k, v in held.get("output_axes", {}).items()}
    held["keep"] = tuple(held.get("keep", ()))
    return Backbone(name=name, **held)
