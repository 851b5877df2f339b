"""``place`` and ``undo``: from a backbone and a folder to a record of what was checked, repaired and swapped."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from graphfix import api, io
from graphfix._version import __version__
from graphfix.errors import GraphfixError, ModelError, UsageError
from graphfix.io.files import digest, explain
from graphfix.io.lock import only_writer
from graphfix.pipeline import Progress
from graphfix.place.checks import CHECKS, OK, REFUSED, REPAIR, REPAIRED, Subject, Verdict, examine
from graphfix.place.folder import MODEL, Folder, find
from graphfix.place.slot import KEPT, Journal, Slot

SCHEMA = 1  # of `Placement.report`
PLACED, WOULD, UNCHANGED, UNDONE = "placed", "would place", "unchanged", "undone"

# The order in which repairs run: the graph first, then what its ends are, then what they are called.
REPAIRS = ("rotary", "io-types", "io")
ORDER = [check.name for check in CHECKS]


@dataclass
class Placement:
    """What `place` or `undo` did.

    Attributes:
        action: placed, would place, unchanged, refused or undone.
        root: The pipeline's folder.
        component: ``transformer`` or ``unet``.
        backbone: The file that was given; None for `undo`.
        verdicts: What the checks found.
        applied: What the repairing passes did; None where none was needed.
        files: Names of the files in the component's folder that make up its model now.
        how: How the data came there: none, reflinked, copied or written.
        kept: The name of the model that `undo` goes back to; empty where there is none.
    """

    action: str
    root: Path
    component: str
    backbone: Path | None = None
    verdicts: list[Verdict] = dataclasses.field(default_factory=list)
    applied: api.Applied[Any] | None = None
    files: tuple[str, ...] = ()
    how: str = "none"
    kept: str = ""

    @property
    def refused(self) -> bool:
        """Whether a check says no."""
        return any(verdict.level == REFUSED for verdict in self.verdicts)

    @property
    def passes(self) -> str:
        """The repairing passes as a pipeline's text."""
        return ",".join(done.text for done in self.applied.result.passes) if self.applied is not None else ""

    @property
    def arguments(self) -> dict[str, int]:
        """What the pipeline must be called with."""
        return {key: value for verdict in self.verdicts for key, value in verdict.arguments.items()}

    def lines(self) -> list[str]:
        """What was done, for a person."""
        where = f"{self.root / self.component}"
        undo = f"graphfix place --undo {self.root}"
        passes = [f"passes: {self.passes}"] if self.passes else []
        if self.action == REFUSED:
            return [*passes, f"refused: {where} is as it was"]
        if self.action == WOULD:
            return [*passes, "dry run: nothing was written"]
        if self.action == UNCHANGED:
            return [
                f"nothing to do: {where} has this model already" if self.backbone else f"nothing to undo: {where} is as it was exported"
            ]
        if self.action == UNDONE:
            return [f"{where} is as it was exported: {', '.join(self.files)}"]
        data = f"data {self.how}" if len(self.files) > 1 else "no external data"
        return [*passes, f"placed in {where}: {', '.join(self.files)}  ({data})", f"kept {self.kept}; to go back: {undo}"]

    def report(self) -> dict[str, Any]:
        """All of it as JSON-ready data."""
        return {
            "schema": SCHEMA,
            "tool": "graphfix",
            "version": __version__,
            "action": self.action,
            "component": self.component,
            "backbone": self.backbone.name if self.backbone is not None else None,
            "checks": [{key: getattr(v, key) for key in ("check", "level", "found", "why", "hint")} for v in self.verdicts],
            "repairs": self.applied.report() if self.applied is not None else None,
            "arguments": self.arguments,
            "files": list(self.files),
            "data": self.how,
            "kept": self.kept,
        }


def place(
    backbone: str | Path, pipeline: str | Path, *, component: str = "", dry_run: bool = False, progress: Progress | None = None
) -> Placement:
    """Put a backbone into the folder that optimum exported a pipeline to.

    It is held against the model that the folder was exported with, against config.json and against what the pipeline feeds; what a pass
    can mend is mended, and nothing is written where something is refused. The model that was there is kept for `undo`. Placing again
    replaces what was placed; what is kept is always the model that the folder was exported with.

    Args:
        backbone: An ``.onnx`` file. It is not changed, and not needed afterwards.
        pipeline: The folder with ``model_index.json``.
        component: ``transformer`` or ``unet``; found where empty.
        dry_run: Check and repair in memory only.
        progress: As for `graphfix.apply`.

    Raises:
        UsageError: A path is wrong.
        ModelError: The backbone or the folder cannot be read.
        UnavailableError: The disk is full, or another run works in the folder.
    """
    backbone, folder = Path(backbone), find(Path(pipeline), component)
    slot = Slot(folder.path)
    with contextlib.nullcontext() if dry_run else only_writer(folder.path, patience=0):
        journal = None if dry_run else slot.settle()
        reference = slot.original()
        if not reference.exists():
            hint = "export the pipeline again, or put its model back"
            raise UsageError(f"there is no {folder.component}/{MODEL} to replace", where=str(folder.root), hint=hint)
        done, model = _judge(backbone, reference, folder, progress)
        if done.action == REFUSED or dry_run:
            return done
        if (done.applied is None and backbone.samefile(slot.model)) or (journal is not None and _is_there(model, slot)):
            return _told(done, UNCHANGED, slot)
        try:
            return _put(done, model, slot, journal, progress)
        except BaseException as error:
            with contextlib.suppress(GraphfixError, OSError):  # the first error is the one to tell; the next run settles again
                slot.settle()
            if isinstance(error, OSError):
                explain(error, slot.model)
            raise


def undo(pipeline: str | Path, *, component: str = "") -> Placement:
    """Put back what the folder was exported with: the same bytes under the same names, and nothing else left behind.

    Raises:
        UsageError: A path is wrong.
        ModelError: What was kept was changed, or its data is gone; the folder stays as it is.
        UnavailableError: Another run works in the folder.
    """
    folder = find(Path(pipeline), component)
    slot = Slot(folder.path)
    done = Placement(UNDONE, folder.root, folder.component)
    with only_writer(folder.path, patience=0):
        gone = slot.journal.exists() and slot.kept.exists() and not slot.model.exists()
        journal = Journal.read(slot.journal) if gone else slot.settle()
        if journal is None:
            return _told(done, UNCHANGED, slot)
        if digest(slot.kept) != journal.original:
            raise ModelError(f"{slot.kept} was changed since it was kept", why="undo promises the same bytes", hint="nothing was done")
        io.load(slot.kept)  # refuses where its data is not whole
        try:
            slot.restore()
        except OSError as error:
            explain(error, slot.model)
        return _told(done, UNDONE, slot)


def _judge(backbone: Path, reference: Path, folder: Folder, progress: Progress | None) -> tuple[Placement, ir.Model]:
    """Check, repair in memory, check again; the backbone as it would be placed."""
    subject = Subject(folder, folder.config(), folder.working_type(), io.load(reference, check_data=False), io.load(backbone))
    done = Placement(WOULD, folder.root, folder.component, backbone, examine(subject))
    wanted = [v for v in done.verdicts if v.level == REPAIR]
    if wanted and not done.refused:
        done.applied = api.apply(subject.new, _pipeline(wanted), progress=progress)
        subject = dataclasses.replace(subject, new=done.applied.model)
        again = examine(subject)
        still = {(v.check, v.found) for v in again if v.level == REPAIR}
        mended = [dataclasses.replace(v, level=REPAIRED, hint="") for v in wanted if (v.check, v.found) not in still]
        left = [dataclasses.replace(v, level=v.unmended) if v.level == REPAIR else v for v in again]
        told = {v.check for v in mended}
        rows = [*mended, *(v for v in left if v.level != OK or v.check not in told)]
        done.verdicts = sorted(rows, key=lambda v: ORDER.index(v.check))
    if done.refused:
        done.action = REFUSED
    return done, subject.new


def _pipeline(wanted: Iterable[Verdict]) -> str:
    """The text of the passes that mend these, each once with all its options."""
    options: dict[str, dict[str, str]] = {}
    for verdict in wanted:
        options.setdefault(verdict.repair, {}).update(verdict.options)
    texts = ((name, ",".join(f"{key}={value}" for key, value in options[name].items())) for name in REPAIRS if name in options)
    return ",".join(f"{name}{{{text}}}" if text else name for name, text in texts)


def _is_there(model: ir.Model, slot: Slot) -> bool:
    """Whether this model was placed before, as far as that can be told without copying its data: a no is not final."""
    paths = {os.fspath(t.location): Path(t.base_dir) / t.location for t in io.external_tensors(model)}
    header = io.serialized(model, {location: _data_name(path) for location, path in paths.items()})
    return hashlib.sha256(header).hexdigest() == digest(slot.model)


def _data_name(path: Path) -> str:
    return f"model.{digest(path)[:16]}.onnx_data"


def _put(done: Placement, model: ir.Model, slot: Slot, journal: Journal | None, progress: Progress | None) -> Placement:
    """Write the model beside the one that is there, then swap."""
    slot.staging.mkdir(parents=True)
    saved = io.save(model, slot.staging / MODEL, data="copy", progress=progress)
    staged = io.load(saved.path)
    names = {}
    for i, path in enumerate(saved.data_files):
        if progress is not None:
            progress(f"digest of {path.name}", i, len(saved.data_files))
        names[path.name] = _data_name(path)
    header = io.serialized(staged, names)
    found = hashlib.sha256(header).hexdigest()
    if found == digest(slot.model):
        slot.settle()
        return _told(done, UNCHANGED, slot)
    if journal is not None and found == journal.original:
        slot.restore()
        return _told(done, UNDONE, slot)
    slot.put(header, names)
    return dataclasses.replace(_told(done, PLACED, slot), how=saved.data)


def _told(done: Placement, action: str, slot: Slot) -> Placement:
    """The record with what lies in the folder now."""
    source: io.Source = io.load(slot.model).meta[io.SOURCE]
    kept = KEPT if slot.journal.exists() else ""
    return dataclasses.replace(done, action=action, files=(MODEL, *source.data_files), kept=kept)
