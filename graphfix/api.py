"""``graphfix.apply``: one call from a path, a proto or an onnx-ir model to the result of a pipeline."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import onnx
import onnx_ir as ir

from graphfix import collector, io, pipeline
from graphfix._version import __version__
from graphfix.base import Change, Finding
from graphfix.errors import UsageError
from graphfix.lints.run import Linted, lint
from graphfix.model import opset_version
from graphfix.registry import Registry

ModelT = TypeVar("ModelT")
SCHEMA = 1  # of `Applied.report`


@dataclass
class Applied(Generic[ModelT]):
    """The result of `apply`.

    Attributes:
        model: The changed model, of the type that was given (a path gives an ``onnx_ir.Model``). The input itself is not changed.
        result: What each pass did.
        seconds: Loading and passes, without saving.
    """

    model: ModelT
    result: pipeline.PipelineResult
    seconds: float
    _ir: ir.Model

    @property
    def changes(self) -> list[Change]:
        """Every change, in order."""
        return self.result.changes

    @property
    def findings(self) -> list[Finding]:
        """Everything worth knowing that no pass edited."""
        return self.result.findings

    def report(self) -> dict[str, Any]:
        """All of it as JSON-ready data: version, input digest, and for every pass its options, seconds, changes and findings."""
        source: io.Source | None = self._ir.meta.get(io.SOURCE)
        return {
            "schema": SCHEMA,
            "tool": "graphfix",
            "version": __version__,
            "input": {"name": source.path.name, "sha256": source.sha256} if source else None,
            "seconds": round(self.seconds, 6),
            "passes": [
                {
                    "name": r.name,
                    "text": r.text,
                    "seconds": round(r.seconds, 6),
                    "changes": [vars_of(c) for c in r.changes],
                    "findings": [vars_of(f) for f in r.findings],
                }
                for r in self.result.passes
            ],
        }

    def save(self, path: str | Path, *, data: str = "auto", sync: bool = True, progress: pipeline.Progress | None = None) -> io.Saved:
        """Write the model to ``path``, atomically; see `graphfix.io.save`."""
        return io.save(self._ir, path, data=data, sync=sync, progress=progress)


def vars_of(record: Change | Finding) -> dict[str, str]:
    """The fields of a record."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


@collector.put_off()
def apply(
    model: str | Path | onnx.ModelProto | ir.Model,
    passes: str = "trtrtx",
    *,
    plugins: Iterable[str | Path] = (),
    progress: pipeline.Progress | None = None,
) -> Applied[Any]:
    """Run passes on a model.

    Args:
        model: A path, an ``onnx.ModelProto`` or an ``onnx_ir.Model``. It is not changed.
        passes: A pipeline's text, as on the command line: ``"opset23,trt-types"``.
        plugins: Python files that define further passes.
        progress: Called before each pass with its name, its position and the number of passes.

    Returns:
        The changed model and the record of what was done.

    Raises:
        GraphfixError: The arguments are wrong, the model cannot be read, or a pass refuses it (see `graphfix.errors`).
    """
    began = time.perf_counter()
    registry = Registry.load(plugins)
    steps = pipeline.parse(passes, registry)
    if isinstance(model, onnx.ModelProto):
        working = io.from_proto(model)
    elif isinstance(model, ir.Model):
        working = _copy(model)
    elif isinstance(model, str | Path):
        working = io.load(model)
    else:
        raise UsageError(f"apply takes a path, an onnx.ModelProto or an onnx_ir.Model, not {type(model).__name__}")
    opset = opset_version(working.opset_imports)
    result = pipeline.run(working, steps, progress)
    if result.changes or not io.read_provenance(working):
        _stamp(working, result, opset)
    given = cast(Any, io.to_proto(working) if isinstance(model, onnx.ModelProto) else working)
    return Applied(given, result, time.perf_counter() - began, working)


def mend(
    model: str | Path, *, targets: Iterable[str] = (), ort: str = "", select: Iterable[str] = (), ignore: Iterable[str] = ()
) -> tuple[Linted, Applied[Any] | None]:
    """Lint a model and run the passes that mend what was found, in the order that they need.

    A mended graph may show what the fault had hidden, so it is looked at again until no further pass is called for.

    Returns:
        What was found before, and the result of the passes; None where no pass helps.

    Raises:
        GraphfixError: As `apply` and `graphfix.lint`.
    """
    asked: dict[str, Any] = {"targets": list(targets), "ort": ort, "select": list(select), "ignore": list(ignore)}
    registry = Registry.load()
    before = lint(model, **asked)
    wanted, text = list(before.fixes), ""
    result: Applied[Any] | None = None
    while wanted and (arranged := pipeline.arrange(wanted, registry)) != text:
        text = arranged
        result = apply(model, text)
        wanted += lint(result.model, **asked).fixes
    return before, result


def _stamp(model: ir.Model, result: pipeline.PipelineResult, opset: int | None) -> None:
    source: io.Source | None = model.meta.get(io.SOURCE)
    # The opset that an exporter chose tells which exporter it was; a migration would wipe that out.
    entry: dict[str, Any] = {
        "version": __version__,
        "passes": [done.text for done in result.passes],
        "changed_by": [done.name for done in result.passes if done.changes],
        "input_opset": opset,
    }
    if source is not None:
        entry["input_sha256"] = source.sha256
    io.add_provenance(model, entry)


def _copy(model: ir.Model) -> ir.Model:
    """A copy of the graph; tensors are shared, for no pass edits one in place."""
    copy = model.clone()
    copy.meta.update(model.meta)
    return copy
