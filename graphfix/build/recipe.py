"""A build's recipe: one TOML file, a table for each stage, paths relative to the file.

    [quantize]
    model = "stable-diffusion-3.5-medium"     # a diffusers folder, or an id on the hub
    format = "nvfp4"
    mha = "fp8"
    calibration = "prompts.txt"

    [validate]
    targets = ["sm120"]
    thresholds = { rel_l2 = 0.2 }

    [place]
    pipeline = "sd35_onnx"                    # what optimum exported

Without ``[quantize]``, ``[apply]`` names the model; without ``[place]``, the build ends with the gate.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphfix import toml_file
from graphfix.errors import UsageError, nearest


@dataclass(frozen=True)
class Quantize:
    """As the options of ``graphfix quantize``."""

    model: str
    format: str = ""
    mha: str = ""
    component: str = ""
    recipe: str = ""
    calibration: str = "random"
    steps: int = 32
    device: str = "cpu"
    dtype: str = "fp16"
    seed: int = 0
    random_weights: int | None = None
    sizes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Apply:
    """As ``graphfix apply``; ``model`` only where nothing is quantized, ``passes`` by default the format's, else trtrtx."""

    model: str = ""
    passes: str = ""


@dataclass(frozen=True)
class Validate:
    """As ``graphfix validate``; no tiers: all that this machine can do."""

    targets: list[str] = field(default_factory=lambda: ["sm120"])
    tiers: list[str] = field(default_factory=list)
    thresholds: dict[str, float] = field(default_factory=dict)
    dims: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """As ``graphfix place``."""

    pipeline: str
    component: str = ""


@dataclass(frozen=True)
class Recipe:
    """What is to be built.

    Attributes:
        path: The file; relative paths start at its folder.
        output: The folder that everything goes to.
    """

    path: Path
    output: Path
    apply: Apply
    validate: Validate
    quantize: Quantize | None = None
    place: Place | None = None

    def resolve(self, name: str) -> str:
        """A path of the recipe as seen from the working directory; what exists nowhere stays as it is, for it may be an id on the hub."""
        there = self.path.parent / name
        return str(there) if there.exists() else name


TABLES = {"quantize": Quantize, "apply": Apply, "validate": Validate, "place": Place}


def read(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        UsageError: It is missing, is no TOML, or asks for something that does not exist; the message names the key.
    """
    held = toml_file.read(path)
    output = held.pop("output", "build")
    if not isinstance(output, str):
        raise UsageError("output names a folder", where=path.name, hint='output = "build"')
    for name in held:
        if name not in TABLES:
            raise UsageError(f"a recipe has no [{name}]", where=path.name, hint=nearest(name, [*TABLES, "output"]))
    tables = {name: _table(cls, held[name], name, path) for name, cls in TABLES.items() if name in held}
    given: dict[str, Any] = {"apply": Apply(), "validate": Validate(), **tables}
    if ("quantize" in given) == bool(given["apply"].model):
        what = "both [quantize] and [apply] name a model" if given["apply"].model else "nothing names a model"
        raise UsageError(what, where=path.name, hint='model = "FOLDER" under [quantize], or model = "FILE.onnx" under [apply]')
    return Recipe(path=path, output=path.parent / output, **given)


def _table(cls: Any, held: Any, name: str, path: Path) -> Any:
    fields = {f.name: f for f in dataclasses.fields(cls)}
    if not isinstance(held, dict):
        raise UsageError(f"{name} is a table", where=path.name, hint=f"[{name}]")
    for key, value in held.items():
        if key not in fields:
            raise UsageError(f"[{name}] has no {key!r}", where=path.name, hint=nearest(key, fields))
        wanted = str(fields[key].type).partition("[")[0].partition(" ")[0]
        if type(value).__name__ != wanted:
            raise UsageError(f"[{name}] {key} is a {wanted}, not a {type(value).__name__}", where=path.name, hint=f"{key} = ...")
    for key, entry in fields.items():
        if entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING and key not in held:
            raise UsageError(f"[{name}] lacks {key!r}", where=path.name, hint=f'{key} = "..."')
    return cls(**held)
