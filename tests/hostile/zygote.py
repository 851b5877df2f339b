"""Run many command lines of graphfix cheaply, each in a process of its own, with limits and a record of the files touched.

Started as ``python zygote.py``, it imports graphfix once and forks for each job: a line of JSON on stdin, another on stdout. Linux only.
"""

from __future__ import annotations

import io
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

WRITES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}


def run(job: dict[str, object]) -> dict[str, object]:
    """One command: {args, cwd, seconds, extra_bytes} -> {code, out, err, seconds, extra_bytes, touched}."""
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(job, writing)
    os.close(writing)
    blob, limit = b"", float(str(job["seconds"]))
    while True:
        left = began + limit - time.monotonic()
        ready, _, _ = select.select([reading], [], [], max(left, 0))
        if not ready:
            os.kill(child, signal.SIGKILL)
            break
        part = os.read(reading, 1 << 20)
        if not part:
            break
        blob += part
    os.close(reading)
    _, status, usage = os.wait4(child, 0)
    answer: dict[str, object] = {"code": None, "out": "", "err": "", "touched": [], "peak": usage.ru_maxrss * 1024}
    if blob.endswith(b"}"):
        answer |= json.loads(blob)
    else:
        answer["err"] = f"ended by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "no answer"
    return {**answer, "seconds": time.monotonic() - began}


def _peak() -> int:
    return next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))


def _child(job: dict[str, object], pipe: int) -> None:
    os.chdir(str(job["cwd"]))
    Path("/proc/self/clear_refs").write_text("5")  # peak memory counts from here
    before = _peak()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    ceiling = pages * resource.getpagesize() + int(str(job["address_space"]))
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out, err = io.StringIO(), io.StringIO()
    sys.stdout, sys.stderr, sys.argv = out, err, ["graphfix", *map(str, job["args"])]  # type: ignore[call-overload]
    touched: set[str] = set()

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" or event in WRITES:
            touched.update(
                os.path.abspath(  # noqa: PTH100 - links are not to be followed
                    os.fsdecode(a)
                )
                for a in arguments[:2]
                if isinstance(a, str | bytes) and a not in {"r", "rb"}
            )

    sys.addaudithook(note)
    code: object = 0
    try:
        from graphfix.cli import main

        main()
    except SystemExit as error:
        code = error.code or 0
    except BaseException:  # noqa: BLE001 - a traceback is what the tests look for
        code = "traceback"
        err.write(traceback.format_exc())
    answer = {"code": code, "out": out.getvalue(), "err": err.getvalue(), "touched": sorted(touched), "extra": _peak() - before}
    with os.fdopen(pipe, "wb") as stream:
        stream.write(json.dumps(answer).encode())
    os._exit(0)


if __name__ == "__main__":
    for module in ("api", "cli", "config", "difference", "lints.run", "report.findings", "report.render", "report.sarif", "validate.gate"):
        import_module(f"graphfix.{module}")
    from graphfix.registry import Registry

    for name in (registry := Registry.load()).names():
        registry.pass_class(name)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
