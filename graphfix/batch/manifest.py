"""A manifest: which models, pipelines, targets and shapes make up the matrix, as frozen values.

    output = "released"                      # folder for results; default: the manifest's name with .out
    models = ["exports/*.onnx", { path = "other/model.onnx", name = "flux" }]
    targets = ["sm89", "sm120"]              # "none" leaves the compile tier out
    tiers = ["check", "load", "compile"]
    timeout = 600                            # seconds for each step
    plugins = ["drop_identity.py"]

    [pipelines]
    recipe = "opset23,trt-types"
    as-exported = ""                         # no passes

    [shapes.small]
    batch_size = 2                           # an axis by its name
    hidden_states = "2x16x64x64"             # an input; or { min = "1x16x64x64", opt = "...", max = "..." }

    [[exclude]]                              # goes out of the matrix: every combination that fits all that is said; * stands for anything
    model = "sdxl_*"
    target = "sm86"

    [[include]]                              # comes into it, whatever was excluded; what is not said ranges over everything
    model = "flux"
    target = "sm121"

Paths are relative to the manifest. Without ``[shapes]`` each axis is what the model or its weights fix, else assumed, as in ``graphfix
validate``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from graphfix import toml_file
from graphfix.errors import UsageError, nearest
from graphfix.facts.targets import TARGETS
from graphfix.validate.job import AT_LEAST, THRESHOLDS, TIERS

NONE = "none"  # the target of a matrix without a compile tier
BATCH_TIERS = tuple(tier for tier in TIERS if tier != "bench")
DEFAULT_TIERS = ("check", "load", "compile")
AXES = ("model", "pipeline", "shapes", "target")
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class ModelEntry:
    """A path or glob, relative to the manifest; ``name`` where the file's own will not do."""

    path: str
    name: str = ""


@dataclass(frozen=True)
class Profile:
    """What is said about shapes under one name: sizes of axes, and shapes of inputs (``least`` and ``most`` where a range was given)."""

    name: str
    dims: dict[str, int] = field(default_factory=dict)
    shapes: Shapes = field(default_factory=dict)
    least: Shapes = field(default_factory=dict)
    most: Shapes = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """An entry of ``include`` or ``exclude``: patterns by axis; an axis that is not there fits everything."""

    key: str
    patterns: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Manifest:
    """Everything that a manifest says, with defaults filled in; paths are absolute."""

    path: Path
    output: Path
    models: tuple[ModelEntry, ...]
    pipelines: dict[str, str]
    targets: tuple[str, ...]
    shapes: tuple[Profile, ...]
    tiers: tuple[str, ...]
    timeout: float
    plugins: tuple[Path, ...]
    thresholds: dict[str, float]
    include: tuple[Selection, ...] = ()
    exclude: tuple[Selection, ...] = ()


def read(path: str | Path) -> Manifest:
    """Read a manifest.

    Raises:
        UsageError: There is no such file, it is not TOML, or a key is unknown or has a value it cannot have; the key is named.
    """
    path = Path(path)
    data = toml_file.read(path, "graphfix batch takes a manifest, not a model" if path.suffix == ".onnx" else "")
    return _Reader(path.resolve()).manifest(data)


class _Reader:
    """One manifest's values, each held against what its key may have."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def wrong(self, key: str, says: str, *, why: str = "", hint: str = "") -> NoReturn:
        raise UsageError(f"{self.path.name}: {key} {says}", why=why, hint=hint)

    def known(self, data: Mapping[str, Any], names: tuple[str, ...], within: str = "") -> None:
        for key in data:
            if key not in names:
                raise UsageError(f"{self.path.name}: there is no key {within}{key}", hint=nearest(key, names))

    def table(self, data: Any, key: str, example: str) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.wrong(key, "must be a table", hint=example)
        return data

    def text(self, value: Any, key: str, example: str) -> str:
        if not isinstance(value, str):
            self.wrong(key, f"must be text, not {value!r}", hint=example)
        return value

    def texts(self, value: Any, key: str, example: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            self.wrong(key, "must be a list of text with something in it", hint=example)
        if len(set(value)) < len(value):
            self.wrong(key, "names one thing twice", hint=example)
        return tuple(value)

    def chosen(self, value: Any, key: str, names: tuple[str, ...], example: str) -> tuple[str, ...]:
        found = self.texts(value, key, example)
        for name in found:
            if name not in names:
                self.wrong(key, f"has {name!r}, which does not exist", hint=f"one of {', '.join(names)}")
        return found

    def name(self, value: str, key: str) -> str:
        if not _NAME.fullmatch(value):
            self.wrong(key, f"has the name {value!r}, which becomes a folder", hint="letters, digits and . _ + -, a letter or digit first")
        return value

    def manifest(self, data: dict[str, Any]) -> Manifest:
        readers: dict[str, Callable[[Any], Any]] = {
            "output": self._output,
            "models": self._models,
            "pipelines": self._pipelines,
            "targets": lambda v: self.chosen(v, "targets", (*TARGETS, NONE), 'targets = ["sm89", "sm120"]'),
            "shapes": self._shapes,
            "tiers": self._tiers,
            "timeout": lambda v: self._number(v, "timeout", "timeout = 600"),
            "plugins": self._plugins,
            "thresholds": self._thresholds,
            "include": lambda v: self._selections(v, "include"),
            "exclude": lambda v: self._selections(v, "exclude"),
        }
        self.known(data, tuple(readers))
        if "models" not in data:
            self.wrong("models", "is missing", hint='models = ["exports/*.onnx"]')
        values = {
            "output": self.path.with_name(f"{self.path.stem}.out"),
            "pipelines": {"trtrtx": "trtrtx"},
            "targets": ("sm120",),
            "shapes": (Profile(""),),
            "tiers": DEFAULT_TIERS,
            "timeout": 600.0,
            "plugins": (),
            "thresholds": dict(THRESHOLDS),
            **{key: readers[key](value) for key, value in data.items()},
        }
        for i, row in enumerate(values.get("include", ())):
            for target in row.patterns.get("target", ()):
                if target not in (*TARGETS, NONE):
                    self.wrong(f"include[{i}].target", f"is {target!r}", hint=f"one of {', '.join((*TARGETS, NONE))}")
        return Manifest(path=self.path, **values)

    def _output(self, value: Any) -> Path:
        text = self.text(value, "output", 'output = "released"')
        if not text:
            self.wrong("output", "is empty", hint='output = "released"')
        return (self.path.parent / text).resolve()

    def _models(self, value: Any) -> tuple[ModelEntry, ...]:
        example = 'models = ["exports/*.onnx", { path = "other/model.onnx", name = "flux" }]'
        if not isinstance(value, list) or not value:
            self.wrong("models", "must be a list with something in it", hint=example)
        found = []
        for i, row in enumerate(value):
            if isinstance(row, str):
                found.append(ModelEntry(row))
                continue
            if not isinstance(row, dict):
                self.wrong(f"models[{i}]", f"must be a path or a table, not {row!r}", hint=example)
            self.known(row, ("path", "name"), f"models[{i}].")
            if "path" not in row:
                self.wrong(f"models[{i}].path", "is missing", hint=example)
            name = self.text(row.get("name", ""), f"models[{i}].name", example)
            path = self.text(row["path"], f"models[{i}].path", example)
            found.append(ModelEntry(path, self.name(name, f"models[{i}].name") if "name" in row else ""))
        return tuple(found)

    def _pipelines(self, value: Any) -> dict[str, str]:
        example = '[pipelines]\n       recipe = "opset23,trt-types"'
        rows = self.table(value, "pipelines", example)
        if not rows:
            self.wrong("pipelines", "is empty", hint=example)
        return {self.name(key, "pipelines"): self.text(text, f"pipelines.{key}", example) for key, text in rows.items()}

    def _tiers(self, value: Any) -> tuple[str, ...]:
        example = 'tiers = ["check", "load", "compile"]'
        if isinstance(value, list) and "bench" in value:
            why = "it measures time, which jobs side by side would spoil"
            self.wrong("tiers", "has 'bench'", why=why, hint="graphfix validate --tier bench MODEL, one at a time")
        found = self.chosen(value, "tiers", BATCH_TIERS, example)
        return tuple(tier for tier in BATCH_TIERS if tier in found)

    def _number(self, value: Any, key: str, example: str) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0 or value == float("inf"):
            self.wrong(key, f"must be a number above 0, not {value!r}", hint=example)
        return float(value)

    def _plugins(self, value: Any) -> tuple[Path, ...]:
        found = tuple((self.path.parent / text).resolve() for text in self.texts(value, "plugins", 'plugins = ["my_pass.py"]'))
        for file in found:
            if not file.is_file():
                self.wrong("plugins", f"names {file}, which is not there", hint="paths are relative to the manifest")
        return found

    def _thresholds(self, value: Any) -> dict[str, float]:
        example = "thresholds = { cosine = 0.98, psnr = 30 }"
        rows = self.table(value, "thresholds", example)
        self.known(rows, tuple(AT_LEAST), "thresholds.")
        return {key: self._number(number, f"thresholds.{key}", example) for key, number in rows.items()}

    def _shapes(self, value: Any) -> tuple[Profile, ...]:
        example = '[shapes.small]\n       batch_size = 2\n       hidden_states = "2x16x64x64"'
        rows = self.table(value, "shapes", example)
        if not rows:
            self.wrong("shapes", "is empty", hint=example)
        return tuple(self._profile(name, self.table(row, f"shapes.{name}", example)) for name, row in rows.items())

    def _profile(self, name: str, rows: dict[str, Any]) -> Profile:
        made = Profile(self.name(name, "shapes"))
        for entry, value in rows.items():
            key = f"shapes.{name}.{entry}"
            if type(value) is int and value > 0:
                made.dims[entry] = value
            elif isinstance(value, dict):
                self.known(value, ("min", "opt", "max"), f"{key}.")
                if "opt" not in value:
                    self.wrong(f"{key}.opt", "is missing", hint=f'{entry} = {{ min = "1x64", opt = "2x64", max = "4x64" }}')
                found = {side: self._shape(text, f"{key}.{side}") for side, text in value.items()}
                low, middle, high = (found.get(side, found["opt"]) for side in ("min", "opt", "max"))
                if not len(low) == len(middle) == len(high) or not all(a <= b <= c for a, b, c in zip(low, middle, high, strict=True)):
                    self.wrong(key, "must grow from min over opt to max in every axis")
                made.shapes[entry] = middle
                made.least.update({entry: low} if "min" in found else {})
                made.most.update({entry: high} if "max" in found else {})
            else:
                made.shapes[entry] = self._shape(value, key)
        return made

    def _shape(self, value: Any, key: str) -> tuple[int, ...]:
        if not isinstance(value, str) or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", value):
            self.wrong(key, f"is {value!r}, neither a size nor a shape", hint='batch_size = 2, or hidden_states = "2x16x64x64"')
        return tuple(map(int, value.split("x")))

    def _selections(self, value: Any, key: str) -> tuple[Selection, ...]:
        example = f'[[{key}]]\n       model = "sdxl_*"\n       target = "sm86"'
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            self.wrong(key, "must be tables", hint=example)
        found = []
        for i, row in enumerate(value):
            self.known(row, AXES, f"{key}[{i}].")
            if not row:
                self.wrong(f"{key}[{i}]", "says nothing", hint=example)
            patterns = {
                axis: self.texts([text] if isinstance(text, str) else text, f"{key}[{i}].{axis}", example) for axis, text in row.items()
            }
            found.append(Selection(f"{key}[{i}]", patterns))
        return tuple(found)
