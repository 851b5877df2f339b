"""Run a function in a child process with a time limit; a crash, a signal or a time-out becomes a sentence.

TensorRT-RTX, ONNX Runtime and execution providers are native code that may crash, hang, or take memory that never comes back. The
function is named as ``module:function``, takes JSON-ready keyword arguments and returns JSON-ready data. What it prints goes nowhere: the
answer travels through a file.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from graphfix.errors import GraphfixError


@dataclass(frozen=True)
class Outcome:
    """What a child left behind.

    Attributes:
        value: What the function returned; None if it did not return.
        error: Why it did not return, as a sentence; empty if it did.
        seconds: From start to end of the process.
        peak_bytes: Peak resident memory of the process; 0 where the platform does not tell or the child died.
        unavailable: Whether the error is that this machine lacks something.
    """

    value: Any
    error: str
    seconds: float
    peak_bytes: int = 0
    unavailable: bool = False


# Not -m: that looks for modules in the working directory first, which may be the folder of somebody's model.
_START = "import sys; sys.path[:] = filter(None, sys.path); from graphfix.validate.child import main; main()"


def call(function: str, arguments: dict[str, Any], timeout: float, environment: dict[str, str] | None = None) -> Outcome:
    """Run ``function`` in a child process.

    Args:
        function: ``module:function``.
        arguments: Its keyword arguments, JSON-ready.
        timeout: Seconds after which the child is ended.
        environment: The child's environment; the parent's where None.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        job = Path(folder) / "job.json"
        job.write_text(json.dumps({"function": function, "arguments": arguments, "answer": str(answer)}), encoding="utf-8")
        began = time.perf_counter()
        command = [sys.executable, "-c", _START, str(job)]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False, env=environment)
        except subprocess.TimeoutExpired:
            return Outcome(None, f"no answer within {timeout:g} s; the process was ended", timeout)
        seconds = time.perf_counter() - began
        if answer.exists():
            found = json.loads(answer.read_text(encoding="utf-8"))
            return Outcome(found["value"], found["error"], seconds, found["peak_bytes"], found["unavailable"])
    tail = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return Outcome(None, f"the process ended with {_ending(done.returncode)}{': ' + tail[0] if tail else ''}", seconds)


def _ending(code: int) -> str:
    if code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code:#x}" if code > 255 else f"exit code {code}"


def peak_bytes() -> int:
    """Peak resident memory of this process; 0 where the platform does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would also count what the parent held when it forked
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def main() -> None:
    """The child: read the job, run the function, write the answer."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    module, _, name = job["function"].partition(":")
    answer: dict[str, Any] = {"value": None, "error": "", "unavailable": False}
    try:
        answer["value"] = getattr(import_module(module), name)(**job["arguments"])
    except GraphfixError as error:
        answer |= {"error": str(error), "unavailable": error.exit_code == 3}
    except MemoryError:
        answer["error"] = "out of memory"
    except Exception as error:  # noqa: BLE001 - whatever the runtime raises is the finding
        answer["error"] = f"{type(error).__name__}: {error}"
    draft = Path(job["answer"] + ".draft")
    draft.write_text(json.dumps({**answer, "peak_bytes": peak_bytes()}), encoding="utf-8")
    draft.replace(job["answer"])
