"""Collect the lints there are, choose among them, and run them on one model."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from graphfix import collector, io
from graphfix._version import __version__
from graphfix.base import Finding
from graphfix.errors import GraphfixError, PassError, UsageError, nearest
from graphfix.facts.runtimes import RELEASES, newest
from graphfix.facts.targets import TARGETS, Target
from graphfix.lints import BUILT_IN
from graphfix.lints.base import LEVELS, Lint, LintContext

GROUP = "graphfix.lints"
SCHEMA = 1  # of `Linted.report`


@dataclass
class Linted:
    """What `lint` found.

    Attributes:
        findings: In order of code, then of place in the graph.
        ran: The lints that looked.
        skipped: Those that had nothing to say without an option or a file, and what they need.
        nodes: How many nodes the model has.
        seconds: The lints, and reading the header.
        source: The file, where there was one.
    """

    findings: list[Finding]
    ran: list[type[Lint]]
    skipped: list[type[Lint]]
    nodes: int
    seconds: float
    source: io.Source | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def count(self, level: str) -> int:
        """How many findings have a level."""
        return sum(f.level == level for f in self.findings)

    @property
    def fixes(self) -> list[str]:
        """The passes that mend something here, in order of first appearance."""
        return list(dict.fromkeys(f.fix for f in self.findings if f.fix))

    def report(self) -> dict[str, Any]:
        """All of it as JSON-ready data."""
        return {
            "schema": SCHEMA,
            "tool": "graphfix",
            "version": __version__,
            "input": {"name": self.source.path.name, "sha256": self.source.sha256} if self.source else None,
            "options": self.options,
            "seconds": round(self.seconds, 6),
            "nodes": self.nodes,
            "ran": [lint.code for lint in self.ran],
            "skipped": [{"code": lint.code, "needs": lint.needs} for lint in self.skipped],
            "summary": {level: self.count(level) for level in LEVELS},
            "findings": [{"name": _name(f.code, self.ran), **{k: getattr(f, k) for k in f.__dataclass_fields__}} for f in self.findings],
        }


def _name(code: str, lints: Iterable[type[Lint]]) -> str:
    return next((lint.name for lint in lints if lint.code == code), "")


def collect() -> list[type[Lint]]:
    """The built-in lints and those of installed packages, by code.

    Raises:
        UsageError: An entry point is not a lint, or two lints have one code or one name.
    """
    found: dict[str, type[Lint]] = {}
    installed = [(entry, _load(entry)) for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.value))]
    for origin, lint in [("graphfix", lint) for lint in BUILT_IN] + [(entry.value, lint) for entry, lint in installed]:
        taken = next(
            (other for other in found.values() if other is not lint and (other.code == lint.code or other.name == lint.name)), None
        )
        if taken is not None:
            raise UsageError(
                f"two lints are called {lint.code} ({lint.name})",
                where=f"{taken.__module__} and {origin}",
                hint="uninstall the package that offers the second, or tell its author",
            )
        found[lint.code] = lint
    return [found[code] for code in sorted(found)]


def _load(entry: Any) -> type[Lint]:
    try:
        lint = entry.load()
    except Exception as error:
        raise UsageError(f"lint {entry.name!r} cannot be imported", where=entry.value, why=f"{type(error).__name__}: {error}") from error
    if not (isinstance(lint, type) and issubclass(lint, Lint) and lint.code and lint.name):
        raise UsageError(f"entry point {entry.name!r} is not a graphfix.Lint with a code and a name", where=entry.value)
    return lint


def by_name(text: str, lints: Sequence[type[Lint]]) -> list[type[Lint]]:
    """The lints that a code (``GF004``), the beginning of one (``GF02``) or a name stands for.

    Raises:
        UsageError: There is none.
    """
    wanted = text.strip()
    found = [lint for lint in lints if lint.name == wanted.lower() or lint.code == wanted.upper()]
    found = found or [lint for lint in lints if re.fullmatch(r"[A-Z]+\d*", wanted.upper()) and lint.code.startswith(wanted.upper())]
    if not found:
        known = [name for lint in lints for name in (lint.code, lint.name)]
        raise UsageError(f"no lint is called {text!r}", hint=nearest(wanted, known, "graphfix explain", 0.5))
    return found


def lint(
    model: str | Path | onnx.ModelProto | ir.Model,
    *,
    targets: Iterable[str] = (),
    ort: str = "",
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
) -> Linted:
    """Look for smells in a model, without changing it.

    Args:
        model: A path, an ``onnx.ModelProto`` or an ``onnx_ir.Model``. Only of a path can the external data be judged.
        targets: GPU generations to hold the types against: ``sm86``, ``sm89``, ``sm120``...
        ort: The ONNX Runtime release to hold opset and IR version against: ``1.30``.
        select: Codes, beginnings of codes, or names; all lints where empty.
        ignore: Likewise, left out.

    Raises:
        GraphfixError: The arguments are wrong, the file is no model, or a lint failed (see `graphfix.errors`).
    """
    with collector.put_off():
        return _lint(model, targets, ort, list(select), list(ignore))


def _lint(model: str | Path | onnx.ModelProto | ir.Model, targets: Iterable[str], ort: str, select: list[str], ignore: list[str]) -> Linted:
    began = time.perf_counter()
    chosen = _choose(collect(), select, ignore)
    wanted_targets, release = [_target(name) for name in targets], _release(ort)
    source: io.Source | None = None
    audit = None
    if isinstance(model, onnx.ModelProto):
        subject = io.from_proto(model)
    elif isinstance(model, ir.Model):
        subject = model
    else:
        subject = io.load(model, check_data=False)
        source = subject.meta[io.SOURCE]
        audit = io.audit(subject, source.path.parent, Path(model))
    ctx = LintContext(subject, targets=wanted_targets, ort=release, audit=audit)
    given = {"target": bool(wanted_targets), "ort": release is not None, "file": audit is not None, "": True}
    ran = [cls for cls in chosen if given[cls.needs]]
    findings = [finding for cls in ran for finding in _run(cls, ctx)]
    skipped = [cls for cls in chosen if not given[cls.needs]]
    options = {"targets": [t.name for t in wanted_targets], "ort": ort, "select": select, "ignore": ignore}
    return Linted(findings, ran, skipped, len(ctx.nodes), time.perf_counter() - began, source, options)


def _run(cls: type[Lint], ctx: LintContext) -> list[Finding]:
    try:
        return list(cls().check(ctx.model, ctx))
    except GraphfixError:
        raise
    except Exception as error:
        raise PassError(
            f"lint {cls.code} ({cls.name}) failed: {type(error).__name__}: {error}",
            why="this is an error in the lint, not in what was typed",
            hint=f"--ignore {cls.code}, and report it with the model's `graphfix inspect` output",
        ) from error


def _choose(lints: list[type[Lint]], select: list[str], ignore: list[str]) -> list[type[Lint]]:
    kept = {lint for text in select for lint in by_name(text, lints)} if select else set(lints)
    dropped = {lint for text in ignore for lint in by_name(text, lints)}
    return [lint for lint in lints if lint in kept - dropped]


def _target(name: str) -> Target:
    found = TARGETS.get(name.lower())
    if found is None:
        raise UsageError(f"--target {name}", why="TensorRT-RTX compiles for no such GPU generation", hint=f"one of {', '.join(TARGETS)}")
    return found


def _release(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d+)\.(\d+)(\.\w+)*", text)
    release = (int(match[1]), int(match[2])) if match else None
    if release is None or newest(release) is None:
        raise UsageError(f"--ort {text}", hint=f"a release such as 1.30; the table begins at {RELEASES[0].version}")
    return release
