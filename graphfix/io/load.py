"""Loading: the header is parsed, every external tensor is checked against the files, and no weight is read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath, PureWindowsPath

import google.protobuf.message
import onnx
import onnx_ir as ir

from graphfix.errors import ModelError, UsageError
from graphfix.io.proto import SOURCE, Source, external_tensors, from_proto


def load(path: str | Path) -> ir.Model:
    """Load a model; weights stay on disk.

    Raises:
        UsageError: There is no such file.
        ModelError: It is not a complete ONNX model, or its external data is missing, too short, or outside the model's folder.
    """
    path = Path(path)
    blob = _read(path)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(blob)
    except google.protobuf.message.DecodeError as error:
        raise ModelError(f"{path} is not an ONNX model, or it is cut off", why=f"protobuf says: {error}") from error
    if not proto.HasField("graph"):
        raise ModelError(f"{path} is not an ONNX model", why="it holds no graph")
    model = from_proto(proto, str(path))
    base = path.resolve().parent
    files = _audit(model, base)
    model.meta[SOURCE] = Source(path.resolve(), hashlib.sha256(blob).hexdigest(), files)
    return model


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"no file {path}", hint="check the path") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder", hint=f"name the model in it, for example {path / 'model.onnx'}") from error
    except PermissionError as error:
        if path.is_dir():  # Windows answers so for a folder
            raise UsageError(f"{path} is a folder", hint=f"name the model in it, for example {path / 'model.onnx'}") from error
        raise UsageError(f"{path} may not be read", why=str(error)) from error


def _audit(model: ir.Model, base: Path) -> tuple[str, ...]:
    """Check every external tensor against the files in ``base``; return the data files, in order of first use."""
    sizes: dict[str, int] = {}
    for tensor in external_tensors(model):
        location = os.fspath(tensor.location)
        tensor.base_dir = str(base)
        if location not in sizes:
            sizes[location] = _data_file_size(base, location, tensor.name or "")
        offset, needed = tensor.offset or 0, tensor.nbytes
        length = tensor.length if tensor.length is not None else needed
        if length < needed:
            raise ModelError(f"tensor {tensor.name!r} needs {needed:,} bytes and the model says it has {length:,}", where=location)
        if offset < 0 or offset + length > sizes[location]:
            raise ModelError(
                f"external data is too short for tensor {tensor.name!r}",
                where=location,
                why=f"it should lie at bytes {offset:,} to {offset + length:,}, the file has {sizes[location]:,}",
                hint="copy or export the data file again: this one is cut off or belongs to another model",
            )
    return tuple(sizes)


def _data_file_size(base: Path, location: str, name: str) -> int:
    parts = (*PurePosixPath(location).parts, *PureWindowsPath(location).parts)
    absolute = PurePosixPath(location).is_absolute() or bool(PureWindowsPath(location).drive or PureWindowsPath(location).root)
    if absolute or ".." in parts or not location:
        raise ModelError(
            f"tensor {name!r} keeps its data outside the model's folder",
            where=repr(location),
            why="ONNX allows only paths relative to the model, without '..'",
            hint="load the model where it was made and save it again with its data beside it",
        )
    path = base / location
    try:
        real = path.resolve(strict=True)
        info = real.stat()
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"external data is missing: {location}",
            where=f"tensor {name!r}",
            why=f"no such file in the model's folder ({type(error).__name__})",
            hint=f"put {PurePosixPath(location).name} beside the model",
        ) from error
    if not real.is_relative_to(base):
        raise ModelError(
            f"external data {location} is a link that leads out of the model's folder",
            where=f"tensor {name!r}",
            why="onnx and ONNX Runtime refuse such files",
            hint="copy the folder with links followed (cp -L), then run on the copy",
        )
    if not real.is_file():
        raise ModelError(f"external data {location} is not a regular file", where=f"tensor {name!r}")
    return info.st_size
