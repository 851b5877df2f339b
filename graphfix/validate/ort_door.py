"""ONNX Runtime's loader, shown what the TensorRT-RTX EP shows it, without the EP, a GPU or a compiler.

The EP registers three operators in domain ``trt``, each with one variadic heterogeneous input and output of undefined type. This module
registers the same three, the same way, through ONNX Runtime's C API from Python, creates a session on the CPU provider, and returns what
the loader says. A complaint about a missing kernel means that the graph was resolved and typed: only FP4 has none on a CPU.

The C API is a table of function pointers that only grows at its end (onnxruntime_c_api.h, struct OrtApi), so the slot numbers below are
stable.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from pathlib import Path

from graphfix.facts.trt_ops import CONTRACTS, DOMAIN

API_VERSION = 14
GET_ERROR_MESSAGE, CREATE_ENV, CREATE_SESSION, CREATE_OPTIONS = 2, 3, 7, 10
LOG_SEVERITY, OPTIMIZATION, CREATE_DOMAIN, ADD_OPERATOR, ADD_DOMAIN = 22, 23, 26, 27, 28
UNDEFINED, VARIADIC, FATAL = 0, 2, 4
NO_KERNEL = "Could not find an implementation for"

_Ask = CFUNCTYPE(c_int, c_void_p)
_AskPort = CFUNCTYPE(c_int, c_void_p, c_size_t)
_AskCount = CFUNCTYPE(c_size_t, c_void_p)
_AskText = CFUNCTYPE(c_void_p, c_void_p)


class CustomOp(Structure):
    """struct OrtCustomOp, as far as API version 14."""

    _fields_ = [
        ("version", c_uint32),
        ("create_kernel", CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p)),
        ("name", _AskText),
        ("provider", _AskText),
        ("input_type", _AskPort),
        ("input_count", _AskCount),
        ("output_type", _AskPort),
        ("output_count", _AskCount),
        ("compute", CFUNCTYPE(None, c_void_p, c_void_p)),
        ("destroy", CFUNCTYPE(None, c_void_p)),
        ("input_kind", _AskPort),
        ("output_kind", _AskPort),
        ("input_memory", _AskPort),
        ("variadic_input_least", _Ask),
        ("variadic_input_same", _Ask),
        ("variadic_output_least", _Ask),
        ("variadic_output_same", _Ask),
    ]


def custom_op(name: str) -> CustomOp:
    """An operator as the EP describes it: variadic, heterogeneous, type undefined. Its kernel computes nothing."""
    text = c_char_p(name.encode())
    address = ctypes.cast(text, c_void_p).value
    types = dict(CustomOp._fields_)  # type: ignore[arg-type]
    port, count, ask = types["input_type"], types["input_count"], types["variadic_input_least"]
    return CustomOp(
        API_VERSION,
        types["create_kernel"](lambda op, api, info: 1),
        _AskText(lambda op, keep=text: address),
        _AskText(lambda op: None),
        port(lambda op, i: UNDEFINED),
        count(lambda op: 1),
        port(lambda op, i: UNDEFINED),
        count(lambda op: 1),
        types["compute"](lambda kernel, context: None),
        types["destroy"](lambda kernel: None),
        port(lambda op, i: VARIADIC),
        port(lambda op, i: VARIADIC),
        port(lambda op, i: 0),
        ask(lambda op: 1),
        ask(lambda op: 0),
        ask(lambda op: 1),
        ask(lambda op: 0),
    )


def library() -> Path | None:
    """ONNX Runtime's shared library inside the installed Python package; None where the package ships none."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "capi"
    patterns = {"win32": ["onnxruntime.dll"], "darwin": ["libonnxruntime*.dylib"]}.get(sys.platform, ["libonnxruntime.so*"])
    return next((path for pattern in patterns for path in sorted(folder.glob(pattern))), None)


class Door:
    """A C API session of ONNX Runtime with the EP's operators registered."""

    def __init__(self, path: Path) -> None:
        lib = ctypes.CDLL(str(path))

        class Base(Structure):
            _fields_ = [("get_api", CFUNCTYPE(POINTER(c_void_p), c_uint32))]

        lib.OrtGetApiBase.restype = POINTER(Base)
        self._api = lib.OrtGetApiBase().contents.get_api(API_VERSION)
        self._operators = [custom_op(c.op_type) for c in CONTRACTS.values() if c.ep_registers]

    def _call(self, slot: int, types: list[object], *values: object) -> str:
        status = CFUNCTYPE(c_void_p, *types)(self._api[slot])(*values)  # type: ignore[arg-type]
        if not status:
            return ""
        message = CFUNCTYPE(c_char_p, c_void_p)(self._api[GET_ERROR_MESSAGE])(status)
        return (message or b"unknown error").decode(errors="replace")

    def complaint(self, model: Path) -> str:
        """What the loader says of the model; empty when it resolved and typed the whole graph."""
        env, options, domain, session = (c_void_p() for _ in range(4))
        steps: list[tuple[int, list[object], tuple[object, ...]]] = [
            (CREATE_ENV, [c_int, c_char_p, POINTER(c_void_p)], (FATAL, b"graphfix", ctypes.byref(env))),
            (CREATE_OPTIONS, [POINTER(c_void_p)], (ctypes.byref(options),)),
            (LOG_SEVERITY, [c_void_p, c_int], (options, FATAL)),
            (OPTIMIZATION, [c_void_p, c_int], (options, 0)),
            (CREATE_DOMAIN, [c_char_p, POINTER(c_void_p)], (DOMAIN.encode(), ctypes.byref(domain))),
            *((ADD_OPERATOR, [c_void_p, POINTER(CustomOp)], (domain, ctypes.byref(op))) for op in self._operators),
            (ADD_DOMAIN, [c_void_p, c_void_p], (options, domain)),
        ]
        for slot, types, values in steps:
            if error := self._call(slot, types, *values):
                return error
        wide = sys.platform == "win32"
        path: object = str(model) if wide else os.fsencode(model)
        kind = ctypes.c_wchar_p if wide else c_char_p
        error = self._call(CREATE_SESSION, [c_void_p, kind, c_void_p, POINTER(c_void_p)], env, path, options, ctypes.byref(session))
        return "" if NO_KERNEL in error else error
