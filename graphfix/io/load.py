"""Loading: the header is parsed, every external tensor is checked against the files, and no weight is read."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import google.protobuf.message
import onnx
import onnx_ir as ir

from graphfix.errors import ModelError, UsageError
from graphfix.io import guard
from graphfix.io.external import audit
from graphfix.io.files import stamp
from graphfix.io.proto import SOURCE, Source, from_proto


def load(path: str | Path, *, check_data: bool = True) -> ir.Model:
    """Load a model; weights stay on disk.

    Args:
        path: The ``.onnx`` file.
        check_data: Look for the external data, and refuse a model where it is not whole. Without, call `audit`, which tells what is
            wrong, before any tensor is read.

    Raises:
        UsageError: There is no such file.
        ModelError: It is not a complete ONNX model, or its external data is missing, too short, or outside the model's folder.
    """
    path = Path(path)
    blob, header = _read(path)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(blob)
    except google.protobuf.message.DecodeError as error:
        if guard.too_deep(blob):
            raise ModelError(f"{path} is nested too deep", why="protobuf reads 100 messages within each other, about 33 graphs") from error
        raise ModelError(f"{path} is not an ONNX model, or it is cut off", why=f"protobuf says: {error}") from error
    if not proto.HasField("graph"):
        raise ModelError(f"{path} is not an ONNX model", why="it holds no graph")
    model = from_proto(proto, str(path))
    base = path.resolve().parent
    stamps: dict[str, tuple[int, ...]] = {}
    if check_data:
        found = audit(model, base)
        found.refuse()
        stamps = found.stamps
    given = ((path.resolve().name, header), *stamps.items())
    model.meta[SOURCE] = Source(path.resolve(), hashlib.sha256(blob).hexdigest(), tuple(stamps), given)
    return model


def _read(path: Path) -> tuple[bytes, tuple[int, ...]]:
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode) and not path.is_dir():
            raise ModelError(f"{path} is not a regular file")
        if info.st_size >= 2**31:
            raise ModelError(f"{path} has {info.st_size:,} bytes", why="protobuf reads less than 2 GB", hint="save it with external data")
        return path.read_bytes(), stamp(info)
    except FileNotFoundError as error:
        raise UsageError(f"no file {path}", hint="check the path") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder", hint=f"name the model in it, for example {path / 'model.onnx'}") from error
    except PermissionError as error:
        if path.is_dir():  # Windows answers so for a folder
            raise UsageError(f"{path} is a folder", hint=f"name the model in it, for example {path / 'model.onnx'}") from error
        raise UsageError(f"{path} may not be read", why=str(error)) from error
