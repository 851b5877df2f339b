"""What this machine can do: packages, clashes, libraries that the TensorRT-RTX EP needs, GPUs, and what to type next."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

OK, MISSING, WRONG = "ok", "missing", "WRONG"

CORE = ("onnx", "onnx-ir", "onnxscript", "onnx-graphsurgeon", "numpy", "ml_dtypes", "typer", "rich")
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
EPS = ("onnxruntime-ep-nv-tensorrt-rtx", "onnxruntime-ep-nv-tensorrt-rtx-cu12")
COMPILERS = ("tensorrt-rtx-cu13", "tensorrt-rtx-cu12")

# What the plugin EP links or loads, by platform. Source: its binary's dynamic section and strings (0.5.0).
LIBRARIES = {
    "linux": (("libcuda.so.1", "the NVIDIA driver"), ("libnvidia-ml.so.1", "the NVIDIA driver's management library")),
    "win32": (("nvcuda.dll", "the NVIDIA driver"), ("nvml.dll", "the NVIDIA driver's management library")),
}


@dataclass(frozen=True)
class Row:
    """One thing that was looked at, what was found, and what would mend it."""

    what: str
    status: str
    found: str
    hint: str = ""


def examine() -> Iterator[Row]:
    """Look at everything; reads only, and runs nothing but nvidia-smi."""
    yield Row("Python", OK if sys.version_info >= (3, 10) else WRONG, platform.python_version(), "Python 3.10 or newer")
    for name in CORE:
        yield _package(name, "pip install --force-reinstall graphfix")
    yield from _runtimes()
    compilers = [name for name in COMPILERS if _version(name)]
    found = ", ".join(f"{n} {_version(n)}" for n in compilers)
    yield Row(
        "TensorRT-RTX (compile tier)",
        OK if found else MISSING,
        found or "not installed",
        "" if found else 'pip install "graphfix[compile]"',
    )
    ep = next((name for name in EPS if _version(name)), "")
    yield Row(
        "TensorRT-RTX EP (run tier)",
        OK if ep else MISSING,
        f"{ep} {_version(ep)}" if ep else "not installed",
        "" if ep else f"pip install {EPS[0]}",
    )
    for library, owner in LIBRARIES.get(sys.platform, ()):
        present = _loads(library)
        yield Row(
            library,
            OK if present else MISSING,
            owner if present else f"cannot be loaded; part of {owner}",
            "" if present else "install the NVIDIA driver",
        )
    yield from _gpus()


def _runtimes() -> Iterator[Row]:
    runtimes = {name: _version(name) for name in RUNTIMES}
    present = [f"{name} {v}" for name, v in runtimes.items() if v]
    if len(present) > 1:
        yield Row(
            "ONNX Runtime",
            WRONG,
            " and ".join(present),
            "both wheels write into one folder and break each other: pip uninstall onnxruntime onnxruntime-gpu, then install one of them",
        )
    else:
        hint = "" if present else 'pip install "graphfix[cpu]", or pip install onnxruntime-gpu for CUDA'
        yield Row("ONNX Runtime", OK if present else MISSING, present[0] if present else "not installed", hint)


def _package(name: str, hint: str) -> Row:
    found = _version(name)
    return Row(name, OK if found else WRONG, found or "not installed", "" if found else hint)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def supported(capability: str) -> bool:
    """Whether the TensorRT-RTX EP runs on a compute capability. Source: its header, IsComputeCapabilitySupported."""
    major, _, minor = capability.partition(".")
    return (int(major), int(minor or 0)) in {(8, 6), (8, 9)} or int(major) >= 12


def _gpus() -> Iterator[Row]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield Row("GPU", MISSING, "no nvidia-smi, so no NVIDIA driver", "check, load, compile and numerics need none")
        return
    query = [tool, "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        yield Row("GPU", WRONG, f"nvidia-smi does not answer: {error}", "reinstall the NVIDIA driver")
        return
    for line in filter(None, done.stdout.splitlines()):
        name, capability, driver = ([*map(str.strip, line.split(",")), "", ""])[:3]
        good = capability.replace(".", "").isdecimal() and supported(capability)
        hint = "" if good else "the TensorRT-RTX EP runs on compute capability 8.6, 8.9, or 12.0 and newer; use --ep cuda here"
        yield Row(f"GPU {name}", OK if good else MISSING, f"compute capability {capability}, driver {driver}", hint)
