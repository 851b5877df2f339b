"""Saving: the header goes to a temporary file beside the target, is flushed to disk, and renamed over the target.

A crash leaves the old output or the new one. Bytes of external data do not go through Python: an output in the input's folder refers to the
input's data file, an output elsewhere gets a copy that the kernel makes (a reflink where the file system can). The exception is a data file
that passes left mostly unused: elsewhere only its used parts are written, a few megabytes at a time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google.protobuf.message
import onnx
import onnx_ir as ir

from graphfix import collector
from graphfix.errors import ModelError, UsageError
from graphfix.io import names
from graphfix.io.files import (
    copy_bytes,
    copy_range,
    equal,
    explain,
    mentioned,
    reflink,
    stamp,
    sweep,
    sync_folder,
    temporary,
    write_durably,
)
from graphfix.io.lock import only_writer
from graphfix.io.proto import PROVENANCE, SOURCE, Source, external_tensors, to_proto
from graphfix.model import scopes

MOSTLY = 0.9  # a data file of which less than this share is still referred to is not copied whole
EXTERNALIZE = 1024  # bytes: new tensors of this size and up leave the header if the model keeps its weights outside already
Progress = Callable[[str, int, int], None]
PROTOBUF_LIMIT = 2**31 - 2**20  # bytes: a header beyond this cannot be parsed


@dataclass(frozen=True)
class Saved:
    """What `save` wrote, and what became of the data: one of ``none``, ``shared``, ``reflinked``, ``copied``, ``written``."""

    path: Path
    data: str
    data_files: tuple[Path, ...]
    bytes_written: int


def default_output(source: Path) -> Path:
    """``model.onnx`` -> ``model.fixed.onnx``, beside it.

    Raises:
        UsageError: ``source`` is a folder.
    """
    if source.is_dir():
        raise UsageError(f"{source} is a folder", hint=f"name the model in it, for example {source / 'model.onnx'}")
    return source.with_name(f"{source.stem}.fixed{source.suffix or '.onnx'}")


def check_target(source: Path | None, target: Path, *, force: bool, in_place: bool) -> None:
    """Refuse a target that would overwrite something before any work is done.

    Raises:
        UsageError: The target is the input, exists and is not graphfix's, or its folder does not exist.
    """
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", hint=f"mkdir {target.parent}")
    if reserved := names.unusable(target.name):
        raise UsageError(f"no file can be called {target.name}", why=reserved, hint="choose another name with -o")
    if target.is_dir():
        raise UsageError(f"{target} is a folder", hint=f"-o {target / 'model.onnx'}")
    if source is not None and _same_file(source, target):
        if not in_place:
            raise UsageError("the output is the input", hint="--in-place if that is meant")
        return
    if target.exists() and not force and not written_by_graphfix(target):
        raise UsageError(
            f"{target} exists and graphfix did not write it",
            hint="choose another name with -o, or --force to replace it",
        )


def _same_file(a: Path, b: Path) -> bool:
    return b.exists() and a.exists() and a.samefile(b)


def written_by_graphfix(path: Path) -> bool:
    """Whether the file at ``path`` is a model that graphfix wrote."""
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(path.read_bytes())
    except (OSError, google.protobuf.message.DecodeError):
        return False
    return any(entry.key == PROVENANCE for entry in proto.metadata_props)


def save(model: ir.Model, target: str | Path, *, data: str = "auto", sync: bool = True, progress: Progress | None = None) -> Saved:
    """Write ``model`` to ``target`` atomically and durably.

    Args:
        model: The model. Its tensors stay valid; their locations in memory are not changed.
        target: Path of the ``.onnx`` file.
        data: ``share`` refers to the input's data file (same folder only), ``copy`` gives the output its own, ``auto`` shares
            within the input's folder and copies elsewhere; ``gather`` writes every weight, wherever it was, to one data file.
        sync: Wait until the disk has everything. Without, a kill still leaves the old output or the new one, but after a power cut
            the file system may have the header and not all of the weights; a copy then takes the time of ``cp``.
        progress: Called with (what, bytes done, bytes in all) while new weights are computed and written.

    Raises:
        UsageError: Sharing across folders was asked for, or the target's folder does not exist.
        UnavailableError: The disk is full or may not be written.
    """
    target = Path(target)
    target = target.parent.resolve() / target.name
    external = tuple(external_tensors(model))
    folders = {Path(base).resolve() if base else target.parent for base in {tensor.base_dir for tensor in external}}
    if data == "share" and not folders <= {target.parent}:
        raise UsageError(
            "data files cannot be shared across folders",
            why="ONNX refers to external data by a path inside the model's folder, and refuses links",
            hint=f"write the output into {min(folders)}, or use --data copy",
        )
    share = folders <= {target.parent} and data not in {"copy", "gather"}
    job = _Save(model, external, target, share=share, gather=data == "gather", sync=sync, progress=progress)

    def waiting() -> None:
        if progress is not None:
            progress("waiting for another graphfix", 0, 1)

    try:
        with only_writer(target.parent, waiting) as alone:
            if alone:
                sweep(target)
            return job.run()
    except OSError as error:
        explain(error, target)


def serialized(model: ir.Model, where: Mapping[Any, Any]) -> bytes:
    """The model's header as bytes.

    Args:
        model: The model; not changed.
        where: Another location for each location of external data, or (location, offset) for the id of a tensor.

    Raises:
        ModelError: It would be larger than protobuf can read.
    """
    with _relocated(model, where):
        proto = to_proto(model)
    if proto.ByteSize() > PROTOBUF_LIMIT:
        raise ModelError("the model's header would exceed protobuf's 2 GB", why="its weights are stored inside the file")
    blob: bytes = proto.SerializeToString(deterministic=True)
    return blob


class _Save:
    """One save: which data files the output refers to, in which order things appear on disk, and what is undone on failure."""

    def __init__(
        self,
        model: ir.Model,
        external: Sequence[ir.ExternalTensor],
        target: Path,
        *,
        share: bool,
        gather: bool,
        sync: bool,
        progress: Progress | None,
    ) -> None:
        self.model, self.external, self.target = model, external, target
        self.share, self.gather, self.sync, self.progress = share, gather, sync, progress
        self.made: list[Path] = []
        self.loose: list[list[ir.ExternalTensor]] = []
        self.how = "none"
        self.bytes = 0

    def run(self) -> Saved:
        stale = self._previous_data()
        moves = self._place_existing()
        try:
            fresh = self._write_new()
            self._unchanged()
            self._write_header({**moves, **fresh})
        except BaseException:
            for path in self.made:
                path.unlink(missing_ok=True)
            raise
        files = tuple(sorted({self.target.parent / name for name in self._locations(moves, fresh)}))
        for path in stale - set(files):
            if not mentioned(path.name, self.target.parent):
                path.unlink(missing_ok=True)
        return Saved(self.target, self.how, files, self.bytes)

    def _unchanged(self) -> None:
        """Refuse to write a header for data that are no longer those that were read, or over a model that is another now."""
        source: Source | None = self.model.meta.get(SOURCE)
        if source is None:
            return
        replaced = source.stamps if _same_file(source.path, self.target) else source.stamps[1:]
        for name, seen in replaced:
            path = source.path.parent / name
            if not path.exists() or stamp(path.stat()) != seen:
                raise ModelError(
                    f"{name} was changed while graphfix was working",
                    why="a header from before and data from after do not belong together; nothing was written",
                    hint="run it again",
                )

    def _locations(self, moves: dict[str, str], fresh: dict[int, tuple[str, int]]) -> Iterator[str]:
        for t in self.external:
            if id(t) not in fresh:
                yield moves.get(os.fspath(t.location), os.fspath(t.location))
        yield from (name for name, _ in fresh.values())

    def _previous_data(self) -> set[Path]:
        """Data files that the output being replaced was given by an earlier save: they may go once it is replaced."""
        if not self.target.exists() or not written_by_graphfix(self.target):
            return set()
        stem = self.target.name + "_data"
        return {
            path
            for path in self.target.parent.glob("*")
            if (path.name == stem or path.name.startswith(f"{stem}.")) and ".tmp-" not in path.name and path.is_file()
        }

    def _place_existing(self) -> dict[str, str]:
        """Give the output the data files that it refers to: nothing to do when shared, else one copy of each."""
        locations = dict.fromkeys(os.fspath(t.location) for t in self.external)
        if not locations:
            return {}
        if self.share:
            self.how = "shared"
            return {}
        here = self.target.parent
        bases = {os.fspath(t.location): Path(t.base_dir or here) for t in self.external}
        used: dict[str, dict[tuple[int, int], list[ir.ExternalTensor]]] = {}
        for t in self.external:
            used.setdefault(os.fspath(t.location), {}).setdefault((t.offset or 0, t.nbytes), []).append(t)
        moves = {}
        for i, location in enumerate(locations):
            if self.gather or sum(size for _, size in used[location]) < MOSTLY * (bases[location] / location).stat().st_size:
                self.loose.extend(used[location].values())
                continue
            name = self._free_name("" if len(locations) == 1 else f".{i:03d}", bases[location] / location)
            moves[location] = name
            if not (self.target.parent / name).exists():
                self._copy(bases[location] / location, self.target.parent / name)
            else:
                self.how = "copied"
        return moves

    def _free_name(self, suffix: str, wanted: Path | None) -> str:
        """A name in the target's folder that is free, or that holds exactly the bytes of ``wanted`` already."""
        n = 0
        while True:
            name = f"{self.target.name}_data{suffix}" + (f".{n}" if n else "")
            path = self.target.parent / name
            if path not in self.made and (not path.exists() or (wanted is not None and equal(path, wanted))):
                return name
            n += 1

    def _copy(self, source: Path, target: Path) -> None:
        with temporary(target) as draft:
            self.how = "reflinked" if reflink(source, draft, sync=self.sync) else "copied"
            if self.how == "copied":
                copy_bytes(source, draft, sync=self.sync)
                self.bytes += source.stat().st_size
        self.made.append(target)

    def _write_new(self) -> dict[int, tuple[str, int]]:
        """Write large tensors that passes made, and what is left of mostly abandoned data files, to one new data file.

        Returns:
            Where each tensor lies, by its id.
        """
        tensors = list(_new_tensors(self.model, inside=self.gather))
        total = sum(t.nbytes for t in tensors) + sum(same[0].nbytes for same in self.loose)
        source: Source | None = self.model.meta.get(SOURCE)
        outside = bool(self.external) or (source is not None and bool(source.data_files))
        if not (tensors or self.loose) or not (self.gather or outside or total > PROTOBUF_LIMIT):
            return {}
        whole = {os.fspath(t.location) for t in self.external} - {os.fspath(same[0].location) for same in self.loose}
        name = self._free_name(".new" if whole and not self.share else "", None)
        places: dict[int, tuple[str, int]] = {}
        path = self.target.parent / name
        groups: list[Sequence[ir.TensorProtocol]] = [*self.loose, *([t] for t in tensors)]
        with temporary(path) as draft, draft.open("wb") as file:
            for group in groups:
                if self.progress is not None:
                    self.progress("writing weights", file.tell(), total)
                file.seek(-(-file.tell() // 64) * 64)
                places.update((id(tensor), (name, file.tell())) for tensor in group)
                first = group[0]
                if isinstance(first, ir.ExternalTensor):
                    copy_range(Path(first.base_dir or self.target.parent) / first.location, first.offset or 0, first.nbytes, file)
                    self.how = "copied"
                else:
                    file.write(first.tobytes())
            if self.progress is not None:
                self.progress("writing weights", total, total)
            file.flush()
            if self.sync:
                os.fsync(file.fileno())
            self.bytes += file.tell()
        self.made.append(path)
        if self.how == "none":
            self.how = "written"
        return places

    @collector.put_off()
    def _write_header(self, where: dict[Any, Any]) -> None:
        blob = serialized(self.model, where)
        with temporary(self.target) as draft:
            if self.sync:
                write_durably(draft, blob)
            else:
                draft.write_bytes(blob)
        self.bytes += len(blob)
        if self.sync:
            sync_folder(self.target.parent)


def _new_tensors(model: ir.Model, *, inside: bool) -> Iterator[ir.TensorProtocol]:
    """Initializers that passes made, and with ``inside`` those that the file's header held: large enough to leave the header."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if tensor is None or isinstance(tensor, ir.ExternalTensor | ir.StringTensor):
                continue
            if isinstance(tensor, ir.serde.TensorProtoTensor) and not inside:
                continue
            if tensor.nbytes >= EXTERNALIZE:
                yield tensor


@contextlib.contextmanager
def _relocated(model: ir.Model, where: Mapping[Any, Any]) -> Iterator[None]:
    """Point tensors at their places in the output while the header is being written."""
    undo: list[tuple[ir.Value, ir.TensorProtocol]] = []

    def moved(tensor: ir.TensorProtocol, name: str | None) -> ir.ExternalTensor | None:
        offset: int | None
        length: int | None
        if id(tensor) in where:
            location, offset = where[id(tensor)]
            length = tensor.nbytes
        elif isinstance(tensor, ir.ExternalTensor):
            location = where.get(os.fspath(tensor.location))
            offset, length = tensor.offset, tensor.length
        else:
            return None
        if location is None:
            return None
        return ir.ExternalTensor(
            location,
            offset,
            length,
            tensor.dtype,
            shape=ir.Shape(tensor.shape.numpy()),
            name=name or tensor.name or "",
            doc_string=tensor.doc_string,
            metadata_props=dict(tensor.metadata_props),
        )

    attributes: list[tuple[ir.Node, ir.Attr]] = []
    try:
        if where:
            for scope in scopes(model):
                for value in scope.body.initializers.values() if isinstance(scope.body, ir.Graph) else ():
                    tensor = value.const_value
                    new = moved(tensor, value.name) if tensor is not None else None
                    if tensor is not None and new is not None:
                        undo.append((value, tensor))
                        value.const_value = new
                for node in scope.body:
                    for attr in tuple(node.attributes.values()):
                        if attr.type == ir.AttributeType.TENSOR and not attr.is_ref():
                            new = moved(attr.value, None) if isinstance(attr.value, ir.ExternalTensor) else None
                            if new is not None:
                                attributes.append((node, attr))
                                node.attributes[attr.name] = ir.AttrTensor(attr.name, new, doc_string=attr.doc_string)
        yield
    finally:
        for value, tensor in undo:
            value.const_value = tensor
        for node, attr in attributes:
            node.attributes[attr.name] = attr
