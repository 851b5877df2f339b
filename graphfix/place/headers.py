"""The outputs of a model, read from the file's wire format: weights inside the file are skipped, not parsed.

A text encoder of a gigabyte is asked for one element type.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import google.protobuf.message
import onnx

from graphfix.errors import ModelError

# Field numbers of onnx.proto: ModelProto.graph, GraphProto.output.
GRAPH, OUTPUT = 7, 12
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def outputs(path: Path) -> list[onnx.ValueInfoProto]:
    """The graph outputs of the model at ``path``.

    Raises:
        ModelError: The file is not a protobuf, or cut off.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return [
                onnx.ValueInfoProto.FromString(view[begin:end])
                for graph in _fields(view, 0, len(view), GRAPH)
                for begin, end in _fields(view, *graph, OUTPUT)
            ]
    except (IndexError, ValueError, google.protobuf.message.DecodeError) as error:
        raise ModelError(f"{path} is not an ONNX model, or it is cut off", why=str(error)) from error


def _fields(view: mmap.mmap, at: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each field of a number in the message that lies at these bytes."""
    while at < end:
        key, at = _varint(view, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            _, at = _varint(view, at)
        elif wire == BYTES:
            size, at = _varint(view, at)
            if at + size > end:
                raise ValueError(f"field {number} ends behind the message it is in")
            if number == wanted:
                yield at, at + size
            at += size
        elif wire in {FIXED64, FIXED32}:
            at += 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"field {number} has the unknown wire type {wire}")


def _varint(view: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
