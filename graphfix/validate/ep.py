"""The room of execution providers: find one, make a session on it, and tell which nodes it really took.

A plugin provider is a Python package that names itself and its library (``get_ep_name``/``get_library_path``, or
``EP_NAME``/``library_path``), or the path of a library. It is added by device, never by ``providers=[name]``: with a wrong name ONNX
Runtime's Python API quietly runs on the CPU. ``cuda`` and ``cpu`` are built into ONNX Runtime.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from graphfix.errors import ModelError, UnavailableError
from graphfix.validate.job import DEFAULT_EP

BUILT_IN = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
RECORD = "session.record_ep_graph_assignment_info"
# Source: the EP's header (IsComputeCapabilitySupported) and its message "Supported compute capabilities are 8.6, 8.9, and 12.0 or newer."
TRT_RTX_GPUS = "compute capability 8.6, 8.9, or 12.0 and newer"


@dataclass(frozen=True)
class Provider:
    """An execution provider that ONNX Runtime knows: its name, and the devices it offers (none for built-in ones)."""

    name: str
    devices: tuple[Any, ...]
    library: str = ""


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UnavailableError("ONNX Runtime is not installed", hint='pip install "graphfix[cpu]"') from error
    return onnxruntime


@contextmanager
def provider(spec: str) -> Iterator[Provider]:
    """Register the provider that ``spec`` names, for as long as the block runs. Drop sessions before it ends.

    Raises:
        UnavailableError: It is not installed, cannot be registered (the missing library is named), or offers no device here.
    """
    ort = _runtime()
    if spec in BUILT_IN:
        if BUILT_IN[spec] not in ort.get_available_providers():
            raise UnavailableError(f"this build of ONNX Runtime has no {BUILT_IN[spec]}", hint="pip install onnxruntime-gpu")
        yield Provider(BUILT_IN[spec], ())
        return
    name, library = _plugin(spec)
    try:
        ort.register_execution_provider_library(name, library)
    except Exception as error:
        raise UnavailableError(f"{name} cannot be registered", why=str(error), hint="graphfix doctor") from error
    try:
        devices = tuple(d for d in ort.get_ep_devices() if d.ep_name == name)
        if not devices:
            why = f"it runs on {TRT_RTX_GPUS}" if spec == DEFAULT_EP else "it found no device that it can use"
            raise UnavailableError(f"{name} offers no device on this machine", why=why, hint="graphfix doctor")
        yield Provider(name, devices, library)
    finally:
        with suppress(Exception):  # the process ends anyway
            ort.unregister_execution_provider_library(name)


def _plugin(spec: str) -> tuple[str, str]:
    """The registration name and library of a plugin provider."""
    path = Path(spec)
    if path.suffix in {".so", ".dll", ".dylib"}:
        if not path.is_file():
            raise UnavailableError(f"no provider library {spec}")
        return path.stem.removeprefix("lib"), str(path.resolve())
    package = spec.replace("-", "_")
    if find_spec(package) is None:
        raise UnavailableError(f"execution provider package {package} is not installed", hint=f"pip install {package.replace('_', '-')}")
    module = import_module(package)
    _preload_cuda_runtime(Path(str(module.__file__)).parent)
    name = module.get_ep_name() if hasattr(module, "get_ep_name") else module.EP_NAME
    library = module.get_library_path() if hasattr(module, "get_library_path") else module.library_path()
    return str(name), str(library)


def _preload_cuda_runtime(package: Path) -> None:
    """The TensorRT-RTX wheel bundles libcudart under its full version and links it by its short name: load it first."""
    for library in sorted(package.rglob("libcudart.so.*")):
        with suppress(OSError):
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def make_session(model: str, chosen: Provider, options: dict[str, str]) -> Any:
    """A session on the provider, which records where each node went.

    Raises:
        ModelError: The provider or the loader refuses the model.
    """
    ort = _runtime()
    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    settings.add_session_config_entry(RECORD, "1")
    try:
        if chosen.devices:
            settings.add_provider_for_devices([chosen.devices[0]], options)
            return ort.InferenceSession(model, sess_options=settings)
        made = ort.InferenceSession(model, sess_options=settings, providers=[(chosen.name, options)])
    except Exception as error:
        raise ModelError(f"{chosen.name} does not take the model", why=str(error)) from error
    if made.get_providers()[0] != chosen.name:
        raise UnavailableError(
            f"{chosen.name} did not start", why=f"the session came back on {made.get_providers()[0]}", hint="graphfix doctor"
        )
    return made


@dataclass(frozen=True)
class Placement:
    """Where the nodes went: counts by provider, the provider's number of subgraphs, and the first nodes that others took."""

    nodes: dict[str, int]
    subgraphs: int
    elsewhere: tuple[str, ...]


def placement(session: Any, name: str) -> Placement:
    """Ask a session which provider took which node, as recorded when it was made."""
    counts: dict[str, int] = {}
    elsewhere: list[str] = []
    subgraphs = 0
    for part in session.get_provider_graph_assignment_info():
        nodes = part.get_nodes()
        counts[part.ep_name] = counts.get(part.ep_name, 0) + len(nodes)
        if part.ep_name == name:
            subgraphs += 1
        else:
            elsewhere += [f"{node.name or '(unnamed)'} ({node.op_type})" for node in nodes]
    return Placement(counts, subgraphs, tuple(elsewhere))
