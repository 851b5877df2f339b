"""Finds passes and named pipelines: installed entry points, and files given by ``--plugin``.

A plugin file is code and runs with the rights of whoever loads it, so files are loaded only when named on the command line or in the
API, never because they lie next to a model. Listing passes reads their source without running it.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphfix.errors import UsageError, nearest

if TYPE_CHECKING:
    from graphfix.base import Pass

PASSES = "graphfix.passes"
PIPELINES = "graphfix.pipelines"


@dataclass(frozen=True)
class Described:
    """A pass or pipeline as far as it can be told without importing it."""

    name: str
    summary: str
    origin: str


@dataclass
class Registry:
    """Every pass and pipeline there is, by name."""

    _entries: dict[str, EntryPoint] = field(default_factory=dict)
    _pipelines: dict[str, EntryPoint] = field(default_factory=dict)
    _classes: dict[str, type[Pass]] = field(default_factory=dict)

    @classmethod
    def load(cls, plugins: Iterable[str | Path] = ()) -> Registry:
        """Collect the installed entry points and the passes in ``plugins``.

        Raises:
            UsageError: Two passes have one name, or a plugin cannot be loaded.
        """
        registry = cls()
        offered = entry_points()  # reads the metadata of every installed package, so once
        for group, held in ((PASSES, registry._entries), (PIPELINES, registry._pipelines)):
            for entry in sorted(offered.select(group=group), key=lambda e: (e.name, e.value)):
                if entry.name in held and held[entry.name].value != entry.value:
                    raise UsageError(
                        f"two packages offer a pass named {entry.name!r}",
                        where=f"{held[entry.name].value} and {entry.value}",
                        hint="uninstall one of them",
                    )
                held[entry.name] = entry
        for plugin in plugins:
            for found in _plugin_passes(Path(plugin)):
                if found.name in registry.names():
                    raise UsageError(
                        f"{plugin} defines a pass named {found.name!r}, which exists already",
                        hint="give it another name",
                    )
                registry._classes[found.name] = found
        return registry

    def names(self) -> list[str]:
        """The names of all passes."""
        return sorted({*self._entries, *self._classes})

    def pipelines(self) -> Mapping[str, str]:
        """The named pipelines and their text."""
        return {name: str(entry.load()) for name, entry in sorted(self._pipelines.items())}

    def describe(self) -> list[Described]:
        """Name, summary and origin of every pass; installed ones are read, not imported."""
        rows = [Described(name, *_read_summary(entry)) for name, entry in self._entries.items()]
        rows += [Described(name, cls.summary, str(sys.modules[cls.__module__].__file__)) for name, cls in self._classes.items()]
        return sorted(rows, key=lambda row: row.name)

    def pass_class(self, name: str) -> tuple[type[Pass], dict[str, str]]:
        """The class for a name as typed, and the option that a number behind the name sets (``opset23``).

        Raises:
            UsageError: No pass has this name.
        """
        found = self._find(name)
        if found is not None:
            return found, {}
        stem, digits = re.fullmatch(r"(.*?)(\d*)", name).groups()  # type: ignore[union-attr]
        found = self._find(stem) if digits else None
        if found is not None and found.suffix:
            return found, {found.suffix: digits}
        known = [*self.names(), *self._pipelines]
        raise UsageError(
            f"no pass or pipeline is named {name!r}",
            why=f"known: {', '.join(known)}" if known else "no package offers any",
            hint=nearest(name, known, "graphfix passes"),
        )

    def _find(self, name: str) -> type[Pass] | None:
        if name not in self._classes and name in self._entries:
            self._classes[name] = _load(self._entries[name])
        return self._classes.get(name)


def _load(entry: EntryPoint) -> type[Pass]:
    from graphfix.base import Pass

    try:
        found = entry.load()
    except Exception as error:
        raise UsageError(f"pass {entry.name!r} cannot be imported", where=entry.value, why=f"{type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Pass)):
        raise UsageError(f"entry point {entry.name!r} is not a graphfix.Pass", where=entry.value)
    return found


def _plugin_passes(path: Path) -> list[type[Pass]]:
    from graphfix.base import Pass

    if not path.is_file():
        raise UsageError(f"no plugin file {path}", hint="--plugin takes the path of a Python file")
    spec = importlib.util.spec_from_file_location(f"graphfix_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file", hint="--plugin takes the path of a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"plugin {path} cannot be loaded", why=f"{type(error).__name__}: {error}") from error
    found = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Pass) and item is not Pass and item.name and _own(item, module)
    ]
    if not found:
        raise UsageError(f"plugin {path} defines no pass", hint="subclass graphfix.Pass and give it a name")
    return found


def _own(item: type, module: Any) -> bool:
    """Whether a class belongs to the module: defined there, or made there by an adapter."""
    return item.__module__ in {module.__name__, "graphfix.adapters"}


def _read_summary(entry: EntryPoint) -> tuple[str, str]:
    """The ``summary`` and file of an installed pass, from its source text alone."""
    module, _, attribute = entry.value.partition(":")
    try:
        spec = importlib.util.find_spec(module)
        origin = spec.origin if spec is not None else None
        tree = ast.parse(Path(origin or "").read_text(encoding="utf-8"))
    except (ImportError, OSError, SyntaxError, ValueError):
        return "(cannot be read)", entry.value
    for node in tree.body:
        pairs: list[tuple[str, ast.expr]] = []
        if isinstance(node, ast.ClassDef) and node.name == attribute:
            pairs = [
                (target.id, statement.value)
                for statement in node.body
                if isinstance(statement, ast.Assign)
                for target in statement.targets
                if isinstance(target, ast.Name)
            ]
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and any(isinstance(t, ast.Name) and t.id == attribute for t in node.targets)
        ):
            # graphsurgeon_pass(name, summary, ...) and rewrite_rules_pass(name, summary, ...)
            pairs = [("summary", value) for value in node.value.args[1:2]]
            pairs += [(keyword.arg, keyword.value) for keyword in node.value.keywords if keyword.arg]
        for key, value in pairs:
            if key == "summary" and isinstance(value, ast.Constant) and isinstance(value.value, str):
                return value.value, str(origin)
    return "(no summary)", str(origin)
