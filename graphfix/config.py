"""graphfix.toml, or [tool.graphfix] in pyproject.toml: the nearest one at or above the working directory, as frozen values.

    [apply]
    passes = "trtrtx"

    [validate]
    targets = ["sm89", "sm120"]
    baseline = "last_release.json"
    dims = { batch_size = 2 }
    thresholds = { cosine = 0.98, psnr = 30 }

    [[lint.ignore]]
    code = "GF021"
    reason = "the interface is bfloat16 on purpose"

What is typed on the command line wins over the file.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphfix import toml_file
from graphfix.errors import UsageError, nearest

FILE = "graphfix.toml"


@dataclass(frozen=True)
class Apply:
    """Defaults of ``graphfix apply``."""

    passes: str = "trtrtx"


@dataclass(frozen=True)
class Validate:
    """Defaults of ``graphfix validate``; an empty value leaves the command's own default."""

    targets: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    ep: str = ""
    baseline: str = ""
    shapes: dict[str, str] = field(default_factory=dict)
    dims: dict[str, int] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ignore:
    """A lint that is not to be told of, and why."""

    code: str
    reason: str


@dataclass(frozen=True)
class Lint:
    """Defaults of ``graphfix lint``."""

    targets: tuple[str, ...] = ()
    ort: str = ""
    ignore: tuple[Ignore, ...] = ()


@dataclass(frozen=True)
class Config:
    """Everything a configuration file may say; ``path`` is where it was found."""

    apply: Apply = Apply()
    validate: Validate = field(default_factory=Validate)
    lint: Lint = Lint()
    path: Path | None = None


SECTIONS: dict[str, type] = {"apply": Apply, "validate": Validate, "lint": Lint}


def find(start: Path) -> Path | None:
    """The nearest configuration file at or above ``start``: graphfix.toml, or a pyproject.toml with [tool.graphfix]."""
    for folder in (start, *start.parents):
        own = folder / FILE
        if own.is_file():
            return own
        project = folder / "pyproject.toml"
        if project.is_file() and "graphfix" in toml_file.read(project).get("tool", {}):
            return project
    return None


def load(start: Path | None = None) -> Config:
    """Read the configuration that governs ``start`` (the working directory); defaults where there is none.

    Raises:
        UsageError: The file is not TOML, names something that does not exist, has a value of the wrong type, or an ignore without a reason.
    """
    path = find((start or Path.cwd()).resolve())
    if path is None:
        return Config()
    data = toml_file.read(path)
    data = data if path.name == FILE else data["tool"]["graphfix"]
    _known(data, SECTIONS, path, "")
    made: dict[str, Any] = {name: _section(kind, data.get(name, {}), path, name) for name, kind in SECTIONS.items()}
    return Config(**made, path=path)


def _known(data: dict[str, Any], names: Any, path: Path, section: str) -> None:
    for key in data:
        if key not in names:
            raise UsageError(f"{path.name}: there is no {section}{key}", hint=nearest(key, names))


def _section(kind: type, data: Any, path: Path, name: str) -> Any:
    if not isinstance(data, dict):
        raise UsageError(f"{path.name}: [{name}] must be a table")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    _known(data, fields, path, f"{name}.")
    values: dict[str, Any] = {}
    for key, value in data.items():
        default = fields[key].default if fields[key].default is not dataclasses.MISSING else {}
        if key == "ignore":
            values[key] = tuple(_ignore(row, path) for row in value)
        elif isinstance(default, tuple):
            if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                raise UsageError(f"{path.name}: {name}.{key} must be a list of strings")
            values[key] = tuple(value)
        elif isinstance(default, dict) != isinstance(value, dict) or isinstance(default, str) != isinstance(value, str):
            raise UsageError(f"{path.name}: {name}.{key} must be a {'table' if isinstance(default, dict) else 'string'}")
        else:
            values[key] = value
    return kind(**values)


def _ignore(row: Any, path: Path) -> Ignore:
    if not isinstance(row, dict) or not isinstance(row.get("code"), str) or not str(row.get("reason", "")).strip():
        raise UsageError(
            f"{path.name}: every lint.ignore needs a code and a reason",
            hint='[[lint.ignore]]\n       code = "GF021"\n       reason = "why this is meant"',
        )
    return Ignore(row["code"], row["reason"])
