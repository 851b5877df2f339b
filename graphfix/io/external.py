"""External data held against the files: every fault as a record, so that loading can refuse the first and a lint can tell them all.

Only sizes and offsets are compared; no weight is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import onnx_ir as ir

from graphfix.errors import ModelError
from graphfix.io import names
from graphfix.io.files import mentioned, stamp
from graphfix.io.proto import external_tensors

MISSING, OUTSIDE, SHORT = "missing", "outside", "short"
OVERLAP, ORPHANED, LINK = "overlap", "orphaned", "link"
# A model with one of these cannot be loaded; the others can wait for whoever asks.
FATAL = frozenset({MISSING, OUTSIDE, SHORT})

# Writers align tensors: 4,096 bytes (onnx) or 65,536 (onnx-ir, the allocation granularity of Windows). Smaller gaps are padding.
PADDING = 65536


@dataclass(frozen=True)
class DataFault:
    """One thing that is wrong with external data: its kind, the data file, the tensor's name ("" for a whole file), and the words."""

    kind: str
    location: str
    tensor: str
    what: str
    where: str
    why: str = ""
    hint: str = ""

    def error(self) -> ModelError:
        """The error to raise where the model cannot be used with this fault."""
        return ModelError(self.what, where=self.where, why=self.why, hint=self.hint)


@dataclass
class Audit:
    """What was found: size and stamp of each data file that is there, in order of first use, and the faults."""

    sizes: dict[str, int] = field(default_factory=dict)
    stamps: dict[str, tuple[int, ...]] = field(default_factory=dict)
    faults: list[DataFault] = field(default_factory=list)

    def refuse(self) -> None:
        """Raise the first fault that no model can be loaded with."""
        for fault in self.faults:
            if fault.kind in FATAL:
                raise fault.error()


def audit(model: ir.Model, base: Path, source: Path | None = None) -> Audit:
    """Check every external tensor against the files in ``base``, and let the tensors know their folder.

    Args:
        model: The model.
        base: The folder that locations are relative to.
        source: The model's own file. With it, bytes that no tensor refers to and links are looked for too, which costs more.
    """
    found = Audit()
    bad: set[str] = set()
    ranges: dict[str, list[tuple[int, int, str]]] = {}
    for tensor in external_tensors(model):
        location, name = os.fspath(tensor.location), tensor.name or ""
        tensor.base_dir = str(base)
        if location not in found.sizes and location not in bad:
            info = _data_file(base, location, name)
            if isinstance(info, DataFault):
                found.faults.append(info)
                bad.add(location)
            else:
                found.sizes[location], found.stamps[location] = info.st_size, stamp(info)
        if location in bad:
            continue
        fault = _short(tensor, name, location, found.sizes[location])
        if fault is not None:
            found.faults.append(fault)
            continue
        offset = tensor.offset or 0
        ranges.setdefault(location, []).append((offset, offset + (tensor.length or tensor.nbytes), name))
    if source is not None:
        for location, taken in ranges.items():
            found.faults.extend(_overlaps(location, taken))
            found.faults.extend(_orphans(base, location, taken, found.sizes, source))
            found.faults.extend(_links(base, location))
    return found


def _short(tensor: ir.ExternalTensor, name: str, location: str, size: int) -> DataFault | None:
    offset, needed = tensor.offset or 0, tensor.nbytes
    length = tensor.length if tensor.length is not None else needed
    if length < needed:
        what = f"tensor {name!r} needs {needed:,} bytes and the model says it has {length:,}"
        return DataFault(SHORT, location, name, what, location)
    if offset < 0 or offset + length > size:
        return DataFault(
            SHORT,
            location,
            name,
            f"external data is too short for tensor {name!r}",
            location,
            f"it should lie at bytes {offset:,} to {offset + length:,}, the file has {size:,}",
            "copy or export the data file again: this one is cut off or belongs to another model",
        )
    return None


def _data_file(base: Path, location: str, name: str) -> os.stat_result | DataFault:
    if names.leaves_folder(location):
        return DataFault(
            OUTSIDE,
            location,
            name,
            f"tensor {name!r} keeps its data outside the model's folder",
            repr(location),
            "ONNX allows only paths relative to the model, without '..'",
            "load the model where it was made and save it again with its data beside it",
        )
    reserved = names.unusable(location)
    if reserved:
        return DataFault(OUTSIDE, location, name, f"external data {location} cannot be opened on Windows", f"tensor {name!r}", reserved)
    path = base / location
    try:
        real = path.resolve(strict=True)
        info = real.stat()
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself; a NUL in the name
        return DataFault(
            MISSING,
            location,
            name,
            f"external data is missing: {location[:200]}",
            f"tensor {name!r}",
            f"no such file in the model's folder ({type(error).__name__})",
            names.respelled(location, base) or f"put {PurePosixPath(location).name[:200]} beside the model",
        )
    if not real.is_relative_to(base):
        return DataFault(
            OUTSIDE,
            location,
            name,
            f"external data {location} is a link that leads out of the model's folder",
            f"tensor {name!r}",
            "onnx and ONNX Runtime refuse such files",
            "copy the folder with links followed (cp -L), then run on the copy",
        )
    if not real.is_file():
        return DataFault(MISSING, location, name, f"external data {location} is not a regular file", f"tensor {name!r}")
    return info


def _overlaps(location: str, taken: list[tuple[int, int, str]]) -> Iterator[DataFault]:
    """Tensors that share some of their bytes. The same bytes altogether is how writers store one tensor for two names."""
    ordered = sorted(set(taken), key=lambda r: (r[0], -r[1]))
    previous = (0, 0, "")
    for start, end, name in ordered:
        if start < previous[1] and (start, end) != previous[:2] and end > start:
            what = f"tensors {previous[2]!r} and {name!r} share the bytes {start:,} to {min(end, previous[1]):,} of {location}"
            yield DataFault(OVERLAP, location, name, what, location, "one was written over the other", "export the model again")
        if end > previous[1]:
            previous = (start, end, name)


def _orphans(base: Path, location: str, taken: list[tuple[int, int, str]], sizes: Mapping[str, int], source: Path) -> Iterator[DataFault]:
    size, reached, lost = sizes[location], 0, 0
    for start, end, _ in sorted(taken):
        lost += start - reached if start - reached >= PADDING else 0
        reached = max(reached, end)
    lost += size - reached if size - reached >= PADDING else 0
    # Another model in the folder may be the one that these bytes belong to.
    if lost and not mentioned(location, base, but=source):
        what = f"{lost:,} of the {size:,} bytes of {location} belong to no tensor"
        yield DataFault(ORPHANED, location, "", what, location, "saving onto an existing data file appends", "save to a new folder")


def _links(base: Path, location: str) -> Iterator[DataFault]:
    path = base / location
    links = path.stat().st_nlink
    if path.is_symlink() or links > 1:
        what = f"{location} is a symlink" if path.is_symlink() else f"{location} has {links} hard links"
        why = "onnx's loader and checker refuse such files"
        yield DataFault(LINK, location, "", what, location, why, "replace the link by a copy (cp -L)")
